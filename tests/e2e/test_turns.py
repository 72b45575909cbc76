"""Many folders with a few changes each: what is asked for, or sent, goes out for many of them in one
write, so that a long line costs a few turns and not some a folder."""
import shutil

import pytest

import mail
from acts import deliver
from mailtwin import assert_equal, assert_quiet

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
