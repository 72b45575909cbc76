"""Servers that lack extensions, in every combination that matters: the same life, the same end."""
import itertools
import os

import pytest

import mail
from acts import (assert_settled, assert_silent, deliver, expunge_there, file_of, fill,
                  flags_there, here, move_there, store_there, there)
from proxy import Proxy

GROUPS = {"uidplus": ["UIDPLUS"], "move": ["MOVE"], "condstore": ["CONDSTORE", "QRESYNC"],
          "list": ["LIST-STATUS", "LIST-EXTENDED"], "literal": ["LITERAL+", "MULTIAPPEND"]}
ALL = sorted({item for items in GROUPS.values() for item in items} |
             {"ENABLE", "UNSELECT", "NAMESPACE", "SPECIAL-USE", "ID", "SASL-IR", "ESEARCH", "IDLE"})


def life(user, twin, keywords=True):
    """Something of everything, on both sides, in three runs. Returns what must be there then."""
    todo, later = ({"todo"}, {"later"}) if keywords else (set(), set())
    fill(user, "INBOX", *range(20), flags=["\\Seen", *todo])
    fill(user, "A", *range(50, 53))
    fill(user, "A/Child", 60)
    deliver(twin, "INBOX", 100, 101, 102)
    deliver(twin, "Mine/Own", 110)
    twin.sync()
    twin.sync()
    # Here.
    twin.tree.add_letters(file_of(twin, 1), "FR")
    twin.tree.remove_letters(file_of(twin, 2), "S")
    os.unlink(file_of(twin, 3).path)
    twin.tree.move(file_of(twin, 4), "A")
    twin.tree.move(file_of(twin, 5), "New", new_name=True)
    twin.tree.edit(file_of(twin, 6), mail.plain(106))
    twin.tree.deliver(file_of(twin, 7).data, "A", "S")
    deliver(twin, "A", 120, 121)
    # There.
    store_there(user, 8, "+FLAGS", ["\\Flagged", *later])
    store_there(user, 9, "-FLAGS", ["\\Seen", *todo])
    expunge_there(user, 10)
    move_there(user, 11, "INBOX", "A")
    fill(user, "INBOX", 130)
    fill(user, "Late", 140)
    # Both.
    twin.tree.add_letters(file_of(twin, 12), "F")
    store_there(user, 12, "+FLAGS", ["\\Answered"])
    os.unlink(file_of(twin, 13).path)
    expunge_there(user, 13)
    for seconds in (None, 120, 240):
        twin.sync(later=seconds)
    flags = flags_there(user)
    assert flags[1] == {"\\Seen", "\\Flagged", "\\Answered"} | todo
    assert flags[2] == todo and flags[9] == set()
    assert flags[8] == {"\\Seen", "\\Flagged"} | todo | later
    assert flags[12] == {"\\Seen", "\\Flagged", "\\Answered"} | todo
    gone = {3, 4, 5, 6, 10, 11, 13}
    return {"INBOX": sorted({*range(20)} - gone | {100, 101, 102, 106, 130}),
            "A": [4, 7, 11, 50, 51, 52, 120, 121], "A/Child": [60], "Mine/Own": [110], "New": [5],
            "Late": [140]}


# An orthogonal array of strength 3: of any three of these, every combination is there. The columns are
# vectors of odd weight, no three of which are dependent; the first row lacks nothing, the last all.
FACTORS = [*GROUPS, "keywords"]
COLUMNS = [column for column in range(16) if column.bit_count() % 2]
COMBINATIONS = [tuple(name for name, column in zip(FACTORS, COLUMNS) if (row & column).bit_count() % 2)
                for row in range(16)]

# A server without keywords: it says so, and does not take them.
NO_KEYWORDS = {
    "replace": [(rb"\[PERMANENTFLAGS \([^)]*\)",
                 rb"[PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)")],
    "refuse": [(rb"FLAGS[^(]*\((?:[^)]* )?[^\\ )]", b"BAD no such flag")]}


def test_combinations():
    assert COMBINATIONS[0] == () and set(FACTORS) in map(set, COMBINATIONS)
    for three in itertools.combinations(FACTORS, 3):
        assert len({tuple(name in missing for name in three) for missing in COMBINATIONS}) == 8


@pytest.mark.parametrize("missing", COMBINATIONS, ids=["-".join(names) or "none"
                                                       for names in COMBINATIONS])
def test_a_server_without(user, make_twin, missing):
    hide = [item for name in missing for item in GROUPS.get(name, ())]
    rules = NO_KEYWORDS if "keywords" in missing else {}
    with Proxy(("127.0.0.1", user.server.plain), hide=hide, **rules) as proxy:
        twin = make_twin(user, port=proxy.port)
        expected = life(user, twin, keywords="keywords" not in missing)
        assert_settled(user, twin, expected=expected)
        if "keywords" in missing:
            twin.tree.add_letters(file_of(twin, 1), "P")
            twin.sync()
            assert "P" in file_of(twin, 1).letters, "what the server cannot keep stays here"
            assert_silent(user, twin)
        assert "refuse" not in proxy.faults()
        words = " ".join(proxy.commands())
        assert "uidplus" not in missing or " UID EXPUNGE" not in words
        assert "move" not in missing or " UID MOVE" not in words
        assert "condstore" not in missing or not ("QRESYNC" in words or "CHANGEDSINCE" in words)
        assert "list" not in missing or "RETURN" not in words
        assert "literal" not in missing or "+}" not in words
        assert " CLOSE" not in words


def test_a_server_with_nothing_but_rfc_3501(user, make_twin):
    with Proxy(("127.0.0.1", user.server.plain), hide=ALL) as proxy:
        twin = make_twin(user, port=proxy.port, disable_extension=["X-GUID"])
        assert_settled(user, twin, expected=life(user, twin))
        words = " ".join(proxy.commands())
        for word in ("UID EXPUNGE", "UID MOVE", "ENABLE", "UNSELECT", "RETURN", "+}", " ID ("):
            assert word not in words, word


def test_a_move_beside_what_others_marked(user, make_twin):
    """Without UIDPLUS and MOVE the original of a move cannot be expunged while others have marked
    mail there: it is left marked, is no mail to be fetched, and goes when theirs has gone."""
    fill(user, "INBOX", *range(4))
    fill(user, "A", 50)
    with Proxy(("127.0.0.1", user.server.plain), hide=["UIDPLUS", "MOVE"]) as proxy:
        twin = make_twin(user, port=proxy.port)
        twin.sync()
        store_there(user, 2, "+FLAGS", ["\\Deleted"])
        twin.tree.move(file_of(twin, 1), "A")
        for later in (None, 120, 240):
            twin.sync(later=later)
        assert here(twin) == {"INBOX": [0, 2, 3], "A": [1, 50]}
        assert there(user) == {"INBOX": [0, 1, 2, 3], "A": [1, 50]}
        assert flags_there(user)[1] >= {"\\Deleted"}
        expunge_there(user, 2)
        twin.sync(later=360)
        assert_settled(user, twin, expected={"INBOX": [0, 3], "A": [1, 50]})


@pytest.mark.parametrize("format", ["maildir", "sdbox", "mdbox", "mbox"])
def test_formats_of_the_store(dovecot, make_twin, format):
    user = dovecot.new_user(format=format)
    if format == "mbox":  # a mailbox of mbox holds mail or folders, not both
        twin = make_twin(user)
        fill(user, "INBOX", *range(10))
        deliver(twin, "INBOX", 50)
        deliver(twin, "Sent", 60)
        twin.sync()
        twin.tree.move(file_of(twin, 1), "Sent")
        twin.tree.add_letters(file_of(twin, 2), "F")
        os.unlink(file_of(twin, 3).path)
        for later in (None, 120, 240):
            twin.sync(later=later)
        assert there(user) == {"INBOX": [0, 2, *range(4, 10), 50], "Sent": [1, 60]}
        return
    twin = make_twin(user)
    assert_settled(user, twin, expected=life(user, twin))


@pytest.mark.parametrize("extension, word", [
    ("QRESYNC", "QRESYNC"), ("CONDSTORE", "CHANGEDSINCE"), ("MOVE", "UID MOVE"),
    ("UIDPLUS", "UID EXPUNGE"), ("LIST-STATUS", "STATUS ("), ("LITERAL+", "+}"), ("ID", " ID "),
    ("X-GUID", "X-GUID"), ("qresync", "QRESYNC")])
def test_disable_extension(user, make_twin, extension, word):
    with Proxy(("127.0.0.1", user.server.plain)) as proxy:
        twin = make_twin(user, port=proxy.port, disable_extension=[extension])
        fill(user, "INBOX", *range(5))
        fill(user, "A", 50)
        deliver(twin, "INBOX", 60)
        for _ in range(2):
            twin.sync()
        twin.tree.move(file_of(twin, 1), "A")
        os.unlink(file_of(twin, 2).path)
        twin.sync()
        twin.sync()
        assert_settled(user, twin, expected={"INBOX": [0, 3, 4, 60], "A": [1, 50]})
        lines = [line for line in proxy.commands() if "STATUS (" not in line or "RETURN" in line]
        assert not [line for line in lines if word in line], word


def test_capabilities_in_lower_case(user, make_twin):
    def lower(match):
        return match.group(0).lower()

    with Proxy(("127.0.0.1", user.server.plain), replace=[(rb"\[CAPABILITY [^\]]*\]", lower)]) as proxy:
        twin = make_twin(user, port=proxy.port)
        fill(user, "INBOX", 1, 2)
        twin.sync()
        twin.tree.move(file_of(twin, 1), "A")
        twin.sync()
        assert "UID MOVE" in " ".join(proxy.commands())
    twin.set(port=user.server.plain)
    assert_settled(user, twin, expected={"INBOX": [2], "A": [1]})


def test_extensions_that_come_and_go(user, make_twin):
    """Another server of a cluster answers, of an older version."""
    twin = make_twin(user)
    fill(user, "INBOX", *range(10))
    numbers = itertools.count(100)
    for hide in ([], ["CONDSTORE", "QRESYNC"], ["UIDPLUS"], ["MOVE"], ["QRESYNC"], []):
        with Proxy(("127.0.0.1", user.server.plain), hide=hide) as proxy:
            twin.set(port=proxy.port)
            store_there(user, 1, "+FLAGS", [f"k{next(numbers)}"])
            fill(user, "INBOX", next(numbers))
            deliver(twin, "INBOX", next(numbers))
            victim = [number for number in there(user)["INBOX"] if number > 1][0]
            expunge_there(user, victim)
            for later in (None, 120):
                twin.sync(later=later)
    twin.set(port=user.server.plain)
    twin.sync(later=240)
    assert_settled(user, twin)
