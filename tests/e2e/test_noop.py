"""A run with nothing to do writes nothing: no changing command, no file outside the state."""
import os
import shutil

import pytest

import mail
from mailtwin import assert_equal, assert_quiet


def fill(user):
    with user.client() as client:
        client.create("Archive/2024")
        client.create("Entwürfe")
        for folder in ("INBOX", "Archive/2024", "Entwürfe"):
            client.append_many(mail.batch(0, 15), folder)


def act_pull(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(100, 5))


def act_push(user, twin):
    for number in range(200, 205):
        twin.tree.deliver(mail.mixed(number), "Entwürfe", "DS")
    twin.tree.deliver(mail.plain(210))


def act_flags(user, twin):
    with user.client() as client:
        client.store([1, 2, 3], "FLAGS", ["\\Seen", "later"], "INBOX")
    for file in twin.tree.read("Entwürfe")[:5]:
        twin.tree.add_letters(file, "FR")


def act_delete(user, twin):
    with user.client() as client:
        client.expunge([1, 2], "INBOX")
    twin.tree.delete(twin.tree.read("Entwürfe")[0])


def act_move(user, twin):
    with user.client() as client:
        client.move([1, 2], "Entwürfe", "INBOX")
    twin.tree.move(twin.tree.read("Entwürfe")[0], "Archive/2024")


def act_folders(user, twin):
    with user.client() as client:
        client.create("New/there")
        client.rename("Entwürfe", "Drafts")
    twin.tree.create("New/here")


def act_forget(user, twin):
    twin.forget_state()


def act_uidvalidity(user, twin):
    user.server.wait_idle()
    user.new_uidvalidity()


def act_restore(user, twin):
    shutil.copytree(twin.root, twin.root + ".copy")
    shutil.rmtree(twin.root)
    shutil.move(twin.root + ".copy", twin.root)


ACTS = [act_pull, act_push, act_flags, act_delete, act_move, act_folders, act_forget,
        act_uidvalidity, act_restore]


@pytest.mark.parametrize("layout", ["nested", "maildir++"])
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__[4:])
def test_the_second_run_is_silent(user, make_twin, act, layout):
    fill(user)
    twin = make_twin(user, layout=layout)
    twin.sync()
    assert_quiet(user, twin)
    act(user, twin)
    twin.sync()
    assert_equal(user, twin)
    assert_quiet(user, twin)


@pytest.mark.parametrize("act", ACTS[:5], ids=lambda act: act.__name__[4:])
def test_a_poor_server_makes_no_difference(dovecot, make_twin, act):
    user = dovecot.new_user(hide=["QRESYNC", "CONDSTORE", "MOVE", "ESEARCH", "LIST-STATUS",
                                  "LITERAL+", "COMPRESS=DEFLATE"])
    fill(user)
    twin = make_twin(user)
    twin.sync()
    act(user, twin)
    twin.sync()
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_nothing_is_printed_off_a_terminal_when_nothing_changed(user, twin):
    fill(user)
    first = twin.run("sync")
    assert first.exit == 0 and len(first.stdout.splitlines() + first.error_lines()) == 1, first
    second = twin.run("sync")
    assert (second.exit, second.stdout, second.stderr) == (0, "", "")


def test_a_quiet_run_leaves_the_base_alone(user, twin):
    """Not a page of it is written, and `status` tells of the run all the same, of every folder."""
    def base():
        found = os.stat(os.path.join(twin.state, "data.mdb"))
        return found.st_ino, found.st_size, found.st_mtime_ns

    def last_sync():
        return {event["last_sync"] for event in twin.run("status", "--json").events}

    fill(user)
    twin.sync()
    twin.sync(later=3600)  # directories whose stamps were too young are read once more
    before, told = base(), last_sync()
    twin.sync(later=7200)
    assert base() == before
    assert len(last_sync()) == 1 and max(last_sync()) > max(told), (told, last_sync())
    with user.client() as client:
        client.store([1], "+FLAGS", ["\\Flagged"], "INBOX")
    twin.sync(later=10800)
    assert base() != before
    assert len(last_sync()) == 1, "those that were left as they are, too"


def test_what_is_not_in_order_is_not_told_so(user, twin):
    """A folder that could not be synchronized keeps its time, the others get theirs."""
    fill(user)
    twin.sync()
    twin.sync(later=3600)
    path = twin.tree.path("Entwürfe")
    os.rename(os.path.join(path, "cur"), os.path.join(path, "away"))
    with open(os.path.join(path, "cur"), "w"):
        pass
    twin.run("sync", later=7200)
    told = {event["folder"]: event["last_sync"] for event in twin.run("status", "--json").events[:-1]}
    assert told["Entwürfe"] < told["INBOX"] == told["Archive/2024"], told


def test_a_quiet_account_costs_one_round_trip(user, make_twin):
    twin = make_twin(user, tls=True)
    fill(user)
    twin.sync()
    summary = twin.sync().summary
    assert summary["round_trips"] == 1, summary  # the list goes out with the login
    user.server.wait_idle()
    user.forget_log()
    twin.sync()
    user.server.wait_idle()
    names = {command.split()[0].upper() for command in user.commands()}
    assert "SELECT" not in names and "EXAMINE" not in names, user.commands()


def test_many_folders_with_changes_cost_few_turns(user, twin):
    """Views, and the messages that must still be the same before others are taken for gone, in one burst."""
    names = [f"list-{i}" for i in range(40)]
    with user.client() as client:
        for name in names:
            client.create(name)
            client.append_many([(mail.plain(number), ["\\Seen"], mail.FIRST_DATE + number)
                                for number in range(6)], name)
    twin.sync()
    with user.client() as client:
        for name in names:
            client.expunge([2], name)
    summary = twin.sync().summary
    assert summary["deleted_local"] == len(names)
    assert summary["round_trips"] < len(names), summary
    twin.sync()
