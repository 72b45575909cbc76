"""The commands as people and programs meet them: options, exit statuses, hooks, signals, JSON."""
import base64
import json
import os
import re
import shutil
import signal
import socket
import time

import pytest

import mail
from mailtwin import TOP, assert_equal, server_view
from proxy import Proxy

NUMBERS = ("folders messages downloaded uploaded moved_local moved_remote copied_remote flags_local "
           "flags_remote deleted_local deleted_remote folders_created_local folders_created_remote "
           "folders_deleted_local folders_deleted_remote folders_renamed_local "
           "folders_renamed_remote held refused skipped bytes_in bytes_out round_trips").split()
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


def put(user, *numbers, folder="INBOX"):
    with user.client() as client:
        if folder not in client.list():
            client.create(folder)
        for number in numbers:
            client.append(mail.plain(number), folder, date=mail.FIRST_DATE + number)


def write(twin, name, text, mode=0o600):
    path = os.path.join(twin.directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def read(twin, name):
    path = os.path.join(twin.directory, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return file.read()


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.01)


class Accounts:
    """Several accounts in one configuration; the first one's twin runs them."""

    def __init__(self, *twins):
        self.twins = twins
        text = ""
        for twin in twins:
            with open(twin.config, encoding="utf-8") as file:
                text += file.read()
        twins[0].write_config(text)

    def run(self, *args, **more):
        return self.twins[0].run(*args, **more)


@pytest.fixture
def accounts(tmp_path, dovecot):
    """accounts('a', 'b'): a user of the server and a twin for each name."""
    from mailtwin import Twin

    def make(*names):
        twins = [Twin(tmp_path / name, dovecot.new_user(), account=name) for name in names]
        for number, twin in enumerate(twins):
            twin.set(state=twin.state)  # one of them will run all
            put(twin.user, number + 1)
        return twins
    return make


# -q, -v, -vv

def test_quiet_says_nothing_but_errors(user, twin):
    put(user, 1, 2)
    result = twin.run("-q", "sync")
    assert (result.exit, result.stdout, result.stderr) == (0, "", ""), result
    assert len(twin.tree.read()) == 2
    twin.set(password="wrong")
    result = twin.run("sync", "-q")
    assert (result.exit, result.stdout, len(result.error_lines())) == (77, "", 1), result


def test_off_a_terminal_there_is_one_line_for_an_account_that_changed(user, twin):
    put(user, 1, 2)
    result = twin.run("sync")
    assert len(result.stdout.splitlines()) == 1 and result.stderr == "", result
    assert result.stdout.startswith("test: ") and "2 new" in result.stdout, result


def test_verbose_says_what_and_why_without_the_protocol(user, twin):
    put(user, 1)
    for arguments in (["-v", "sync"], ["sync", "-v"], ["sync", "--verbose"]):
        result = twin.run(*arguments)
        assert result.exit == 0 and "configuration:" in result.stderr, result
        assert "logging in as " + user.name in result.stderr, result
        assert "SELECT" not in result.stderr and "FETCH" not in result.stderr, result
        assert result.stderr.count("test: INBOX: download uid 1 ") == (arguments[0] == "-v"), result
    result = twin.run("-vv", "sync", "--full")
    assert re.search(r"test: .*(SELECT|EXAMINE)", result.stderr), result


@pytest.mark.parametrize("auth", ["auto", "plain", "login", "cram-md5", "scram-sha-256"])
@pytest.mark.parametrize("sasl_ir", [True, False], ids=["sasl-ir", "continued"])
def test_the_protocol_is_shown_with_secrets_masked(user, twin, auth, sasl_ir):
    put(user, 1)
    words = [(rb"^\+ ", rb"+ ")]  # touches nothing: the proxy reads lines
    with Proxy(("127.0.0.1", user.server.plain), hide=[] if sasl_ir else ["SASL-IR"],
               replace=words) as proxy:
        twin.set(port=proxy.port, auth=auth)
        result = twin.run("-vv", "sync")
    assert result.exit == 0 and "AUTHENTICATE" in result.stderr.upper() or "LOGIN" in result.stderr
    shown = result.stdout + result.stderr
    secret = user.password.encode()
    sent = proxy.commands()
    for form in (secret, b"\0%s\0%s" % (user.name.encode(), secret),
                 user.name.encode() + b"\0" + user.name.encode() + b"\0" + secret):
        assert base64.b64encode(form).decode() not in shown, result
    assert "secret word" not in shown, result
    # Whatever was sent to log in, no word of it that could be an answer to a challenge is shown.
    for line in sent:
        for word in line.split():
            if len(word) >= 24 and re.fullmatch(r"[A-Za-z0-9+/]+=*", word):
                assert word not in shown, (word, result)


def test_options_may_stand_anywhere(user, twin):
    put(user, 1)
    for arguments in (["sync", "test", "--json", "-q"], ["--json", "sync", "test"],
                      ["sync", "--", "test"]):
        assert twin.run(*arguments).exit == 0, arguments
    moved = os.path.join(twin.directory, "other.conf")
    os.rename(twin.config, moved)
    assert twin.run("sync").exit == 78
    assert twin.run("sync", "-c", moved).exit == 0, "the last -c counts, also after the command"


@pytest.mark.parametrize("variable, place", [
    ("MAILTWIN_CONFIG", "elsewhere.conf"), ("XDG_CONFIG_HOME", "mailtwin/mailtwin.conf"),
    (None, ".config/mailtwin/mailtwin.conf")])
def test_where_the_configuration_is(user, twin, variable, place):
    put(user, 1)
    path = os.path.join(twin.directory, place)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.rename(twin.config, path)
    value = path if variable == "MAILTWIN_CONFIG" else twin.directory
    twin.command = lambda *args: [*type(twin).command(twin)[:1], *args]
    env = {"XDG_CONFIG_HOME": ""} if variable is None else {variable: value}
    result = twin.run("sync", env=env)
    assert result.exit == 0 and len(twin.tree.read()) == 1, result


# Accounts and folders

@pytest.mark.parametrize("command", ["sync", "status", "folders"])
def test_an_unknown_account_stops_all(accounts, command):
    (one,) = accounts("one")
    one.user.forget_log()
    result = one.run(command, "one", "stranger")
    assert result.exit == 64 and len(result.error_lines()) == 1, result
    assert "stranger" in result.stderr and "one" in result.stderr and result.stdout == "", result
    assert one.user.commands() == [] and one.tree.folders() == [], "nothing was begun"


def fill_folders(user):
    for number, folder in enumerate(("INBOX", "A", "A/B", "A/B/C", "Other")):
        put(user, 10 + number, folder=folder)


@pytest.mark.parametrize("operands, folders", [
    (["test:A"], {"A"}),
    (["test:A/*"], {"A/B", "A/B/C"}),
    (["test:A/%"], {"A/B"}),
    (["test:inbox"], {"INBOX"}),
    (["test:INBOX", "test:Oth*"], {"INBOX", "Other"}),
    (["test:A", "test"], {"INBOX", "A", "A/B", "A/B/C", "Other"}),
    (["test:*", "test:!A*"], {"INBOX", "Other"}),
], ids=lambda value: "+".join(value) if isinstance(value, list) else "")
def test_some_folders_of_an_account(user, twin, operands, folders):
    fill_folders(user)
    twin.sync()
    for folder in ("INBOX", "A", "A/B", "A/B/C", "Other"):
        put(user, 50, folder=folder)
    result = twin.sync(*operands)
    changed = {event["folder"] for event in result.events if event["event"] == "change"}
    assert changed == folders, result
    twin.sync()
    assert_equal(user, twin)


def test_the_first_run_may_be_for_one_folder(user, twin):
    fill_folders(user)
    twin.sync("test:A/B")
    assert {name: len(files) for name, files in twin.tree.everything().items() if files} == {
        "A/B": 1}
    twin.sync()
    assert_equal(user, twin)


def test_a_folder_that_is_not_there_or_not_chosen(user, make_twin):
    twin = make_twin(user, folders=["*", "!Other"])
    fill_folders(user)
    twin.sync()
    put(user, 60)
    for operands in (["test:NoSuch"], ["test:Other"], ["test:"], ["test:INBOX", "test:NoSuch"],
                     ["test:INBOX", "test:No*"]):
        result = twin.run("sync", *operands)
        assert result.exit == 64 and len(result.error_lines()) == 1, (operands, result)
        assert operands[-1].split(":")[1] in result.stderr, (operands, result)
        assert len(twin.tree.read()) == 1, "nothing is begun"
    result = twin.run("sync", "--json", "test:NoSuch")
    assert (result.exit, result.summary["exit"], len(result.problems("folder"))) == (64, 64, 1)


# Several accounts

def break_account(twin, how):
    """An account that ends with the status of its name; 0 leaves it as it is."""
    if how == 77:
        twin.set(password="wrong")
    elif how == 75:
        twin.set(port=1)
    elif how == 74:
        write(twin, "file", "no directory")
        twin.set(maildir=os.path.join(twin.directory, "file", "Mail"))
    elif how == 3:
        put(twin.user, *range(100, 140))
        twin.sync()
        for file in twin.tree.read()[:30]:
            twin.tree.delete(file)
    elif how == 1:
        twin.set(after_sync="exit 5")


@pytest.mark.parametrize("ends", [
    (0, 0), (0, 77), (75, 0), (75, 77), (77, 74), (74, 75), (3, 75), (3, 0), (1, 3), (1, 0),
    (0, 1, 3, 74, 75, 77)], ids=lambda ends: "-".join(map(str, ends)))
def test_the_worst_of_several_accounts_is_the_exit_status(accounts, ends):
    twins = accounts(*(f"a{number}" for number in range(len(ends))))
    for twin, how in zip(twins, ends):
        break_account(twin, how)
    both = Accounts(*twins)
    result = both.run("sync", "--json")
    order = [78, 77, 74, 75, 3, 1, 0]
    assert result.exit == min(ends, key=order.index), result
    summaries = {event["account"]: event["exit"] for event in result.events
                 if event["event"] == "summary"}
    assert summaries == {twin.account: how for twin, how in zip(twins, ends)}, result
    for twin, how in zip(twins, ends):
        if how in (0, 1):
            assert_equal(twin.user, twin)
        assert (how == 0) == (not [event for event in result.problems()
                                   if event["account"] == twin.account]), result


def test_jobs_1_syncs_one_account_after_the_other(accounts):
    twins = accounts("one", "two", "three")
    for twin in twins:
        twin.set(after_sync="echo $MAILTWIN_ACCOUNT >>" + twins[0].directory + "/order")
    several = Accounts(*twins)
    with open(twins[0].config, encoding="utf-8") as file:
        text = file.read()
    twins[0].write_config("jobs = 1\n" + text)
    assert several.run("sync").exit == 0
    assert sorted(read(twins[0], "order").split()) == ["one", "three", "two"]


def children_of(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_an_account_that_hangs_or_crashes_disturbs_no_other(accounts, number):
    one, hangs, two = accounts("one", "hangs", "two")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # never says hello
        hangs.set(port=silent.getsockname()[1])
        Accounts(one, hangs, two)
        run = one.start("sync", "--json")
        until(lambda: len(children_of(run)) == 1 and
              os.path.exists(os.path.join(two.root, ".mailtwin")))
        assert_equal(one.user, one)
        assert_equal(two.user, two)
        os.kill(children_of(run)[0], number)
        if number == signal.SIGSTOP:  # only we can end it
            for stop in (signal.SIGTERM, signal.SIGTERM):
                run.send_signal(stop)
                time.sleep(0.1)
        out, err = run.communicate(timeout=30)
    events = [json.loads(line) for line in out.splitlines()]
    exits = {event["account"]: event["exit"] for event in events if event["event"] == "summary"}
    assert run.returncode == 75 and exits == {"one": 0, "hangs": 75, "two": 0}, (out, err)
    (problem,) = [event for event in events if event["event"] == "problem"]
    assert problem["account"] == "hangs", problem


def test_a_named_account_alone(accounts):
    one, two = accounts("one", "two")
    result = Accounts(one, two).run("sync", "--json", "two")
    assert result.exit == 0 and result.summary["account"] == "two", result
    assert one.tree.folders() == [] and len(two.tree.read()) == 1


# --wait

def test_wait_begins_when_the_other_run_has_ended(user, twin):
    put(user, *range(20))
    with Proxy(("127.0.0.1", user.server.plain), delay=0.2) as proxy:
        twin.set(port=proxy.port)
        first = twin.start("sync")
        until(lambda: proxy.connections)
        refused = twin.run("sync", "--json")
        assert refused.exit == 75 and refused.summary["exit"] == 75, refused
        waiting = twin.start("sync", "--wait", "--json")
        assert waiting.poll() is None
        assert first.wait(60) == 0
        out, err = waiting.communicate(timeout=60)
        first.communicate()
    assert waiting.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["downloaded"] == 0, "the first one did all"
    assert_equal(user, twin)


def test_a_run_that_waits_can_be_stopped(user, twin):
    put(user, 1)
    with Proxy(("127.0.0.1", user.server.plain), delay=0.4) as proxy:
        twin.set(port=proxy.port)
        first = twin.start("sync")
        until(lambda: proxy.connections)
        waiting = twin.start("sync", "--wait")
        time.sleep(0.5)
        waiting.send_signal(signal.SIGTERM)
        _, err = waiting.communicate(timeout=5)
        assert waiting.returncode == 75, err
        assert first.wait(60) == 0
        first.communicate()


# Signals

def stopped_run(user, twin, *signals, pause=0.3):
    """A sync on a slow line that gets the signals after it has begun: (exit, seconds it took)."""
    with Proxy(("127.0.0.1", user.server.plain), delay=0.25) as proxy:
        twin.set(port=proxy.port)
        run = twin.start("sync")
        until(lambda: any("FETCH" in command for command in proxy.commands()))
        began = time.monotonic()
        for number in signals:
            run.send_signal(number)
            time.sleep(pause)
        _, err = run.communicate(timeout=30)
    twin.set(port=user.server.plain)
    user.server.wait_idle()
    return run.returncode, time.monotonic() - began, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_in_order_and_the_next_run_heals(user, twin, number):
    for folder in ("INBOX", "B", "C", "D", "E", "F"):
        with user.client() as client:
            if folder != "INBOX":
                client.create(folder)
            client.append_many(mail.batch(0, 60), folder)
    exit, seconds, err = stopped_run(user, twin, number)
    assert exit == 75 and seconds < 15, (seconds, err)
    assert err == "" or "stopped" in err.lower(), err
    twin.sync()
    assert_equal(user, twin)


def test_two_signals_stop_at_once_and_the_next_run_heals(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(0, 60))
    exit, seconds, err = stopped_run(user, twin, signal.SIGTERM, signal.SIGTERM)
    assert exit in (0, 75) and seconds < 6, (exit, seconds, err)
    twin.sync()
    assert_equal(user, twin)


def test_a_signal_while_the_password_is_asked_for(user, twin):
    twin.set(password=None, password_command="touch ~/asked; sleep 60")
    run = twin.start("sync")
    until(lambda: read(twin, "asked") is not None)
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=10)
    assert run.returncode == 75 and "password" not in err.lower(), err


# password-command

@pytest.mark.parametrize("command, words", [
    ("exit 3", ["password-command", "3"]),
    ("true", ["password-command", "no password"]),
    ("echo", ["password-command", "no password"]),
    ("no-such-program-here", ["password-command"]),
    ("kill -9 $$", ["password-command"]),
    ("cat secret; exit 1", ["password-command", "1"]),
], ids=["status", "nothing", "empty-line", "not-found", "killed", "printed-and-failed"])
def test_a_password_command_that_fails(user, twin, command, words):
    write(twin, "secret", user.password + "\n")
    twin.set(password=None, password_command="cd; " + command)
    user.forget_log()
    result = twin.run("sync", "--json")
    assert result.exit == 77 and result.summary["exit"] == 77, result
    (problem,) = result.problems("login")
    for word in words:
        assert word in problem["message"], result
    assert user.commands() == [], "nothing was tried without a password"
    assert twin.run("folders").exit == 77


@pytest.mark.parametrize("output", ["%s\n", "%s", "%s\r\n", "%s\nuser: me\nurl: there\n"],
                         ids=["line", "no-end", "crlf", "more-lines"])
def test_the_first_line_is_the_password(user, twin, output):
    write(twin, "secret", output % user.password)
    twin.set(password=None, password_command="cat ~/secret")
    twin.sync()
    assert twin.run("folders").exit == 0


def test_a_file_with_a_password_command_may_be_read_by_all(user, twin):
    write(twin, "secret", user.password)
    twin.set(password=None, password_command="cat ~/secret")
    os.chmod(twin.config, 0o644)
    twin.sync()


# after-sync

def test_the_hook_runs_if_the_disk_changed(user, twin):
    put(user, 1, 2)
    twin.set(after_sync="env >~/hook; test -z \"$(cat)\"")
    twin.run("sync", "--dry-run")
    assert read(twin, "hook") is None, "not after a dry run"
    result = twin.sync()
    found = dict(line.split("=", 1) for line in read(twin, "hook").splitlines() if "=" in line)
    for name in NUMBERS:
        assert found["MAILTWIN_" + name.upper()] == str(result.summary[name]), name
    assert found["MAILTWIN_DOWNLOADED"] == "2"
    assert (found["MAILTWIN_ACCOUNT"], found["MAILTWIN_EXIT"]) == ("test", "0")
    assert found["MAILTWIN_MAILDIR"] == twin.root
    assert user.password not in "".join(found.values())
    os.unlink(os.path.join(twin.directory, "hook"))
    twin.sync()
    assert read(twin, "hook") is None, "nothing changed"
    twin.tree.add_letters(twin.tree.find(mail.token(1)), "F")
    twin.sync()
    assert read(twin, "hook") is None, "only the server changed"
    with user.client() as client:
        client.store([1, 2], "+FLAGS", ["\\Seen"], "INBOX")
    twin.sync()
    assert read(twin, "hook") is not None, "flags are names of files"


def test_a_hook_that_fails_is_a_problem_but_the_mail_is_there(user, twin):
    put(user, 1)
    twin.set(after_sync="echo some words; exit 9")
    result = twin.sync(expect=1)
    (problem,) = result.problems()
    assert problem["kind"] == "hook" and "9" in problem["message"], result
    assert result.summary["exit"] == 1 and result.summary["downloaded"] == 1
    assert len(twin.tree.read()) == 1
    twin.sync()


def test_the_output_of_a_hook_does_not_get_into_the_results(user, twin):
    put(user, 1)
    twin.set(after_sync="echo out; echo err >&2")
    result = twin.sync()
    assert all(line.startswith("{") for line in result.stdout.splitlines()), result


def test_hooks_run_one_at_a_time(accounts):
    twins = accounts("one", "two", "three")
    place = twins[0].directory
    for twin in twins:
        twin.set(after_sync=f"mkdir {place}/lock && sleep 0.3 && rmdir {place}/lock")
    result = Accounts(*twins).run("sync")
    assert result.exit == 0, result


# JSON

def keys_of(events, kind):
    return {tuple(event) for event in events if event["event"] == kind}


def test_the_lines_of_sync(user, twin):
    put(user, 1, 2, 3)
    put(user, 4, folder="Gone")
    put(user, 5, folder="Nested/Überall")
    first = twin.sync()
    twin.tree.deliver(mail.plain(20), letters="S")
    twin.tree.delete(twin.tree.find(mail.token(1)))
    with user.client() as client:
        client.store([2], "+FLAGS", ["\\Flagged"], "INBOX")
        client.move([3], "Nested/Überall", "INBOX")
        client.delete("Gone")
    second = twin.sync()
    for result in (first, second):
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert lines[-1]["event"] == "summary", "it comes last"
        assert keys_of(lines, "change") == {
            ("event", "account", "folder", "verb", "uid", "file", "to")}
        summary = lines[-1]
        assert list(summary) == ["event", "account", "exit", *NUMBERS, "seconds"]
        assert all(isinstance(summary[name], int) for name in NUMBERS), summary
        assert isinstance(summary["seconds"], float), summary
        assert {event["account"] for event in lines} == {"test"}
    verbs = [event["verb"] for event in second.events if event["event"] == "change"]
    assert sorted(verbs) == ["delete-local", "delete-remote", "flags-local", "folder-delete-local",
                             "move-local", "upload"], second
    (move,) = [event for event in second.events if event.get("verb") == "move-local"]
    assert (move["folder"], move["to"]) == ("INBOX", "Nested/Überall"), move
    (gone,) = [event for event in second.events if event.get("verb") == "folder-delete-local"]
    assert (gone["folder"], gone["uid"], gone["file"], gone["to"]) == ("Gone", None, None, None)
    for name, count in (("downloaded", 0), ("uploaded", 1), ("moved_local", 1), ("flags_local", 1),
                        ("deleted_remote", 1), ("deleted_local", 1), ("folders_deleted_local", 1)):
        assert second.summary[name] == count, (name, second)
    assert second.summary["round_trips"] > 0 and second.summary["bytes_in"] > 100
    assert_equal(user, twin)


def test_the_summary_counts_what_is_there_in_the_end(user, twin):
    put(user, 1, 2)
    put(user, 3, folder="Gone")
    twin.sync()
    with user.client() as client:
        client.delete("Gone")
        client.expunge(1, "INBOX")
    result = twin.sync()
    assert (result.summary["messages"], result.summary["folders"]) == (1, 1), result


def change_everything(user, twin):
    """Something for every verb but folder-rename-local, which needs a server with MAILBOXID."""
    tree = twin.tree
    put(user, 30)
    tree.deliver(mail.plain(40), letters="S")
    with user.client() as client:
        client.move([1], "To", "From")
        client.store([1], "+FLAGS", ["\\Flagged"], "INBOX")
        client.expunge(2, "INBOX")
        client.create("NewThere")
        client.delete("GoneThere")
    tree.move(tree.find(mail.token(12), "From"), "To")
    copied = tree.find(mail.token(13), "From")
    os.link(copied.path, os.path.join(tree.path("To"), "cur", "1.copied.test:2,"))
    tree.add_letters(tree.find(mail.token(3)), "F")
    tree.delete(tree.find(mail.token(4)))
    tree.edit(tree.find(mail.token(5)), mail.plain(50))
    tree.create("NewHere")
    shutil.rmtree(tree.path("GoneHere"))
    os.rename(tree.path("Old"), tree.path("New"))


def test_a_dry_run_tells_what_the_run_then_does(user, twin):
    put(user, *range(1, 8))
    put(user, 11, 12, 13, folder="From")
    for number, folder in enumerate(("To", "GoneThere", "GoneHere", "Old", "Über/mut")):
        put(user, 20 + number, folder=folder)
    twin.sync()
    change_everything(user, twin)
    before = server_view(user, dates=True)
    here = twin.tree.everything().keys()
    planned = twin.sync("--dry-run")
    assert server_view(user, dates=True) == before and twin.tree.everything().keys() == here
    done = twin.sync()

    def told(result):
        return sorted((event["folder"], event["verb"], event["to"] or "",
                       event["verb"] != "upload" and event["uid"] or 0)
                      for event in result.events if event["event"] == "change")
    assert told(planned) == told(done), (planned, done)
    for name in NUMBERS[:17]:
        assert planned.summary[name] == done.summary[name], (name, planned, done)
    found = {verb: (folder, to) for folder, verb, to, _ in told(done)}
    assert len(found) == 14, found
    assert found["copy-remote"] == found["move-remote"] == found["move-local"] == ("From", "To")
    assert found["folder-rename-remote"] == ("Old", "New")
    assert ("GoneHere", "delete-remote") in {item[:2] for item in told(done)}
    assert_equal(user, twin)


def test_names_that_are_not_utf8(user, twin):
    put(user, 1)
    twin.sync()
    place = os.path.join(twin.root, "INBOX", "cur").encode()
    os.rename(twin.tree.deliver(mail.plain(20), letters="S"),
              os.path.join(place, b"odd\xffname:2,S"))
    planned = twin.run("sync", "-n")
    assert "odd\\xffname" in planned.stdout.lower(), planned
    result = twin.sync()
    (change,) = [event for event in result.events if event["event"] == "change"]
    assert change["verb"] == "upload" and change["file"].startswith("odd\ufffdname"), change


def test_control_characters_are_never_printed(user, twin):
    put(user, 1)
    twin.sync()
    place = os.path.join(twin.root, "INBOX", "cur").encode()
    os.rename(twin.tree.deliver(mail.plain(20), letters="S"),
              os.path.join(place, b"odd\x1b[31mname:2,S"))
    result = twin.sync(expect=1)
    assert "odd\x1b[31mname" in result.problems("name")[0]["message"], "escaped by JSON"
    assert "\x1b" not in result.stdout, result
    shown = twin.run("sync", "--full")
    assert shown.exit == 1 and "odd\\x1b[31mname" in shown.stderr.lower(), shown
    assert "\x1b" not in shown.stdout + shown.stderr, shown


def test_what_was_left_undone_is_named_in_every_run(user, twin):
    put(user, 1)
    twin.sync()
    os.rename(twin.tree.deliver(mail.plain(20), letters="S"),
              os.path.join(twin.root, "INBOX", "cur", "odd\tname:2,S"))
    for _ in range(3):
        result = twin.sync(expect=1)
        assert len(result.problems("name")) == 1, result


def test_the_lines_of_a_problem(user, twin):
    twin.set(password="wrong")
    result = twin.run("sync", "--json")
    (problem,) = result.problems()
    assert list(problem) == ["event", "account", "folder", "kind", "message"], result
    assert (problem["account"], problem["folder"], problem["kind"]) == ("test", None, "login")
    assert list(result.summary) == ["event", "account", "exit", *NUMBERS, "seconds"], result
    for name in ("bytes_in", "bytes_out", "round_trips"):
        assert result.summary[name] > 0, "also what a login cost that was refused"


def test_the_lines_of_status(user, twin):
    fields = ["messages", "unread", "held", "parked", "skipped", "last_sync"]
    never = twin.run("status", "--json")
    (account,) = never.events
    assert list(account) == ["event", "account", "folders", *fields, "age", "exit"], never
    assert (account["folders"], account["last_sync"], account["age"]) == (0, None, None), never
    assert never.exit == account["exit"] == 0, never
    put(user, 1, 2)
    put(user, 3, folder="Über")
    twin.sync()
    result = twin.run("status", "--json")
    folders, account = result.events[:-1], result.events[-1]
    assert {tuple(event) for event in folders} == {("event", "account", "folder", *fields)}
    assert [event["folder"] for event in folders] == ["INBOX", "Über"], result
    assert [event["messages"] for event in folders] == [2, 1], result
    assert all(TIME.match(event["last_sync"]) for event in result.events), result
    assert account["event"] == "account" and 0 <= account["age"] < 100, result
    assert (account["folders"], account["messages"], account["unread"]) == (2, 3, 3), result
    shown = twin.run("status")
    assert shown.stderr == "" and "Über" in shown.stdout, shown
    twin.set(state=twin.config)
    assert twin.run("status").exit == 74, "a file in the way is not a state that is still to come"


def test_the_lines_of_folders(user, make_twin):
    twin = make_twin(user, folders=["*", "!Spam"])
    put(user, 1)
    put(user, 2, folder="Spam")
    put(user, 3, folder="Trash")
    put(user, 4, folder="Über/mut")
    twin.sync()
    twin.tree.create("Here")
    put(user, 5, folder="There")
    result = twin.run("folders", "--json")
    assert result.exit == 0, result
    assert {tuple(event) for event in result.events} == {
        ("event", "account", "folder", "remote", "local", "special", "chosen", "reason")}
    found = {event["folder"]: event for event in result.events}
    assert sorted(found) == ["Here", "INBOX", "Spam", "There", "Trash", "Über/mut"], result
    assert found["Here"]["remote"] is None and found["Here"]["local"], result
    assert found["There"]["local"] is None and found["There"]["remote"] == "There", result
    assert found["Über/mut"]["remote"] == "&ANw-ber/mut", "as it is on the wire"
    assert found["Trash"]["special"] == "\\Trash" and found["INBOX"]["special"] is None, result
    assert [name for name in found if not found[name]["chosen"]] == ["Spam"], result
    assert found["Spam"]["reason"] and found["INBOX"]["reason"] is None, result
    shown = twin.run("folders")
    assert shown.exit == 0 and shown.stderr == "" and "Über/mut" in shown.stdout, shown


@pytest.mark.parametrize("command", ["status", "folders"])
def test_several_accounts_in_a_list(accounts, command):
    one, two = accounts("one", "two")
    both = Accounts(one, two)
    assert both.run("sync").exit == 0
    result = both.run(command, "--json")
    assert result.exit == 0 and {event["account"] for event in result.events} == {"one", "two"}
    assert {event["account"] for event in both.run(command, "--json", "two").events} == {"two"}


# Output and help

@pytest.mark.parametrize("arguments", [["help"], ["version"], ["status"], ["sync", "--json"]],
                         ids=lambda words: words[0])
def test_output_that_cannot_be_written(user, twin, arguments):
    result = twin.run(*arguments, before=["sh", "-c", 'exec "$@" >/dev/full', "sh"])
    assert result.exit == 74 and "standard output" in result.stderr, result


@pytest.mark.parametrize("closed, exit", [("2>&-", 0), (">&-", 74), ("<&- >&- 2>&-", 74)])
def test_a_stream_that_is_closed_is_not_taken_for_a_file(user, twin, closed, exit):
    """The next file that is opened would have its number, and get what is meant for people."""
    for number in (1, 2):
        put(user, number)
        result = twin.run("-vv", "sync", before=["sh", "-c", f'exec "$@" {closed}', "sh"])
        assert result.exit == exit, result
        assert_equal(user, twin)
    assert twin.run("sync", "--json").summary["downloaded"] == 0


@pytest.mark.parametrize("command", ["sync", "status", "folders", "help", "version"])
def test_help(twin, command):
    texts = [twin.run("help", command), twin.run(command, "--help"), twin.run(command, "-h"),
             twin.run("-h", command)]
    assert all(text.exit == 0 and text.stderr == "" for text in texts), texts
    assert len({text.stdout for text in texts[:1] if command != "help"} |
               {text.stdout for text in texts[1:] if command != "help"}) < 2, texts
    assert "usage: mailtwin" in texts[0].stdout, texts


@pytest.mark.parametrize("arguments, words", [
    (["help", "nonsense"], "nonsense"), (["status", "--dry-run"], "--dry-run"),
    (["sync", "--allow-delete", "--undo-delete"], "exclude"), (["sync", "-x"], "-x"),
    (["sync", "-c"], "-c"), (["sync", "--json=yes"], "--json"), (["version", "more"], "more"),
    (["help", "sync", "status"], "status")], ids=lambda value: "")
def test_usage_errors_name_the_word(twin, arguments, words):
    result = twin.run(*arguments)
    assert result.exit == 64 and len(result.error_lines()) == 1, result
    assert words in result.stderr and result.stdout == "", result


# The manual

def manual(name):
    with open(os.path.join(TOP, "docs", name), encoding="utf-8") as file:
        return file.read()


def test_the_manual_has_every_option_of_the_configuration():
    with open(os.path.join(TOP, "src", "sync", "config_check.c"), encoding="utf-8") as file:
        options = re.findall(r'^\t[A-Z]+\("([a-z-]+)", \w+', file.read(), re.M)
    assert len(options) > 20 and "password-command" in options
    assert [name for name in options if f"\n.It Ic {name}\n" not in manual("mailtwin.conf.5")] == []


def test_the_manual_has_every_option_of_the_command_line(twin):
    shown = twin.run("help").stdout + twin.run("help", "sync").stdout
    options = re.findall(r"--([a-z-]+)", shown)
    assert "undo-delete" in options
    assert [name for name in options if f"Fl -{name}\n" not in manual("mailtwin.1")] == []


def test_the_manual_has_every_number_of_the_summary():
    words = re.findall(r"\w+", manual("mailtwin.1"))
    assert [name for name in NUMBERS if name not in words] == []
