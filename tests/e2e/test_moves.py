"""Moves and copies, both ways and against each other: repeated without a transfer where they can be
proved, and never at the price of a message."""
import os
import shutil

import pytest

import mail
from acts import (assert_settled, deliver, expunge_there, file_of, fill, flags_there, here,
                  move_there, moved, store_there, there, uid_of)
from proxy import Proxy

# How much the server says of a message's identity: its own id, or only size, date and header.
IDS = pytest.mark.parametrize("ids", [(), ("X-GUID",)], ids=["guid", "no-id"])
WAYS = pytest.mark.parametrize("missing", [(), ("MOVE",), ("MOVE", "X-GUID"), ("CONDSTORE",)],
                               ids=["move", "copy", "copy-no-id", "no-condstore"])


def make(make_twin, user, disabled=(), **options):
    return make_twin(user, disable_extension=list(disabled) or None, **options)


def commands(user, word):
    user.server.wait_idle()
    return [line for line in user.commands() if word in line]


# ---- moved on the server ----

@IDS
@pytest.mark.parametrize("layout", ["nested", "maildir++"])
def test_a_move_on_the_server_is_a_rename_here(user, make_twin, ids, layout):
    fill(user, "INBOX", *range(6))
    twin = make(make_twin, user, ids, layout=layout)
    twin.sync()
    old = file_of(twin, 2)
    move_there(user, 2, "INBOX", "Archive/2024")
    user.forget_log()
    moved(twin.sync(), local=1)
    assert commands(user, "BODY.PEEK[]") == []
    new = file_of(twin, 2, "Archive/2024")
    assert (new.inode, new.base, new.mtime, new.letters) == (old.inode, old.base, old.mtime, "S")
    assert_settled(user, twin, expected={"INBOX": [0, 1, 3, 4, 5], "Archive/2024": [2]})


@IDS
def test_a_move_on_the_server_takes_the_flags_of_both_sides_along(user, make_twin, ids):
    fill(user, "INBOX", 1, 2)
    twin = make(make_twin, user, ids)
    twin.sync()
    move_there(user, 1, "INBOX", "Archive")
    store_there(user, 1, "+FLAGS", ["\\Flagged", "todo"], "Archive")
    twin.tree.add_letters(file_of(twin, 1), "R")
    twin.sync()
    assert file_of(twin, 1, "Archive").flags == {"\\Seen", "\\Answered", "\\Flagged"}
    assert flags_there(user, "Archive") == {1: {"\\Seen", "\\Answered", "\\Flagged", "todo"}}
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1]})


def test_a_move_there_by_copy_and_expunge(user, make_twin):
    """As a client without MOVE does it, in two steps that two runs see apart."""
    fill(user, "INBOX", 1, 2)
    twin = make(make_twin, user)
    twin.sync()
    with user.client() as client:
        client.create("Archive")
        client.copy(uid_of(user, 1), "Archive", "INBOX")
    twin.sync()
    assert here(twin) == {"INBOX": [1, 2], "Archive": [1]}
    expunge_there(user, 1)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1]})


def test_there_and_back_on_the_server(user, make_twin):
    fill(user, "INBOX", 1, 2)
    twin = make(make_twin, user)
    twin.sync()
    old = file_of(twin, 1)
    move_there(user, 1, "INBOX", "Archive")
    move_there(user, 1, "Archive", "INBOX")
    user.forget_log()
    result = twin.sync()
    assert result.summary["uploaded"] == 0 and commands(user, "BODY.PEEK[]") == [], result
    assert file_of(twin, 1).inode == old.inode
    assert_settled(user, twin, expected={"INBOX": [1, 2]})


def test_a_chain_of_moves_on_the_server(user, make_twin):
    """A to B, B to C, C to A: each file to where its message went."""
    for folder, number in (("A", 1), ("B", 2), ("C", 3)):
        fill(user, folder, number)
    twin = make(make_twin, user)
    twin.sync()
    move_there(user, 3, "C", "A")
    move_there(user, 2, "B", "C")
    move_there(user, 1, "A", "B")
    moved(twin.sync(), local=3)
    assert_settled(user, twin, expected={"A": [3], "B": [1], "C": [2]})


def test_a_file_of_that_name_is_in_the_target_already(user, make_twin):
    fill(user, "INBOX", 1)
    fill(user, "Archive", 2)
    twin = make(make_twin, user)
    twin.sync()
    stranger = file_of(twin, 1)
    path = os.path.join(twin.tree.path("Archive"), "cur", stranger.base + ":2,F")
    with open(path, "wb") as out:
        out.write(mail.plain(3))
    twin.sync()
    move_there(user, 1, "INBOX", "Archive")
    moved(twin.sync(), local=1)
    assert_settled(user, twin, expected={"Archive": [1, 2, 3]})


# ---- moved here ----

@WAYS
@pytest.mark.parametrize("new_name", [False, True], ids=["same-name", "new-name"])
def test_a_move_here_is_a_move_there(user, make_twin, missing, new_name):
    fill(user, "INBOX", *range(6))
    fill(user, "Archive", 10)
    twin = make(make_twin, user, missing)
    twin.sync()
    path = twin.tree.move(file_of(twin, 2), "Archive", new_name)
    user.forget_log()
    moved(twin.sync(), remote=1)
    assert commands(user, "APPEND") == [] and commands(user, "BODY.PEEK[]") == []
    assert bool(commands(user, "UID MOVE")) == ("MOVE" not in missing)
    assert file_of(twin, 2, "Archive").path == path, "the file is left where it is"
    assert_settled(user, twin, expected={"INBOX": [0, 1, 3, 4, 5], "Archive": [2, 10]})


@WAYS
def test_a_move_here_without_uidplus(dovecot, make_twin, missing):
    user = dovecot.new_user(hide=["UIDPLUS"])
    fill(user, "INBOX", *range(4))
    fill(user, "Archive", 10)
    twin = make(make_twin, user, missing)
    twin.sync()
    twin.tree.move(file_of(twin, 2), "Archive")
    user.forget_log()
    twin.sync()
    assert commands(user, "APPEND ") == []
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [0, 1, 3], "Archive": [2, 10]})


@pytest.mark.parametrize("word", ["MOVE", "COPY"])
def test_a_move_that_the_server_refuses_leaves_the_source(user, make_twin, word):
    fill(user, "INBOX", 1, 2, 3)
    fill(user, "Archive", 10)
    twin = make(make_twin, user, ["MOVE"] if word == "COPY" else [])
    twin.sync()
    twin.tree.move(file_of(twin, 1), "Archive")
    with Proxy(("127.0.0.1", user.server.plain),
               refuse=[(word.encode() + b" ", b"NO [OVERQUOTA] no room")]) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        assert result.exit == 1 and result.problems(), result
    assert there(user) == {"INBOX": [1, 2, 3], "Archive": [10]}
    assert 1 in here(twin)["Archive"]
    twin.set(port=user.server.plain)
    for later in (None, 120):
        twin.sync(later=later)
    assert_settled(user, twin, expected={"INBOX": [2, 3], "Archive": [1, 10]})


def test_a_move_here_into_a_new_folder_with_children(user, make_twin):
    fill(user, "INBOX", 1, 2, 3)
    twin = make(make_twin, user)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "New/Deep/Er")
    twin.tree.move(file_of(twin, 2), "New")
    moved(twin.sync(), remote=2)
    assert_settled(user, twin, expected={"INBOX": [3], "New": [2], "New/Deep/Er": [1]})


def test_a_move_here_by_copying_the_file(user, make_twin):
    """cp and rm: new inode, same name."""
    fill(user, "INBOX", 1, 2)
    fill(user, "Archive", 3)
    twin = make(make_twin, user)
    twin.sync()
    old = file_of(twin, 1)
    shutil.copy2(old.path, os.path.join(twin.tree.path("Archive"), "cur", old.base + ":2,S"))
    os.unlink(old.path)
    moved(twin.sync(), remote=1)
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1, 3]})


def test_a_move_here_with_new_name_inode_and_flags(user, make_twin):
    """Only the contents say that it is the same; the server's copy is not sent again."""
    fill(user, "INBOX", 1, 2)
    fill(user, "Archive", 3)
    twin = make(make_twin, user)
    twin.sync()
    old = file_of(twin, 1)
    twin.tree.deliver(old.data, "Archive", "FRS")
    os.unlink(old.path)
    result = twin.sync()
    assert result.summary["uploaded"] == 0, result
    assert flags_there(user, "Archive")[1] == {"\\Flagged", "\\Answered", "\\Seen"}
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1, 3]})


def test_a_move_here_and_back_is_nothing(user, make_twin):
    fill(user, "INBOX", 1)
    fill(user, "Archive", 2)
    twin = make(make_twin, user)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "Archive")
    twin.tree.move(file_of(twin, 1, "Archive"), "INBOX")
    user.forget_log()
    moved(twin.sync())
    assert user.mutating() == []
    assert_settled(user, twin, expected={"INBOX": [1], "Archive": [2]})


def test_two_files_change_places(user, make_twin):
    fill(user, "INBOX", 1)
    fill(user, "Archive", 2)
    twin = make(make_twin, user)
    twin.sync()
    one, two = file_of(twin, 1), file_of(twin, 2, "Archive")
    twin.tree.move(one, "Archive")
    twin.tree.move(two, "INBOX")
    moved(twin.sync(), remote=2)
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1]})


def test_a_name_taken_over_in_another_folder(user, make_twin):
    """1 moves away, and 2 moves to its folder under 1's name: names prove nothing alone."""
    fill(user, "INBOX", 1)
    fill(user, "Archive", 2)
    twin = make(make_twin, user)
    twin.sync()
    one, two = file_of(twin, 1), file_of(twin, 2, "Archive")
    os.rename(one.path, os.path.join(twin.tree.path("Archive"), "cur", two.base + "x:2,S"))
    os.rename(two.path, os.path.join(twin.tree.path("INBOX"), "cur", one.base + ":2,S"))
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1]})


def test_many_moves_here_at_once_to_two_folders(user, make_twin):
    fill(user, "INBOX", *range(100))
    twin = make(make_twin, user)
    twin.sync()
    for number in range(80):
        twin.tree.move(file_of(twin, number), ["A", "B"][number % 2], number % 3 == 0)
    result = twin.sync()
    moved(result, remote=80)
    assert_settled(user, twin, expected={"INBOX": range(80, 100), "A": range(0, 80, 2),
                                         "B": range(1, 80, 2)})


# ---- copies ----

@pytest.mark.parametrize("hide", [(), ("UIDPLUS",)], ids=["uidplus", "no-uidplus"])
def test_a_copy_here_is_a_copy_there(dovecot, make_twin, hide):
    user = dovecot.new_user(hide=hide)
    fill(user, "INBOX", 1, 2)
    fill(user, "Archive", 3)
    twin = make(make_twin, user)
    twin.sync()
    twin.tree.deliver(file_of(twin, 1).data, "Archive", "FS")
    user.forget_log()
    result = twin.sync()
    assert commands(user, "UID COPY") and commands(user, "APPEND ") == []
    assert result.summary["copied_remote"] == 1 and result.summary["uploaded"] == 0, result
    twin.sync()
    assert flags_there(user, "Archive")[1] == {"\\Flagged", "\\Seen"}
    assert_settled(user, twin, expected={"INBOX": [1, 2], "Archive": [1, 3]})


def test_a_copy_in_the_same_folder(user, twin):
    fill(user, "INBOX", 1, 2)
    twin.sync()
    twin.tree.deliver(file_of(twin, 1).data, "INBOX", "S")
    result = twin.sync()
    assert result.summary["copied_remote"] == 1, result
    assert_settled(user, twin, expected={"INBOX": [1, 1, 2]})


def test_a_hard_link_is_a_copy(user, twin):
    """L10: An inode is no move while the message is where it was."""
    fill(user, "INBOX", 1)
    fill(user, "Archive", 2)
    twin.sync()
    one = file_of(twin, 1)
    os.link(one.path, os.path.join(twin.tree.path("Archive"), "cur", one.base + ":2,S"))
    moved(twin.sync(), copied=1)
    assert_settled(user, twin, expected={"INBOX": [1], "Archive": [1, 2]})


def test_copied_and_the_original_removed_there(user, twin):
    """There is nothing to copy from any more: the file is sent."""
    fill(user, "INBOX", 1, 2)
    fill(user, "Archive", 3)
    twin.sync()
    twin.tree.deliver(file_of(twin, 1).data, "Archive", "S")
    expunge_there(user, 1)
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1, 3]})


def test_one_of_three_copies_is_removed(user, twin):
    fill(user, "INBOX", 1, 1, 1, 2)
    twin.sync()
    assert len(twin.tree.read()) == 4
    os.unlink([file for file in twin.tree.read() if mail.token(1) in file.data][1].path)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [1, 1, 2]})


# ---- a reader that gives files new names ----

@pytest.mark.parametrize("number", [1, 2])
def test_a_new_base_name_is_only_a_new_name(user, twin, number):
    """mu4e and mutt rename the whole file when its flags change."""
    fill(user, "INBOX", 1, 2, 3, flags=["\\Seen", "todo"])
    twin.sync()
    old = file_of(twin, number)
    twin.tree.move(old, "INBOX", new_name=True)
    user.forget_log()
    moved(twin.sync())
    assert user.mutating() == []
    assert_settled(user, twin, expected={"INBOX": [1, 2, 3]})


def test_a_new_base_name_with_new_flags_sends_the_flags(user, twin):
    fill(user, "INBOX", 1, 2, 3)
    twin.sync()
    for number in (1, 2):
        file = file_of(twin, number)
        os.rename(file.path, os.path.join(os.path.dirname(file.path),
                                          f"1700000000.{number}.mu:2,FS"))
    user.forget_log()
    moved(twin.sync())
    user.server.wait_idle()
    assert all("STORE" in line for line in user.mutating()) and len(user.mutating()) == 1
    assert flags_there(user) == {1: {"\\Seen", "\\Flagged"}, 2: {"\\Seen", "\\Flagged"},
                                 3: {"\\Seen"}}
    assert_settled(user, twin, expected={"INBOX": [1, 2, 3]})


def test_names_exchanged_between_two_messages(user, twin):
    fill(user, "INBOX", 1, 2, flags=[])
    store_there(user, 1, "+FLAGS", ["\\Flagged"])
    twin.sync()
    one, two = file_of(twin, 1), file_of(twin, 2)
    os.rename(one.path, one.path + ".aside")
    os.rename(two.path, os.path.join(os.path.dirname(one.path), one.base + ":2,F"))
    os.rename(one.path + ".aside", os.path.join(os.path.dirname(one.path), two.base + ":2,"))
    twin.sync()
    twin.sync()
    assert there(user) == {"INBOX": [1, 2]}
    assert flags_there(user) == {1: set(), 2: {"\\Flagged"}}
    assert_settled(user, twin)


def test_a_new_name_and_gone_there(user, twin):
    fill(user, "INBOX", 1, 2)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "INBOX", new_name=True)
    expunge_there(user, 1)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2]})


# ---- the same Message-ID ----

def twins(number):
    """Two messages of one Message-ID and date, as a list sends them: another Received, a body of
    equal length."""
    data = mail.plain(7)
    first = b"Received: from one.example.org by x; now\n" + data
    other = b"Received: from two.example.org by x; now\n" + data
    return (first, other)[number]


@IDS
def test_messages_of_one_message_id_are_not_mixed_up(user, make_twin, ids):
    """One leaves INBOX, the other comes to Archive: that is no move."""
    with user.client() as client:
        client.create("Archive")
        client.append(twins(0), "INBOX", ["\\Seen"], mail.FIRST_DATE)
    fill(user, "INBOX", 1)
    twin = make(make_twin, user, ids)
    twin.sync()
    with user.client() as client:
        client.expunge(1, "INBOX")
        client.append(twins(1), "Archive", ["\\Seen"], mail.FIRST_DATE)
    moved_result = twin.sync()
    assert moved_result.summary["moved_local"] == 0, moved_result
    assert b"two.example" in twin.tree.read("Archive")[0].data
    assert_settled(user, twin, expected={"INBOX": [1], "Archive": [7]})


def test_both_of_one_message_id_move_crosswise(user, make_twin):
    with user.client() as client:
        for number, folder in ((0, "A"), (1, "B")):
            client.create(folder)
            client.append(twins(number), folder, ["\\Seen"], mail.FIRST_DATE)
    twin = make(make_twin, user)
    twin.sync()
    one, two = twin.tree.read("A")[0], twin.tree.read("B")[0]
    twin.tree.move(one, "B", new_name=True)
    twin.tree.move(two, "A", new_name=True)
    moved(twin.sync(), remote=2)
    with user.client() as client:
        assert [b"two.example" in message.data for message in client.fetch_all("A").values()] == [
            True]
    assert_settled(user, twin, expected={"A": [7], "B": [7]})


def test_identical_messages_move_one_by_one(user, twin):
    """Three equal ones, two move: whichever they were, two are there and one is here."""
    fill(user, "INBOX", 1, 1, 1)
    fill(user, "Archive", 2)
    twin.sync()
    for file in twin.tree.read()[:2]:
        twin.tree.move(file, "Archive")
    moved(twin.sync(), remote=2)
    assert_settled(user, twin, expected={"INBOX": [1], "Archive": [1, 1, 2]})


# ---- both sides ----

@IDS
def test_moved_to_the_same_folder_on_both_sides(user, make_twin, ids):
    fill(user, "INBOX", 1, 2)
    fill(user, "Archive", 3)
    twin = make(make_twin, user, ids)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "Archive")
    move_there(user, 1, "INBOX", "Archive")
    moved(twin.sync())
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1, 3]})


@IDS
@pytest.mark.parametrize("new_name", [False, True])
def test_moved_to_different_folders_the_server_wins(user, make_twin, ids, new_name):
    fill(user, "INBOX", 1, 2)
    fill(user, "Here", 3)
    fill(user, "There", 4)
    twin = make(make_twin, user, ids)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "Here", new_name)
    move_there(user, 1, "INBOX", "There")
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "Here": [3], "There": [1, 4]})


@IDS
@pytest.mark.parametrize("new_name", [False, True])
def test_moved_here_and_deleted_there_stays(user, make_twin, ids, new_name):
    fill(user, "INBOX", 1, 2)
    fill(user, "Archive", 3)
    twin = make(make_twin, user, ids)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "Archive", new_name)
    expunge_there(user, 1)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1, 3]})


@IDS
def test_deleted_here_and_moved_there_stays(user, make_twin, ids):
    fill(user, "INBOX", 1, 2)
    fill(user, "Archive", 3)
    twin = make(make_twin, user, ids)
    twin.sync()
    os.unlink(file_of(twin, 1).path)
    move_there(user, 1, "INBOX", "Archive")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [1, 3]})


def test_deleted_on_both_sides(user, twin):
    fill(user, "INBOX", 1, 2)
    twin.sync()
    os.unlink(file_of(twin, 1).path)
    expunge_there(user, 1)
    moved(twin.sync())
    assert_settled(user, twin, expected={"INBOX": [2]})


@IDS
@pytest.mark.parametrize("same_inode", [True, False])
def test_moved_and_edited_here(user, make_twin, ids, same_inode):
    """The new contents are a new message; the old one is gone."""
    fill(user, "Drafts", 1, 2)
    fill(user, "Archive", 3)
    twin = make(make_twin, user, ids)
    twin.sync()
    path = twin.tree.move(file_of(twin, 1, "Drafts"), "Archive")
    if same_inode:
        with open(path, "wb") as out:
            out.write(mail.plain(50))
    else:
        twin.tree.edit(file_of(twin, 1, "Archive"), mail.plain(50))
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2], "Archive": [3, 50]})


@IDS
def test_edited_here_and_moved_there_keeps_both(user, make_twin, ids):
    fill(user, "Drafts", 1, 2)
    fill(user, "Archive", 3)
    twin = make(make_twin, user, ids)
    twin.sync()
    twin.tree.edit(file_of(twin, 1, "Drafts"), mail.plain(50))
    move_there(user, 1, "Drafts", "Archive")
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2, 50], "Archive": [1, 3]})


def test_flags_here_and_moved_and_removed_elsewhere(user, twin):
    """A removal there against flags here: the removal wins, but for a cleared \\Deleted."""
    fill(user, "INBOX", 1, 2, 3)
    store_there(user, 2, "+FLAGS", ["\\Deleted"])
    twin.sync()
    twin.tree.add_letters(file_of(twin, 1), "F")
    twin.tree.remove_letters(file_of(twin, 2), "T")
    for number in (1, 2):
        expunge_there(user, number)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2, 3]})


def test_removed_here_and_flags_there(user, twin):
    fill(user, "INBOX", 1, 2, 3)
    store_there(user, 2, "+FLAGS", ["\\Deleted"])
    twin.sync()
    for number in (1, 2):
        os.unlink(file_of(twin, number).path)
    store_there(user, 1, "+FLAGS", ["\\Flagged"])
    store_there(user, 2, "-FLAGS", ["\\Deleted"])
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2, 3]})


def test_the_inode_of_a_removed_file_is_used_again(user, twin):
    """ext4 gives the number out at once: it proves nothing without the contents."""
    fill(user, "INBOX", 1, 2)
    fill(user, "Archive", 3)
    twin.sync()
    one = file_of(twin, 1)
    os.unlink(one.path)
    deliver(twin, "Archive", 50)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "Archive": [3, 50]})


# ---- many folders ----

@pytest.mark.parametrize("gather", [True, False], ids=["into one", "out of one"])
def test_moves_between_many_folders_take_few_descriptors(user, make_twin, gather):
    """Of 80 folders, and each that is open takes four descriptors."""
    folders = [f"f{number}" for number in range(80)]
    fill(user, "one")
    for number, folder in enumerate(folders):
        fill(user, folder, *([number] if gather else []))
    fill(user, "one", *([] if gather else range(80)))
    twin = make(make_twin, user, connections=1)
    twin.sync()
    with user.client() as client:
        for number, folder in enumerate(folders):
            if gather:
                client.move("1", "one", folder)
            else:
                client.move(str(number + 1), folder, "one")
    moved(twin.sync(before=["prlimit", "--nofile=200:200"]), local=80)
    assert_settled(user, twin, expected={"one": range(80)} if gather else
                   {folder: [number] for number, folder in enumerate(folders)})


# ---- how much travels ----

def test_a_thousand_moves_on_the_server_cost_little(user, twin):
    fill(user, "INBOX", *range(1000), size=4000)
    fill(user, "Archive", 2000)
    twin.sync()
    with user.client() as client:
        client.move("1:*", "Archive", "INBOX")
    result = twin.sync()
    moved(result, local=1000)
    assert result.summary["bytes_in"] + result.summary["bytes_out"] < 250_000, result.summary
    assert_settled(user, twin, expected={"Archive": [*range(1000), 2000]})


def test_a_thousand_moves_here_cost_little(user, twin):
    fill(user, "INBOX", *range(1000), size=4000)
    fill(user, "Archive", 2000)
    twin.sync()
    for file in twin.tree.read():
        twin.tree.move(file, "Archive")
    result = twin.sync()
    moved(result, remote=1000)
    assert result.summary["bytes_in"] + result.summary["bytes_out"] < 100_000, result.summary
    assert_settled(user, twin, expected={"Archive": [*range(1000), 2000]})


@pytest.mark.parametrize("hide", [(), ("UIDPLUS", "MOVE")], ids=["move", "copy"])
def test_moves_that_meet_on_several_connections(dovecot, make_twin, hide):
    """Crosswise, in a ring, into one folder and out of one: on a long line workers share the moves, and
    keep apart what they must."""
    user = dovecot.new_user(hide=list(hide))
    names = [f"f{i:02}" for i in range(12)]
    expected = {name: list(range(10 * i + 3, 10 * i + 6)) for i, name in enumerate(names)}
    expected["Archive"] = [900]
    for i, name in enumerate(names):
        fill(user, name, *range(10 * i, 10 * i + 6))
    fill(user, "Archive", 900)
    fill(user, "INBOX", *range(400, 400 + len(names)))
    twin = make(make_twin, user, connections=3)
    twin.sync()
    wanted = [(400 + i, "INBOX", name) for i, name in enumerate(names)]
    for i, name in enumerate(names):
        wanted += [(10 * i, name, names[i ^ 1]), (10 * i + 1, name, names[(i + 1) % len(names)]),
                   (10 * i + 2, name, "Archive")]
    for number, source, target in wanted:
        twin.tree.move(file_of(twin, number, source), target)
        expected[target].append(number)
    with Proxy(("127.0.0.1", user.server.plain), delay=0.011) as proxy:
        twin.set(port=proxy.port)
        moved(twin.sync(), remote=len(wanted))
        movers = [connection for connection in proxy.connections
                  if any(" UID MOVE " in command or " UID COPY " in command
                         for command in connection.commands)]
    # A server without UIDPLUS is given one session only.
    assert len(movers) == 1 if hide else len(movers) > 1
    twin.set(port=user.server.plain)
    assert_settled(user, twin, expected={name: sorted(found) for name, found in expected.items()})
