"""What became of mail whose sending is in doubt: the answer was lost, the server made other bytes of
it, or its UIDs began anew. It is found again, whatever the user did to the file meanwhile."""
import os
import re

import pytest

import mail
from acts import (assert_silent, deliver, expunge_there, file_of, fill, here, number_of, renumber,
                  there)
from proxy import Proxy

NO_UIDPLUS = ["UIDPLUS", "MOVE"]
LOST = rb"^\S+ OK \[APPENDUID"
EXTENSIONS = pytest.mark.parametrize("hide", [[], NO_UIDPLUS], ids=["uidplus", "no-uidplus"])


class Rewriting(Proxy):
    """A server that keeps of each message little but its Message-ID and length: the header says
    another recipient, the body other words."""

    async def _send(self, connection, way, data, writer, queue):
        if way == "client":
            data = re.sub(rb"(?<=^To: )[a-z]+", lambda word: word.group().upper(), data, flags=re.M)
            data = data.replace(b" the ", b" THE ").replace(b" quick ", b" QUICK ")
        await super()._send(connection, way, data, writer, queue)


@pytest.fixture
def lossy(user, make_twin):
    """lossy(proxy's class, hide, **its rules): a twin in sync but for 20 and 21, and the proxy."""
    proxies = []

    def make(kind, hide=(), **rules):
        plain = [(rb"\[APPENDUID \d+ \S+\] ", b"")] if "UIDPLUS" in hide else []
        proxy = kind(("127.0.0.1", user.server.plain), hide=hide, replace=plain, **rules)
        proxies.append(proxy)
        proxy.__enter__()
        fill(user, "INBOX", 1, 2)
        twin = make_twin(user, port=proxy.port)
        twin.sync()
        deliver(twin, "INBOX", 20, 21)
        return twin, proxy
    yield make
    for proxy in proxies:
        proxy.__exit__()


def appends(proxy):
    return sum(" APPEND " in command for command in proxy.commands())


def assert_once(user, twin, numbers):
    """Each is there once on each side, and tied together: a removal here reaches the server."""
    assert there(user) == here(twin) == {"INBOX": numbers}
    assert_silent(user, twin)
    os.unlink(file_of(twin, numbers[-1]).path)
    expunge_there(user, numbers[0])
    assert twin.sync().summary["downloaded"] == 0
    assert there(user) == here(twin) == {"INBOX": numbers[1:-1]}


def rewritten(user):
    with user.client() as client:
        return sorted(number_of(message.data) for message in client.fetch_all().values()
                      if b"\nTo: READER@" in message.data)


@EXTENSIONS
def test_a_server_that_rewrites(user, lossy, hide):
    twin, proxy = lossy(Rewriting, hide)
    data = file_of(twin, 20).data
    assert twin.sync().summary["uploaded"] == 2
    assert rewritten(user) == [20, 21] and file_of(twin, 20).data == data
    assert_once(user, twin, [1, 2, 20, 21])
    assert twin.sync(later=120).summary["uploaded"] == 0


def moves(twin, number):
    twin.tree.move(file_of(twin, number), "A")


def edits(twin, number):
    twin.tree.edit(file_of(twin, number), mail.plain(30))


def deletes(twin, number):
    os.unlink(file_of(twin, number).path)


ACTS = {"nothing": (lambda twin, number: None, {"INBOX": [1, 2, 20, 21]}),
        "moved": (moves, {"INBOX": [1, 2, 21], "A": [20]}),
        "edited": (edits, {"INBOX": [1, 2, 21, 30]}),
        "deleted": (deletes, {"INBOX": [1, 2, 21]})}


@pytest.mark.parametrize("name", ACTS)
@EXTENSIONS
def test_the_answer_of_a_server_that_rewrites_is_lost(user, lossy, hide, name):
    """Nothing but Message-ID and date says that the new message there is this file's."""
    act, expected = ACTS[name]
    twin, proxy = lossy(Rewriting, hide, drop_reply=LOST, times=1)
    assert twin.sync(expect=1).problems("parked")
    assert proxy.faults() == ["drop_reply"] and rewritten(user) == [20, 21]
    act(twin, 20)
    sent = appends(proxy)
    for later in (120, 240):
        result = twin.sync(later=later)
        assert result.summary["downloaded"] == 0, result
    assert there(user) == here(twin) == expected
    assert appends(proxy) - sent == (name == "edited")
    assert_silent(user, twin)


def test_two_with_one_message_id_are_sent_again(user, lossy):
    """It cannot be told which is which: a copy too many rather than one of the two lost."""
    twin, proxy = lossy(Rewriting, drop_reply=LOST, times=1)
    for number in (20, 21):
        file = file_of(twin, number)
        twin.tree.edit(file, mail.plain(number).replace(b"<" + mail.token(number), b"<same"))
        os.utime(file.path, (mail.FIRST_DATE, mail.FIRST_DATE))
    assert twin.sync(expect=1).problems("parked")
    for later in (120, 240):
        twin.sync(later=later)
    assert there(user) == here(twin) == {"INBOX": [1, 2, 20, 20, 21, 21]}
    assert_silent(user, twin)


@pytest.mark.parametrize("name, expected", [
    ("nothing", {"INBOX": [1, 2, 20, 21]}),
    ("moved", {"INBOX": [1, 2, 20, 21]}),  # the server's place wins
    ("edited", {"INBOX": [1, 2, 20, 21, 30]}),
    ("deleted", {"INBOX": [1, 2, 20, 21]}),
])
def test_the_answer_is_lost_and_uidvalidity_changes(user, lossy, name, expected):
    """UIDNEXT of before means nothing: all of the mailbox is searched. Nothing is destroyed when
    UIDs are new, so what was deleted or edited comes back once."""
    twin, _ = lossy(Proxy, drop_reply=LOST, times=1)
    assert twin.sync(expect=1).problems("parked")
    ACTS[name][0](twin, 20)
    renumber(user, "INBOX")
    for later in (120, 240):
        twin.sync(later=later)
    assert there(user) == here(twin) == expected
    assert_silent(user, twin)
