"""What goes wrong ends with the documented exit status and says one clear thing."""
import os
import shutil
import signal
import socket
import time

import pytest

import mail
from mailtwin import assert_equal, localhost
from proxy import Proxy


def one_line(result, exit, *words):
    """The status, and one line on standard error that holds the words."""
    assert result.exit == exit, result
    assert len(result.error_lines()) == 1, result
    for word in words:
        assert word.lower() in result.stderr.lower(), (word, result)
    return result


def test_wrong_password(user, twin):
    twin.set(password="wrong")
    one_line(twin.run("sync"), 77, "refused the login", user.name, "password")


def test_a_server_that_waits_for_tls_is_asked_in_plain_text(user, twin):
    twin.set(port=user.server.tls, timeout=1)
    one_line(twin.run("sync"), 75, "no answer", "implicit")


def test_password_is_never_shown(user, twin):
    with user.client() as client:
        client.append(mail.plain(1))
    result = twin.run("-vv", "sync")
    assert result.exit == 0 and result.stderr, result
    assert user.password not in result.stderr + result.stdout
    import base64
    plain = base64.b64encode(f"\0{user.name}\0{user.password}".encode()).decode()
    assert plain not in result.stderr


@pytest.mark.parametrize("auth", ["plain", "login", "cram-md5", "scram-sha-256"])
def test_each_way_to_log_in(user, twin, auth):
    twin.set(auth=auth)
    twin.sync()


def test_password_command(user, twin):
    with open(os.path.join(twin.directory, "secret"), "w", encoding="utf-8") as file:
        file.write(user.password + "\nsecond line\n")
    twin.set(password=None, password_command="cat " + os.path.join(twin.directory, "secret"))
    twin.sync()
    twin.set(password_command="echo nothing >&2; exit 3")
    result = twin.run("sync")
    assert result.exit == 77 and "password-command" in result.stderr, result


@pytest.mark.parametrize("host, words", [
    ("127.0.0.2", ["expired"]), ("127.0.0.3", ["127.0.0.3"]), ("127.0.0.4", ["certificate"])],
    ids=["expired", "wrong-host", "untrusted"])
def test_certificates(user, make_twin, host, words):
    twin = make_twin(user, tls=True, host=host)
    user.forget_log()
    one_line(twin.run("sync"), 77, host, *words)
    assert user.commands() == []


def test_a_fingerprint_replaces_chain_and_name(user, make_twin):
    certs = user.server.certs
    twin = make_twin(user, tls=True, host="127.0.0.4", ca_file=None,
                     fingerprint=certs.fingerprint("untrusted"))
    twin.sync()
    twin.set(fingerprint=certs.fingerprint("good"))
    one_line(twin.run("sync"), 77, "fingerprint")


def test_server_down(user, twin):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        twin.set(port=sock.getsockname()[1])
        one_line(twin.run("sync"), 75, "127.0.0.1")


def test_unknown_host(user, twin):
    twin.set(host="no-such-host.invalid", tls="implicit")
    one_line(twin.run("sync"), 75, "no-such-host.invalid")


def test_plaintext_beyond_loopback_is_refused(user, twin):
    twin.set(host="192.0.2.1", timeout=2)
    result = twin.run("sync", timeout=30)
    assert result.exit in (75, 77, 78), result


def test_starttls_that_cannot_be_had(user, twin):
    with Proxy(("127.0.0.1", user.server.plain), hide=["STARTTLS"],
               refuse=[(rb"STARTTLS", b"BAD no")]) as proxy:
        twin.set(port=proxy.port, tls="starttls", ca_file=user.server.ca, host=localhost())
        one_line(twin.run("sync"), 77, "starttls")
        assert not any("LOGIN" in line or "AUTH" in line for line in proxy.commands())


def test_server_says_bye_in_the_middle(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(0, 50))
    with Proxy(("127.0.0.1", user.server.plain), cut_server=30_000, times=1) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync")
        assert proxy.faults() == ["cut_server"]
        assert result.exit in (0, 75), result
        twin.sync()
    assert_equal(user, twin)


@pytest.mark.parametrize("text, words", [
    ("account test {\n    host = 'x'\n    hots = 'y'\n}\n", [":3", "hots"]),
    ("account test {\n    host = 'x'\n    user = 'u'\n    password = 'p'\n    maildir = '~/M'\n"
     "    port = 99999\n}\n", [":6", "port"]),
    ("account test {\n    host = 'x'\n    port = 143\n    port = 144\n}\n", ["port"]),
    ("account a {\n    host = 'x'\n}\naccount a {\n    host = 'y'\n}\n", ["a"]),
    ("account test {\n    tls = 'maybe'\n}\n", [":2", "tls"]),
    ("account test {\n", ["mailtwin.conf"]),
], ids=["unknown", "range", "twice", "account-twice", "value", "open"])
def test_configuration_errors_name_file_and_line(twin, text, words):
    twin.write_config(text)
    one_line(twin.run("sync"), 78, "mailtwin.conf", *words)


def test_configuration_that_others_can_read_and_has_a_password(twin):
    os.chmod(twin.config, 0o644)
    one_line(twin.run("sync"), 78, "mailtwin.conf")


def test_no_configuration(twin):
    os.unlink(twin.config)
    result = twin.run("sync")
    assert result.exit == 78 and "mailtwin sync" in result.stderr, "it says what to do next"


@pytest.mark.parametrize("arguments", [["nonsense"], ["sync", "--nonsense"], ["sync", "stranger"],
                                       ["sync", "test:NoSuchFolder"], []],
                         ids=["command", "option", "account", "folder", "nothing"])
def test_usage(twin, arguments):
    result = twin.run(*arguments)
    assert result.exit == 64 and result.stderr, result


def test_version_and_help(twin):
    assert "mailtwin 0." in twin.run("version").stdout
    assert "sync" in twin.run("help").stdout
    assert "sync" in twin.run("--help").stdout


def test_a_second_run_at_once(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(0, 100))
    with Proxy(("127.0.0.1", user.server.plain), delay=0.3) as proxy:
        twin.set(port=proxy.port)
        first = twin.start("sync")
        deadline = time.monotonic() + 10
        while not proxy.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        one_line(twin.run("sync"), 75, "test")
        waiting = twin.run("sync", "--wait")
        assert first.wait(60) == 0, first.communicate()
        assert waiting.exit == 0, waiting
        first.communicate()
    assert_equal(user, twin)


def test_sigterm_ends_in_order(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(0, 200))
    with Proxy(("127.0.0.1", user.server.plain), delay=0.3) as proxy:
        twin.set(port=proxy.port)
        run = twin.start("sync")
        deadline = time.monotonic() + 10
        while not proxy.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(1.0)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=30)
        assert run.returncode in (0, 75)
    twin.set(port=user.server.plain)
    twin.sync()
    assert_equal(user, twin)


def test_disk_full(user, make_twin, small_disk):
    with user.client() as client:
        for number in range(8):
            client.append(mail.plain(number, size=1_000_000))
    twin = make_twin(user, maildir=str(small_disk / "Mail"))
    result = twin.run("sync")
    assert result.exit == 74, result
    assert "space" in result.stderr.lower(), result
    for number in range(4):
        with user.client() as client:
            client.expunge(client.uids("INBOX")[:1])
    with user.client() as client:
        assert len(client.uids("INBOX")) == 4


def test_a_directory_that_cannot_be_written(user, make_twin, tmp_path):
    if os.getuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "closed").mkdir(mode=0o500)
    twin = make_twin(user, maildir=str(tmp_path / "closed" / "Mail"))
    one_line(twin.run("sync"), 74, "closed")


def test_a_root_that_is_a_link_to_nowhere(user, twin):
    os.symlink("/no/such/disk", twin.root)
    one_line(twin.run("sync"), 74, twin.root, "/no/such/disk", "mounted")


def spoil(path, how):
    """Returns what mends it."""
    if how == "closed":
        if os.getuid() == 0:
            pytest.skip("root may read everything")
        os.chmod(path, 0)
        return lambda: os.chmod(path, 0o700)
    os.rename(path, path + ".away")
    if how == "symlink":
        os.symlink(path + ".away", path)

    def mend():
        if os.path.islink(path):
            os.unlink(path)
        os.rename(path + ".away", path)
    return mend


@pytest.mark.parametrize("part, how", [
    ("dovecot-keywords", "symlink"), ("dovecot-keywords", "closed"), ("cur", "symlink"),
    ("new", "missing"), ("new", "closed")])
def test_one_folder_does_not_stop_the_others(user, twin, part, how):
    with user.client() as client:
        client.append(mail.plain(1), flags=["\\Seen"])
        client.create("Odd")
        client.append(mail.plain(2), "Odd", flags=["work"])
    twin.sync()
    mend = spoil(os.path.join(twin.tree.path("Odd"), part), how)
    with user.client() as client:
        client.append(mail.plain(3))
        client.append(mail.plain(4), "Odd")
    result = twin.sync(expect=1)
    assert [event["folder"] for event in result.problems()] == ["Odd"], result
    assert len(twin.tree.read()) == 2, result
    mend()
    twin.sync()
    assert_equal(user, twin)


def test_what_may_be_in_a_folder_that_cannot_be_read_is_not_gone(user, twin):
    with user.client() as client:
        for number, folder in enumerate(("INBOX", "INBOX", "Odd", "Whole")):
            if folder not in client.list():
                client.create(folder)
            client.append(mail.plain(number), folder)
    twin.sync()
    twin.tree.move(twin.tree.find(mail.token(0)), "Odd")
    twin.tree.move(twin.tree.find(mail.token(3), "Whole"), "Odd")
    shutil.rmtree(twin.tree.path("Whole"))
    mend = spoil(os.path.join(twin.tree.path("Odd"), "new"), "missing")
    result = twin.sync(expect=1)
    assert {event["folder"] for event in result.problems("folder")} == {"Odd", "INBOX", "Whole"}
    with user.client() as client:
        assert (client.uids("INBOX"), client.uids("Whole")) == ([1, 2], [1]), "they may be in Odd"
    mend()
    result = twin.sync()
    assert (result.summary["moved_remote"], result.summary["uploaded"]) == (2, 0), result
    assert_equal(user, twin)


def test_one_account_does_not_stop_the_others(dovecot, twin, user):
    with user.client() as client:
        client.append(mail.plain(1))
    with open(twin.config, encoding="utf-8") as file:
        text = file.read()
    bad = text.replace("account test", "account bad").replace(twin.root, twin.root + "-bad") \
        .replace(f"port = {user.server.plain}", "port = 1")
    twin.write_config(bad + text)
    result = twin.run("sync", "--json")
    assert result.exit == 75, result
    assert len(twin.tree.read()) == 1
    assert {event["account"] for event in result.events if event["event"] == "summary"} == {
        "bad", "test"}


def test_problems_are_json_too(twin):
    twin.set(password="wrong")
    result = twin.run("sync", "--json")
    assert result.exit == 77 and result.problems("login"), result
    assert result.summary["exit"] == 77


def test_status_and_folders(user, twin):
    with user.client() as client:
        client.append(mail.plain(1))
        client.append(mail.plain(2), flags=["\\Seen"])
    twin.sync()
    user.forget_log()
    status = twin.run("status", "--json")
    assert status.exit == 0, status
    (account,) = [event for event in status.events if event["event"] == "account"]
    assert (account["messages"], account["unread"], account["exit"]) == (2, 1, 0)
    user.server.wait_idle()
    assert user.commands() == [], "status works offline"
    folders = twin.run("folders", "--json")
    assert [event["folder"] for event in folders.events] == ["INBOX"] and folders.exit == 0


@pytest.mark.parametrize("command", ["check", "init"])
def test_commands_that_are_to_come_are_refused(twin, command):
    result = twin.run(command)
    assert result.exit == 64 and "not supported yet" in result.stderr, result
    assert len(result.error_lines()) == 1 and result.stdout == "", result
