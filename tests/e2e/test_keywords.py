"""Keywords: both ways, as lower-case letters that Dovecot reads too, and none is lost for want of a
letter or of a server that keeps it."""
import os

import pytest

from acts import (assert_settled, assert_silent, deliver, expunge_there, file_of, fill, flags_there,
                  here, move_there, moved, store_there, there)
from proxy import Proxy


def keywords_file(twin, folder="INBOX"):
    return os.path.join(twin.tree.path(folder), "dovecot-keywords")


def letter_of(twin, keyword, folder="INBOX"):
    (letter,) = [letter for letter, name in twin.tree.keyword_names(folder).items()
                 if name == keyword]
    return letter


def read_file(twin, folder="INBOX"):
    with open(keywords_file(twin, folder), "rb") as file:
        return file.read()


def write_file(twin, data, folder="INBOX"):
    with open(keywords_file(twin, folder), "wb") as file:
        file.write(data)


@pytest.mark.parametrize("layout", ["nested", "maildir++"])
def test_keywords_travel_both_ways(user, make_twin, layout):
    twin = make_twin(user, layout=layout)
    fill(user, "INBOX", 1, 2, flags=["$Label1", "todo"])
    fill(user, "Archive", 3, flags=["later"])
    twin.sync()
    assert file_of(twin, 1).keywords == {"$Label1", "todo"}
    store_there(user, 1, "-FLAGS", ["todo"])
    store_there(user, 1, "+FLAGS", ["fresh"])
    twin.tree.remove_letters(file_of(twin, 2), letter_of(twin, "$Label1"))
    twin.sync()
    assert flags_there(user) == {1: {"$Label1", "fresh"}, 2: {"todo"}}
    assert_settled(user, twin)


def test_a_keyword_made_here(user, twin):
    """A reader that adds a keyword adds a line to the file."""
    fill(user, "INBOX", 1, 2, flags=["old"])
    twin.sync()
    write_file(twin, read_file(twin) + b"1 brand-new\n")
    twin.tree.add_letters(file_of(twin, 1), "b")
    twin.sync()
    assert flags_there(user) == {1: {"old", "brand-new"}, 2: {"old"}}
    assert_settled(user, twin)


def test_keywords_of_new_files_go_up(user, twin):
    twin.tree.create("INBOX")
    write_file(twin, b"0 alpha\n1 $beta\n25 omega\n")
    deliver(twin, "INBOX", 1, letters="Sabz")
    deliver(twin, "INBOX", 2, letters="b")
    twin.sync()
    assert flags_there(user) == {1: {"\\Seen", "alpha", "$beta", "omega"}, 2: {"$beta"}}
    assert_settled(user, twin)


def test_the_26th_has_a_letter_and_the_27th_is_kept(user, twin):
    names = [f"key{number:02}" for number in range(30)]
    fill(user, "INBOX", 1, flags=names)
    fill(user, "INBOX", 2, flags=names[25:])
    fill(user, "INBOX", 3, flags=[])
    result = twin.sync()
    assert result.exit == 0
    assert len(file_of(twin, 1).keywords) == 26
    twin.tree.add_letters(file_of(twin, 1), "F")
    twin.tree.set_letters(file_of(twin, 2), "S")
    twin.sync()
    letters = set(twin.tree.keyword_names("INBOX").values())
    assert flags_there(user)[1] == {*names, "\\Flagged"}, "nothing is lost on the server"
    assert flags_there(user)[2] == {"\\Seen"} | (set(names[25:]) - letters)
    assert_silent(user, twin)


def test_the_27th_is_changed_on_the_server(user, twin):
    names = [f"key{number:02}" for number in range(26)]
    fill(user, "INBOX", 1, flags=names)
    fill(user, "INBOX", 2, flags=[])
    twin.sync()
    store_there(user, 2, "+FLAGS", ["one-more"])
    twin.sync()
    twin.tree.add_letters(file_of(twin, 2), "S")
    twin.sync()
    assert flags_there(user)[2] == {"\\Seen", "one-more"}
    store_there(user, 2, "-FLAGS", ["one-more"])
    twin.sync()
    assert flags_there(user)[2] == {"\\Seen"}
    assert_settled(user, twin)


def test_the_27th_moves_and_comes_back_with_the_message(user, twin):
    names = [f"key{number:02}" for number in range(28)]
    fill(user, "INBOX", 1, flags=names)
    fill(user, "Archive", 2)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "Archive")
    twin.sync()
    assert flags_there(user, "Archive")[1] == set(names)
    assert_silent(user, twin)


DAMAGE = {
    "deleted": lambda data: None,
    "empty": lambda data: b"",
    "torn": lambda data: data[:len(data) // 2],
    "zeros": lambda data: b"\0" * len(data),
    "reordered": lambda data: b"\n".join(reversed(data.strip().split(b"\n"))) + b"\n",
    "garbage": lambda data: b"99 a\n-1 b\n0\n" + data,
    "twice": lambda data: data + data,
}


@pytest.mark.parametrize("how", list(DAMAGE))
def test_a_damaged_keywords_file_loses_nothing_on_the_server(user, twin, how):
    fill(user, "INBOX", 1, flags=["alpha", "beta"])
    fill(user, "INBOX", 2, flags=["gamma"])
    twin.sync()
    data = DAMAGE[how](read_file(twin))
    if data is None:
        os.unlink(keywords_file(twin))
    else:
        write_file(twin, data)
    for _ in range(2):
        twin.sync()
    assert flags_there(user) == {1: {"alpha", "beta"}, 2: {"gamma"}}
    store_there(user, 1, "+FLAGS", ["delta"])
    twin.tree.add_letters(file_of(twin, 2), "F")
    twin.sync()
    assert flags_there(user) == {1: {"alpha", "beta", "delta"}, 2: {"gamma", "\\Flagged"}}
    assert_settled(user, twin)


def test_letters_exchanged_in_the_keywords_file_lose_nothing(user, twin):
    """Another program numbered them anew: the letters of the names that are there decide."""
    fill(user, "INBOX", 1, flags=["alpha"])
    fill(user, "INBOX", 2, flags=["beta"])
    twin.sync()
    names = twin.tree.keyword_names("INBOX")
    swapped = "".join(f"{ord(letter) - ord('a')} {name}\n"
                      for letter, name in zip(names, reversed(list(names.values()))))
    write_file(twin, swapped.encode())
    twin.sync()
    union = set().union(*flags_there(user).values())
    assert {"alpha", "beta"} <= union and len(here(twin)["INBOX"]) == 2
    assert_settled(user, twin)


def test_a_letter_without_a_name(user, twin):
    """It is kept in the file's name and means nothing."""
    fill(user, "INBOX", 1, 2)
    twin.sync()
    twin.tree.add_letters(file_of(twin, 1), "q")
    user.forget_log()
    twin.sync()
    user.server.wait_idle()
    assert user.mutating() == []
    store_there(user, 1, "+FLAGS", ["\\Flagged", "todo"])
    twin.sync()
    assert "q" in file_of(twin, 1).letters and file_of(twin, 1).keywords == {"todo"}
    assert_silent(user, twin)


def test_a_new_keyword_does_not_take_a_letter_that_is_in_use(user, twin):
    fill(user, "INBOX", 1, 2)
    twin.sync()
    twin.tree.add_letters(file_of(twin, 1), "a")
    twin.sync()
    store_there(user, 2, "+FLAGS", ["todo"])
    twin.sync()
    assert letter_of(twin, "todo") != "a"
    assert flags_there(user) == {1: {"\\Seen"}, 2: {"\\Seen", "todo"}}
    assert_silent(user, twin)


def test_case_does_not_flap(user, twin):
    fill(user, "INBOX", 1, flags=["$MDNSent", "Junk"])
    fill(user, "INBOX", 2, flags=[])
    twin.sync()
    store_there(user, 2, "+FLAGS", ["$MdnSent", "junk"])
    twin.sync()
    assert file_of(twin, 2).keywords == {"$MDNSent", "Junk"}
    assert_silent(user, twin)


def test_case_in_the_keywords_file_does_not_flap(user, twin):
    fill(user, "INBOX", 1, flags=["NonJunk"])
    fill(user, "INBOX", 2, flags=[])
    twin.sync()
    write_file(twin, read_file(twin).replace(b"NonJunk", b"nonjunk"))
    twin.tree.add_letters(file_of(twin, 2), "a")
    twin.sync()
    assert {name.lower() for name in flags_there(user)[2]} == {"nonjunk"}
    assert_silent(user, twin)


def test_two_spellings_that_the_server_keeps_apart(user, twin):
    """A server that says both: one keyword here, and no traffic."""
    fill(user, "INBOX", 1, 2, flags=["Junk"])
    twin.sync()
    with Proxy(("127.0.0.1", user.server.plain), replace=[(rb"UID 2 (.*)Junk", rb"UID 2 \1JUNK"),
                                                          (rb"(\* \d+ FETCH .*)Junk", rb"\1JUNK")
                                                          ]) as proxy:
        twin.set(port=proxy.port)
        twin.sync("--full")
        assert_silent(user, twin)


@pytest.mark.parametrize("keyword", ["k" * 95, "x'y", "$x&y", "0", "-1", "a=b:2,S", "#1", "x,y", "NIL", "~"])
def test_odd_keywords(user, twin, keyword):
    fill(user, "INBOX", 1, flags=[keyword])
    fill(user, "INBOX", 2, flags=[])
    twin.sync()
    assert file_of(twin, 1).keywords == {keyword}
    twin.tree.add_letters(file_of(twin, 2), file_of(twin, 1).letters)
    twin.sync()
    assert flags_there(user) == {1: {keyword}, 2: {keyword}}
    assert_settled(user, twin)


def test_a_keyword_that_no_line_can_hold(user, twin):
    """8-bit and longer than sense: it stays on the server, and takes no message with it."""
    fill(user, "INBOX", 1, 2, flags=["plain"])
    long = b"x" * 3000
    with Proxy(("127.0.0.1", user.server.plain),
               replace=[(rb"(\* \d+ FETCH .*)plain", rb"\1plain " + long + b" \xe4\xf6")]) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        assert result.exit in (0, 1), result
        assert here(twin) == {"INBOX": [1, 2]}
        twin.tree.add_letters(file_of(twin, 1), "F")
        twin.run("sync")
    assert flags_there(user) == {1: {"plain", "\\Flagged"}, 2: {"plain"}}


# ---- servers that keep some, or none ----

def permanent(words):
    return [(rb"\[PERMANENTFLAGS \([^)]*\)\]", b"[PERMANENTFLAGS (" + words + b")]")]


@pytest.mark.parametrize("words", [rb"\\Answered \\Flagged \\Deleted \\Seen \\Draft", rb"\\Seen", b""],
                         ids=["no-keywords", "seen-only", "none"])
def test_flags_that_are_not_permanent_are_not_sent(user, twin, words):
    fill(user, "INBOX", 1, 2)
    with Proxy(("127.0.0.1", user.server.plain), replace=permanent(words)) as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        write_file(twin, b"0 mine\n")
        twin.tree.add_letters(file_of(twin, 1), "aD")
        twin.sync()
        sent = flags_there(user)[1]
        assert "mine" not in sent
        assert ("\\Draft" in sent) == (b"Draft" in words)
        assert set("aDS") == set(file_of(twin, 1).letters), "kept here"
        assert_silent(user, twin)
        store_there(user, 2, "+FLAGS", ["\\Flagged"])
        twin.sync()
        assert "F" in file_of(twin, 2).letters
        assert set("aDS") == set(file_of(twin, 1).letters)
        assert_silent(user, twin)


def test_no_permanentflags_at_all(user, twin):
    """RFC 3501: then all flags can be changed for good."""
    fill(user, "INBOX", 1)
    with Proxy(("127.0.0.1", user.server.plain), drop_lines=[rb"PERMANENTFLAGS"]) as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        twin.tree.add_letters(file_of(twin, 1), "F")
        twin.sync()
        assert flags_there(user)[1] == {"\\Seen", "\\Flagged"}
        assert_silent(user, twin)


def test_a_keyword_that_the_server_drops_does_not_flap(user, twin):
    """It says that any may be made, answers OK, and shows the message without."""
    fill(user, "INBOX", 1, 2)
    with Proxy(("127.0.0.1", user.server.plain), replace=[(rb" ?mine\b", b"")]) as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        write_file(twin, b"0 mine\n")
        twin.tree.add_letters(file_of(twin, 1), "a")
        twin.sync()
        assert "a" in file_of(twin, 1).letters
        for _ in range(2):
            assert_silent(user, twin)
        store_there(user, 1, "+FLAGS", ["\\Flagged"])
        twin.sync()
        assert set("aFS") == set(file_of(twin, 1).letters)
        assert_silent(user, twin)


def test_a_keyword_that_the_server_refuses_stops_nothing(user, twin):
    fill(user, "INBOX", 1, 2, 3)
    with Proxy(("127.0.0.1", user.server.plain),
               refuse=[(rb"STORE .*mine", b"NO no such keyword")]) as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        write_file(twin, b"0 mine\n")
        twin.tree.add_letters(file_of(twin, 1), "a")
        twin.tree.add_letters(file_of(twin, 2), "F")
        result = twin.run("sync", "--json")
        assert result.exit in (0, 1), result
        assert flags_there(user)[2] == {"\\Seen", "\\Flagged"}
        assert "a" in file_of(twin, 1).letters
    twin.set(port=user.server.plain)
    twin.sync()
    assert flags_there(user)[1] == {"\\Seen", "mine"}
    assert_settled(user, twin)


# ---- moves between folders whose letters differ ----

@pytest.mark.parametrize("letters", ["other", "none"])
def test_a_move_here_keeps_keywords_though_letters_differ(user, twin, letters):
    """A reader that knows nothing of keywords keeps the letters of the old folder, which mean
    something else, or nothing, in the new one: the message has the keywords that it had."""
    fill(user, "INBOX", 1, flags=["alpha", "beta"])
    fill(user, "Archive", 2, flags=["gamma"] if letters == "other" else [])
    twin.sync()
    twin.tree.move(file_of(twin, 1), "Archive")
    twin.sync()
    twin.sync()
    assert flags_there(user, "Archive")[1] == {"alpha", "beta"}
    assert_settled(user, twin, expected={"Archive": [1, 2]})


def test_a_move_there_with_other_letters(user, twin):
    fill(user, "INBOX", 1, flags=["alpha", "beta"])
    fill(user, "Archive", 2, flags=["gamma"])
    twin.sync()
    move_there(user, 1, "INBOX", "Archive")
    moved(twin.sync(), local=1)
    assert file_of(twin, 1, "Archive").keywords == {"alpha", "beta"}
    assert flags_there(user, "Archive") == {1: {"alpha", "beta"}, 2: {"gamma"}}
    assert_settled(user, twin)


def test_a_move_there_that_loses_keywords(user, twin):
    fill(user, "INBOX", 1, flags=["alpha", "beta"])
    fill(user, "Archive", 2, flags=["gamma"])
    twin.sync()
    move_there(user, 1, "INBOX", "Archive")
    store_there(user, 1, "FLAGS", ["gamma"], "Archive")
    twin.sync()
    assert file_of(twin, 1, "Archive").keywords == {"gamma"}
    assert_settled(user, twin)


# ---- Dovecot on the same Maildir ----

@pytest.fixture
def shared(dovecot, tmp_path, make_twin):
    """(user of the account, the twin, a user of a second mail store that is the twin's Maildir)."""
    user = dovecot.new_user()
    reader = dovecot.new_user()
    twin = make_twin(user, layout="maildir++", maildir=os.path.join(reader.home, "Maildir"))
    twin.root = twin.tree.root = os.path.join(reader.home, "Maildir")
    return user, twin, reader


def own(reader):
    """Dovecot's process for mail is not ours."""
    for directory, folders, files in os.walk(os.path.join(reader.home, "Maildir")):
        os.chown(directory, reader.server.uid, reader.server.gid)
        for name in files:
            os.chown(os.path.join(directory, name), reader.server.uid, reader.server.gid)


def test_dovecot_reads_our_keywords_and_we_its(shared):
    user, twin, reader = shared
    fill(user, "INBOX", 1, 2, flags=["alpha", "$Forwarded"])
    fill(user, "Archive", 3, flags=["later", "\\Seen"])
    twin.sync()
    own(reader)
    assert flags_there(reader) == {1: {"alpha", "$Forwarded"}, 2: {"alpha", "$Forwarded"}} or \
        flags_there(reader) == {1: {"alpha"}, 2: {"alpha"}}  # Dovecot has no name for the letter P
    assert flags_there(reader, "Archive") == {3: {"later", "\\Seen"}}
    store_there(reader, 1, "+FLAGS", ["made-there", "\\Flagged"])
    store_there(reader, 3, "-FLAGS", ["later"], "Archive")
    reader.server.wait_idle()
    twin.sync()
    assert {"alpha", "made-there", "\\Flagged"} <= flags_there(user)[1]
    assert flags_there(user, "Archive") == {3: {"\\Seen"}}
    store_there(user, 2, "+FLAGS", ["third"])
    twin.sync()
    own(reader)
    assert {"alpha", "third"} <= flags_there(reader)[2]
    assert {"alpha", "made-there", "\\Flagged"} <= flags_there(reader)[1]
    reader.server.wait_idle()
    twin.sync()
    assert_settled(user, twin)


def test_dovecot_moves_delivers_and_expunges_in_our_maildir(shared):
    user, twin, reader = shared
    fill(user, "INBOX", *range(1, 6))
    fill(user, "Archive", 10)
    twin.sync()
    own(reader)
    fill(reader, "INBOX", 20, flags=["fresh"])
    move_there(reader, 2, "INBOX", "Archive")
    expunge_there(reader, 1)
    reader.server.wait_idle()
    result = twin.sync()
    assert result.summary["moved_remote"] == 1 and result.summary["uploaded"] == 1, result
    assert there(user) == {"INBOX": [3, 4, 5, 20], "Archive": [2, 10]}
    assert flags_there(user)[20] == {"fresh"}
    assert_settled(user, twin)
