"""Many folders with a few changes each: what is asked for, or sent, goes out for many of them in one
write, so that a long line costs a few turns and not some a folder."""
import shutil

import pytest

import mail
from acts import deliver
from mailtwin import assert_equal, assert_quiet
from proxy import Proxy

NAMES = [f"list-{i:02}" for i in range(40)]
NEXT = dict(zip(NAMES, NAMES[1:] + NAMES[:1]))
FEW = 16  # the login, the list, and some bursts on each connection


@pytest.fixture
def synced(user, twin):
    """With ten messages in each folder, of other bytes everywhere."""
    with user.client() as client:
        for i, name in enumerate(NAMES):
            client.create(name)
            client.append_many([(mail.plain(10 * i + number), ["\\Seen"], mail.FIRST_DATE + number)
                                for number in range(10)], name)
    twin.sync()
    return twin


def sync_and_settle(user, twin):
    """The summary of a run after which all is equal, and which leaves the next nothing to do."""
    summary = twin.sync().summary
    assert_equal(user, twin)
    assert_quiet(user, twin)
    return summary


def test_moves_there(user, synced):
    with user.client() as client:
        for name in NAMES:
            client.move([2, 3], NEXT[name], name)
    summary = sync_and_settle(user, synced)
    assert summary["moved_local"] == 2 * len(NAMES)
    assert summary["round_trips"] <= FEW, summary


def test_one_connection_for_changes_to_files(user, synced):
    """What needs nothing of the server needs no second login."""
    with user.client() as client:
        for name in NAMES:
            client.store([1], "+FLAGS", ["\\Flagged"], name)
            client.expunge([2], name)
    with Proxy(("127.0.0.1", user.server.plain)) as proxy:
        synced.set(port=proxy.port)
        summary = synced.sync().summary
        assert len(proxy.connections) == 1
    synced.set(port=user.server.plain)
    assert summary["flags_local"] == summary["deleted_local"] == len(NAMES)
    assert_equal(user, synced)
    assert_quiet(user, synced)


def test_a_long_line(user, synced):
    """All forty are asked in one write, then the new messages fetched in another."""
    with user.client() as client:
        for i, name in enumerate(NAMES):
            client.append(mail.plain(1000 + i), mailbox=name)
    with Proxy(("127.0.0.1", user.server.plain), delay=0.025) as proxy:
        synced.set(port=proxy.port)
        summary = synced.sync().summary
    synced.set(port=user.server.plain)
    assert summary["downloaded"] == len(NAMES)
    assert summary["round_trips"] <= 7, summary
    assert_equal(user, synced)
    assert_quiet(user, synced)


def test_pairing_again(user, synced):
    """Without a base each message is recognised by its header."""
    shutil.rmtree(synced.state)
    summary = sync_and_settle(user, synced)
    assert (summary["downloaded"], summary["uploaded"]) == (0, 0)
    assert summary["round_trips"] <= FEW, summary


def test_new_mail_here(user, synced):
    for i, name in enumerate(NAMES):
        deliver(synced, name, 1000 + 2 * i, 1001 + 2 * i)
    summary = sync_and_settle(user, synced)
    assert summary["uploaded"] == 2 * len(NAMES)
    assert summary["round_trips"] <= FEW, summary


def test_new_mail_here_takes_few_descriptors(user, synced):
    """Of sixteen and more folders that are sent to together, one is open at a time."""
    for i, name in enumerate(NAMES):
        deliver(synced, name, 1000 + i)
    with Proxy(("127.0.0.1", user.server.plain), delay=0.025) as proxy:
        synced.set(port=proxy.port)
        summary = synced.sync(before=["prlimit", "--nofile=60:60"]).summary
    synced.set(port=user.server.plain)
    assert summary["uploaded"] == len(NAMES)
    assert_equal(user, synced)


def test_new_folders_here(user, synced):
    """CREATE, SUBSCRIBE and SELECT, then the message: each for many folders in one write."""
    for i in range(40):
        deliver(synced, f"new-{i:02}/below" if i % 2 else f"new-{i:02}", 1000 + i)
    summary = sync_and_settle(user, synced)
    assert (summary["folders_created_remote"], summary["uploaded"]) == (40, 40), summary
    assert summary["round_trips"] <= 2 * FEW, summary


# A command with UIDs waits until its mailbox was seen to be the one that is meant: a turn for each
# folder, but not two.
EACH = len(NAMES) + 24


def test_flags_here(user, synced):
    for name in NAMES:
        for file in synced.tree.read(name)[:2]:
            synced.tree.add_letters(file, "F")
    summary = sync_and_settle(user, synced)
    assert summary["flags_remote"] == 2 * len(NAMES)
    assert summary["round_trips"] <= EACH, summary


def test_moves_here(user, synced):
    for name, files in [(name, synced.tree.read(name)[:2]) for name in NAMES]:
        for file in files:
            synced.tree.move(file, NEXT[name])
    summary = sync_and_settle(user, synced)
    assert summary["moved_remote"] == 2 * len(NAMES)
    assert summary["round_trips"] <= EACH, summary


@pytest.mark.parametrize("command", [rb" UID STORE ", rb" UID MOVE "])
def test_a_cut_amid_many_folders(user, synced, command):
    """The mailbox that was selected along is gone with the connection."""
    for name in NAMES[:6]:
        files = synced.tree.read(name)
        synced.tree.add_letters(files[0], "F")
        synced.tree.move(files[1], NEXT[name])
    with Proxy(("127.0.0.1", user.server.plain), cut_command=(command, 3)) as proxy:
        synced.set(port=proxy.port)
        assert synced.run("sync", "--json").exit in (0, 1, 75)
        assert proxy.faults() == ["cut_command"]
    synced.set(port=user.server.plain)
    user.server.wait_idle()
    synced.run("sync", later=120)
    sync_and_settle(user, synced)
