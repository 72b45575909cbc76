"""Flags and keywords, both ways, merged one by one; conflicts; the deleted flag."""
import itertools

import pytest

import mail
from maildirs import LETTERS
from mailtwin import assert_equal, assert_quiet
from proxy import Proxy

SYSTEM = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"]


def remote_flags(user, mailbox="INBOX"):
    with user.client() as client:
        return {message.data.split(b"Subject: ")[1].split(b"\r\n")[0]: message.flags
                for message in client.fetch_all(mailbox).values()}


@pytest.fixture
def synced(user, twin):
    with user.client() as client:
        for number in range(1, 9):
            client.append(mail.plain(number), flags=mail.flags(number))
    twin.sync()
    return twin


@pytest.mark.parametrize("flag", SYSTEM + ["\\Deleted", "$Forwarded"])
def test_each_flag_goes_both_ways(user, twin, flag):
    with user.client() as client:
        for number in range(4):
            client.append(mail.plain(number), flags=[flag] if number % 2 else [])
    twin.sync()
    assert_equal(user, twin)
    with user.client() as client:
        client.store(1, "+FLAGS", [flag], "INBOX")
        client.store(2, "-FLAGS", [flag])
    twin.tree.add_letters(twin.tree.find(mail.token(2)), LETTERS[flag])
    twin.tree.remove_letters(twin.tree.find(mail.token(3)), LETTERS[flag])
    twin.sync()
    assert [flag in remote_flags(user)[mail.token(number)] for number in range(4)] == [
        True, False, True, False]
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_changes_of_different_flags_on_both_sides_are_merged(user, synced):
    with user.client() as client:
        client.store(1, "FLAGS", ["\\Flagged"], "INBOX")
    synced.tree.set_letters(synced.tree.find(mail.token(1)), "RS")
    before = set(mail.flags(1))
    synced.sync()
    remote, local = {"\\Flagged"}, {"\\Answered", "\\Seen"}
    added = (remote | local) - before
    removed = (before - remote) | (before - local - {"$Label1", "todo"})
    assert remote_flags(user)[mail.token(1)] == (before | added) - removed
    assert_equal(user, synced)
    assert_quiet(user, synced)


def test_every_small_conflict_converges(user, twin):
    """One flag, base, server and disk each with and without it: the side that changed decides."""
    worlds = list(itertools.product([False, True], repeat=3))
    with user.client() as client:
        for number, (base, _, _) in enumerate(worlds):
            client.append(mail.plain(number), flags=["\\Flagged"] if base else [])
    twin.sync()
    with user.client() as client:
        client.select()
        for number, (_, remote, local) in enumerate(worlds):
            client.store(number + 1, "FLAGS", ["\\Flagged"] if remote else [])
            file = twin.tree.find(mail.token(number))
            twin.tree.set_letters(file, "F" if local else "")
    twin.sync()
    flags = remote_flags(user)
    for number, (base, remote, local) in enumerate(worlds):
        wanted = (remote or local) if not base else (remote and local)
        assert ("\\Flagged" in flags[mail.token(number)]) == wanted, (base, remote, local)
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_keywords_go_both_ways(user, twin):
    with user.client() as client:
        client.append(mail.plain(1), flags=["todo", "$Junk"])
        client.append(mail.plain(2), flags=["\\Seen"])
    twin.sync()
    names = twin.tree.keyword_names("INBOX")
    letters = {name: letter for letter, name in names.items()}
    assert {"todo", "$Junk"} <= set(letters)
    twin.tree.add_letters(twin.tree.find(mail.token(2)), letters["todo"])
    twin.tree.remove_letters(twin.tree.find(mail.token(1)), letters["$Junk"])
    twin.sync()
    flags = remote_flags(user)
    assert flags[mail.token(1)] == {"todo"} and flags[mail.token(2)] == {"\\Seen", "todo"}
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_more_keywords_than_letters_are_not_lost(user, twin):
    keywords = [f"key{number:02}" for number in range(40)]
    with user.client() as client:
        for number, keyword in enumerate(keywords):
            client.append(mail.plain(number), flags=[keyword])
    twin.sync()
    assert_quiet(user, twin)
    twin.tree.add_letters(twin.tree.find(mail.token(39)), "S")
    twin.sync()
    flags = remote_flags(user)
    for number, keyword in enumerate(keywords):
        assert keyword in flags[mail.token(number)]
    assert flags[mail.token(39)] == {"key39", "\\Seen"}


def test_unknown_letters_in_names_are_kept(user, twin):
    twin.tree.deliver(mail.plain(1), letters="SXz")
    twin.sync()
    file = twin.tree.find(mail.token(1))
    assert {"S", "X"} <= set(file.letters)
    with user.client() as client:
        client.store(1, "+FLAGS", ["\\Flagged"], "INBOX")
    twin.sync()
    assert {"F", "S", "X"} <= set(twin.tree.find(mail.token(1)).letters)
    assert_quiet(user, twin)


@pytest.mark.parametrize("answer", [False, True],
                         ids=["silently", "permanentflags"])
def test_a_keyword_that_the_server_will_not_store_does_not_flap(user, twin, answer):
    with user.client() as client:
        client.append(mail.plain(1), flags=["\\Seen"])
    twin.sync()
    twin.tree.deliver(mail.plain(2), letters="FS")
    rules = [(rb"\\Flagged ?", b"")] if not answer else [
        (rb"PERMANENTFLAGS \([^)]*\)", rb"PERMANENTFLAGS (\\Answered \\Seen \\Deleted)"),
        (rb"(FETCH .*)\\Flagged ?", rb"\1")]
    with Proxy(("127.0.0.1", user.server.plain), replace=rules) as proxy:
        twin.set(port=proxy.port)
        for _ in range(3):
            assert twin.run("sync").exit in (0, 1)
        user.forget_log()
        twin.run("sync")
        user.server.wait_idle()
        assert user.mutating() == []
    assert twin.tree.find(mail.token(2)).flags == {"\\Flagged", "\\Seen"}


def test_deleted_on_one_side_and_flagged_on_the_other_is_deleted(user, synced):
    with user.client() as client:
        client.expunge(1, "INBOX")
        client.store(2, "+FLAGS", ["\\Flagged"])
    synced.tree.add_letters(synced.tree.find(mail.token(1)), "F")
    synced.tree.delete(synced.tree.find(mail.token(2)))
    synced.sync()
    assert mail.token(1) not in remote_flags(user) and mail.token(2) not in remote_flags(user)
    assert len(synced.tree.read()) == 6
    assert_equal(user, synced)


def test_expunge_waits_until_both_sides_have_the_flag(user, make_twin):
    twin = make_twin(user, expunge="yes")
    with user.client() as client:
        client.append(mail.plain(1), flags=["\\Seen"])
        client.append(mail.plain(2), flags=["\\Seen"])
    twin.sync()
    with user.client() as client:
        client.store(1, "+FLAGS", ["\\Deleted"], "INBOX")
    twin.sync()
    assert len(twin.tree.read()) == 2, "the flag has to travel first"
    twin.sync()
    assert [mail.token(2) in file.data for file in twin.tree.read()] == [True]
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_a_removal_becomes_a_move_to_the_trash(user, make_twin):
    twin = make_twin(user, trash="\\Trash")
    with user.client() as client:
        client.create("Trash")
        client.append(mail.plain(1), flags=["\\Seen"])
        client.append(mail.plain(2), flags=["\\Seen"])
    twin.sync()
    twin.tree.delete(twin.tree.find(mail.token(1)))
    twin.sync()
    with user.client() as client:
        assert len(client.fetch_all("INBOX")) == 1
        assert [mail.token(1) in message.data for message in client.fetch_all("Trash").values()] == [
            True]
    twin.sync()
    assert_equal(user, twin)
    assert_quiet(user, twin)
