"""What the options promise: expunge, trash, max-size, mirror, archive, the guard's options, and
mailboxes that may only be read."""
import os
import shutil

import pytest

import mail
from acts import (assert_settled, assert_silent, deliver, expunge_there, file_of, fill, flags_there,
                  here, move_there, renumber, store_there, there)
from dovecot import Dovecot
from proxy import Proxy


def remove(twin, folder, *numbers):
    for number in numbers:
        os.unlink(file_of(twin, number, folder).path)


def assert_never_written(user):
    user.server.wait_idle()
    assert user.mutating() == []


# ---- the deleted flag ----

def test_without_expunge_the_deleted_flag_is_a_flag(user, twin):
    fill(user, "INBOX", 1, 2, 3)
    twin.sync()
    store_there(user, 1, "+FLAGS", ["\\Deleted"])
    twin.tree.add_letters(file_of(twin, 2), "T")
    for _ in range(3):
        twin.sync()
    assert file_of(twin, 1).letters == "ST"
    assert flags_there(user)[2] == {"\\Seen", "\\Deleted"}
    assert_settled(user, twin, expected={"INBOX": [1, 2, 3]})


def test_a_new_file_with_the_deleted_letter_is_sent_with_it(user, twin):
    twin.sync()
    deliver(twin, "INBOX", 1, letters="T")
    twin.sync()
    assert flags_there(user) == {1: {"\\Deleted"}}
    assert_settled(user, twin)


def test_expunge_removes_what_was_marked_in_an_earlier_run(user, make_twin):
    twin = make_twin(user, expunge="yes")
    fill(user, "INBOX", *range(6))
    twin.sync()
    store_there(user, 1, "+FLAGS", ["\\Deleted"])
    twin.tree.add_letters(file_of(twin, 2), "T")
    twin.sync()
    assert there(user) == {"INBOX": list(range(6))}, "not in the run that sees the mark first"
    assert file_of(twin, 1).letters == "ST" and "\\Deleted" in flags_there(user)[2]
    result = twin.sync()
    assert_settled(user, twin, expected={"INBOX": [0, 3, 4, 5]})
    assert (result.summary["deleted_local"], result.summary["deleted_remote"]) == (2, 2), result


def test_expunge_and_a_mark_taken_back(user, make_twin):
    twin = make_twin(user, expunge="yes")
    fill(user, "INBOX", 1, 2, 3)
    twin.sync()
    for number in (1, 2):
        store_there(user, number, "+FLAGS", ["\\Deleted"])
    twin.sync()
    store_there(user, 1, "-FLAGS", ["\\Deleted"])
    twin.tree.remove_letters(file_of(twin, 2), "T")
    for _ in range(3):
        twin.sync()
    assert_settled(user, twin, expected={"INBOX": [1, 2, 3]})


def test_expunge_counts_for_the_guard(user, make_twin):
    twin = make_twin(user, expunge="yes")
    fill(user, "INBOX", *range(40))
    twin.sync()
    with user.client() as client:
        client.store("1:30", "+FLAGS", ["\\Deleted"], "INBOX")
    twin.sync()
    twin.sync(expect=3)
    assert len(there(user)["INBOX"]) == 40
    twin.sync("--allow-delete")
    assert_settled(user, twin, expected={"INBOX": range(30, 40)})


def test_deleted_mail_of_others_survives_our_removal(dovecot, make_twin):
    """No bare EXPUNGE where the server cannot do it by UID."""
    user = dovecot.new_user(hide=["UIDPLUS"])
    twin = make_twin(user)
    fill(user, "INBOX", 1, 2, 3)
    twin.sync()
    with Proxy(("127.0.0.1", user.server.plain), delay=0) as proxy:
        twin.set(port=proxy.port)
        store_there(user, 2, "+FLAGS", ["\\Deleted"])
        remove(twin, "INBOX", 1)
        for _ in range(2):
            twin.run("sync")
        assert 2 in there(user)["INBOX"] and 2 in here(twin)["INBOX"]
    twin.set(port=user.server.plain)
    store_there(user, 2, "-FLAGS", ["\\Deleted"])
    twin.run("sync")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2, 3]})


# ---- trash ----

@pytest.mark.parametrize("trash", ["Trash", "\\Trash", "Old/Bin"])
@pytest.mark.parametrize("missing", [(), ("MOVE",)], ids=["move", "copy"])
def test_a_removal_here_is_a_move_to_the_trash(user, make_twin, trash, missing):
    folder = "Trash" if trash == "\\Trash" else trash
    fill(user, folder, 50)
    fill(user, "INBOX", *range(4), flags=["\\Seen", "todo"])
    twin = make_twin(user, trash=trash, disable_extension=list(missing) or None)
    twin.sync()
    remove(twin, "INBOX", 1, 2)
    result = twin.sync()
    assert there(user) == {"INBOX": [0, 3], folder: [1, 2, 50]}, result
    twin.sync()
    assert flags_there(user, folder)[1] == {"\\Seen", "todo"}
    assert_settled(user, twin, expected={"INBOX": [0, 3], folder: [1, 2, 50]})
    remove(twin, folder, 1, 50)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [0, 3], folder: [2]})


def test_trash_and_the_guard(user, make_twin):
    fill(user, "Trash", 500)
    fill(user, "INBOX", *range(40))
    twin = make_twin(user, trash="Trash")
    twin.sync()
    remove(twin, "INBOX", *range(30))
    twin.sync(expect=3)
    assert len(there(user)["INBOX"]) == 40
    twin.sync("--allow-delete")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": range(30, 40), "Trash": [*range(30), 500]})


def test_moved_to_the_trash_by_hand(user, make_twin):
    fill(user, "Trash", 50)
    fill(user, "INBOX", 1, 2)
    twin = make_twin(user, trash="Trash")
    twin.sync()
    twin.tree.move(file_of(twin, 1), "Trash")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "Trash": [1, 50]})


def test_a_trash_that_does_not_exist(user, make_twin):
    result = make_twin(user, trash="NoSuch").run("sync")
    assert result.exit == 78 and "NoSuch" in result.stderr, result


# ---- max-size ----

def test_a_larger_message_stays_on_the_server(user, make_twin):
    twin = make_twin(user, max_size=5000)
    fill(user, "INBOX", 1, 2)
    fill(user, "INBOX", 3, 4, size=20_000)
    result = twin.sync()
    assert result.summary["skipped"] == 2 and result.summary["bytes_in"] < 15_000, result
    assert here(twin) == {"INBOX": [1, 2]}
    assert_silent(user, twin)
    store_there(user, 3, "+FLAGS", ["\\Flagged"])
    twin.sync()
    assert here(twin) == {"INBOX": [1, 2]}
    move_there(user, 3, "INBOX", "Archive")
    expunge_there(user, 4)
    twin.sync()
    assert here(twin) == {"INBOX": [1, 2]} and there(user)["Archive"] == [3]
    assert_silent(user, twin)
    twin.set(max_size=0)
    twin.sync()
    assert file_of(twin, 3, "Archive").letters == "FS"
    assert_settled(user, twin, expected={"INBOX": [1, 2], "Archive": [3]})


def test_a_limit_set_later_removes_nothing(user, make_twin):
    twin = make_twin(user)
    fill(user, "INBOX", 1, 2, size=20_000)
    twin.sync()
    twin.set(max_size=5000)
    fill(user, "INBOX", 3, size=20_000)
    twin.sync()
    assert here(twin) == {"INBOX": [1, 2]} and there(user) == {"INBOX": [1, 2, 3]}
    assert_silent(user, twin)


def test_a_limit_does_not_stop_what_is_sent(user, make_twin):
    twin = make_twin(user, max_size=5000)
    deliver(twin, "INBOX", 1, size=20_000)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [1]})


def test_a_limit_of_the_server(user, twin):
    """APPENDLIMIT tells before it is sent: named, and not one octet of it leaves."""
    with Proxy(("127.0.0.1", user.server.plain), add=["APPENDLIMIT=2000"]) as proxy:
        twin.set(port=proxy.port)
        deliver(twin, "INBOX", 1)
        deliver(twin, "INBOX", 2, size=20_000)
        result = twin.sync(expect=1)
        assert result.problems("refused") and result.summary["bytes_out"] < 5000, result
        assert there(user) == {"INBOX": [1]} and here(twin) == {"INBOX": [1, 2]}
        assert_silent(user, twin, exit=1)


def test_what_the_server_refused_is_not_sent_again(user, twin):
    """An empty message, which Dovecot will not have: told whenever the folder is looked at."""
    twin.tree.deliver(b"", "INBOX", "S")
    assert twin.sync(expect=1).problems("refused")
    deliver(twin, "INBOX", 1)
    user.forget_log()
    result = twin.sync(expect=1)
    assert result.problems("refused") and result.summary["uploaded"] == 1, result
    user.server.wait_idle()
    assert len([line for line in user.mutating() if "APPEND" in line]) == 1
    assert_silent(user, twin, exit=1)


# ---- mirror and archive ----

MODES = pytest.mark.parametrize("mode", ["mirror", "archive"])


def every_local_change(twin):
    """One of each kind that a reader can make."""
    deliver(twin, "INBOX", 100)
    deliver(twin, "Fresh", 101)
    remove(twin, "INBOX", 0)
    twin.tree.add_letters(file_of(twin, 1), "F")
    twin.tree.move(file_of(twin, 2), "Archive")
    twin.tree.edit(file_of(twin, 3), mail.plain(103))
    twin.tree.move(file_of(twin, 4), "INBOX", new_name=True)
    shutil.rmtree(twin.tree.path("Gone"))
    os.rename(twin.tree.path("Old"), twin.tree.path("New"))
    twin.tree.deliver(file_of(twin, 5).data, "Archive", "S")


@MODES
def test_not_one_command_changes_the_server(user, make_twin, mode):
    fill(user, "INBOX", *range(10))
    for number, folder in enumerate(("Archive", "Gone", "Old")):
        fill(user, folder, 50 + number)
    before = there(user)
    twin = make_twin(user, mode=mode, expunge="yes")
    user.forget_log()
    twin.sync()
    assert_never_written(user)
    every_local_change(twin)
    for _ in range(3):
        user.forget_log()
        result = twin.run("sync", "--json")
        assert result.exit in (0, 1), result
        assert_never_written(user)
        assert "EXAMINE" in " ".join(user.commands()) or _ > 0
        assert not [line for line in user.commands() if line.startswith("SELECT")]
    assert there(user) == before and flags_there(user)[1] == {"\\Seen"}
    found = here(twin)
    for folder, numbers in before.items():
        assert set(numbers) <= set(found.get(folder, [])), (folder, "what the server has is here")
    everything = sum(found.values(), [])
    assert {100, 101, 103} <= set(everything), "what the server never had is kept"
    assert file_of(twin, 1).letters == "S"
    assert result.problems("skipped"), "and reported"
    assert_silent(user, twin, exit=result.exit)


@MODES
def test_changes_of_the_server_come_here(user, make_twin, mode):
    fill(user, "INBOX", *range(10))
    twin = make_twin(user, mode=mode)
    twin.sync()
    store_there(user, 1, "+FLAGS", ["\\Flagged", "todo"])
    store_there(user, 2, "-FLAGS", ["\\Seen"])
    fill(user, "INBOX", 50)
    move_there(user, 3, "INBOX", "Archive")
    twin.sync()
    assert_settled(user, twin)


def test_mirror_follows_a_removal_and_archive_does_not(user, make_twin):
    fill(user, "INBOX", *range(10))
    fill(user, "A", 50)
    mirror = make_twin(user, "mirror", mode="mirror")
    archive = make_twin(user, "archive", mode="archive")
    for twin in (mirror, archive):
        twin.sync()
    expunge_there(user, 3)
    with user.client() as client:
        client.delete("A")
    for twin in (mirror, archive):
        twin.run("sync")
    assert here(mirror) == there(user)
    assert here(archive) == {"INBOX": list(range(10)), "A": [50]}
    assert_silent(user, mirror)
    archive.set(mode="two-way")
    user.forget_log()
    for _ in range(2):
        archive.run("sync")
    assert 3 not in there(user)["INBOX"], "kept, and never sent"
    assert 3 in here(archive)["INBOX"]


def test_archive_keeps_flags_and_lets_kept_files_go(user, make_twin):
    fill(user, "INBOX", 1, 2, 3)
    twin = make_twin(user, mode="archive")
    twin.sync()
    for number in (1, 2):
        expunge_there(user, number)
    twin.sync()
    remove(twin, "INBOX", 1)
    twin.sync()
    assert here(twin) == {"INBOX": [2, 3]}
    assert_silent(user, twin)


def test_a_mirror_and_edits_of_what_moved_or_went_there(user, make_twin):
    """The server's message is fetched to where it is now; the edit is a file it never had."""
    fill(user, "INBOX", *range(5))
    fill(user, "A", 50)
    twin = make_twin(user, mode="mirror")
    twin.sync()
    for number in (1, 2):
        twin.tree.edit(file_of(twin, number), mail.plain(100 + number))
    move_there(user, 1, "INBOX", "A")
    expunge_there(user, 2)
    user.forget_log()
    assert twin.sync().problems("skipped")
    assert_never_written(user)
    assert here(twin) == {"INBOX": [0, 3, 4, 101, 102], "A": [1, 50]}
    assert_silent(user, twin)
    assert twin.sync().problems("skipped"), "told in every run"


def test_a_mirror_that_pairs_again_destroys_nothing(user, make_twin):
    fill(user, "INBOX", *range(5))
    twin = make_twin(user, mode="mirror")
    twin.sync()
    expunge_there(user, 3)
    renumber(user, "INBOX")
    user.forget_log()
    assert twin.sync().problems("skipped")
    assert_never_written(user)
    assert here(twin) == {"INBOX": list(range(5))}
    assert_silent(user, twin)
    assert twin.sync().problems("skipped"), "told in every run"


def test_mirror_becomes_two_way(user, make_twin):
    fill(user, "INBOX", 1, 2)
    twin = make_twin(user, mode="mirror")
    twin.sync()
    deliver(twin, "INBOX", 50)
    twin.run("sync")
    twin.set(mode="two-way")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [1, 2, 50]})


@MODES
def test_a_mass_removal_there_is_held_in_a_mirror_too(user, make_twin, mode):
    fill(user, "INBOX", *range(40))
    twin = make_twin(user, mode=mode)
    twin.sync()
    with user.client() as client:
        client.expunge("1:35", "INBOX")
    twin.sync(expect=3 if mode == "mirror" else 0)
    assert len(here(twin)["INBOX"]) == 40


# ---- read-only mailboxes ----

ACL = """
mail_plugins = zlib quota acl
protocol imap {
  mail_plugins = zlib quota imap_zlib imap_quota acl imap_acl
}
plugin {
  acl = vfile
}
"""


def read_only():
    """What a server says of a mailbox that may only be read, and does then."""
    return dict(replace=[(rb"\[READ-WRITE\]", b"[READ-ONLY]"),
                         (rb"\[PERMANENTFLAGS \([^)]*\)\]", b"[PERMANENTFLAGS ()]")],
                refuse=[(rb"(?i) (UID (STORE|EXPUNGE|MOVE)|APPEND|EXPUNGE) ", b"NO [NOPERM] no")])


def test_a_read_only_mailbox_is_only_pulled(user, twin):
    fill(user, "INBOX", *range(8))
    twin.sync()
    with Proxy(("127.0.0.1", user.server.plain), **read_only()) as proxy:
        twin.set(port=proxy.port)
        twin.tree.add_letters(file_of(twin, 1), "F")
        remove(twin, "INBOX", 2)
        deliver(twin, "INBOX", 50)
        twin.tree.edit(file_of(twin, 3), mail.plain(53))
        fill(user, "INBOX", 60)
        store_there(user, 4, "+FLAGS", ["\\Flagged"])
        expunge_there(user, 5)
        user.forget_log()
        result = twin.run("sync", "--json")
        assert result.exit in (0, 1) and result.problems("skipped"), result
        assert_never_written(user)
        assert file_of(twin, 4).letters == "FS" and 60 in here(twin)["INBOX"]
        assert 5 not in here(twin)["INBOX"]
        assert {50, 53} <= set(here(twin)["INBOX"]) and file_of(twin, 1).letters == "FS"
        assert_silent(user, twin, exit=result.exit)
    twin.set(port=user.server.plain)
    twin.sync()
    twin.sync()
    assert flags_there(user)[1] == {"\\Seen", "\\Flagged"}
    assert_settled(user, twin, expected={"INBOX": [0, 1, 4, 6, 7, 50, 53, 60]})


def test_a_mailbox_without_rights_by_acl(dovecot, make_twin):
    """Real access rights: lookup, read and nothing else."""
    user = dovecot.new_user()
    fill(user, "INBOX", 1)
    fill(user, "Shared", *range(5))
    user.server.wait_idle()
    acl = os.path.join(user.home, "Maildir", ".Shared", "dovecot-acl")
    with open(acl, "w", encoding="ascii") as file:
        file.write("owner lr\n")
    os.chown(acl, dovecot.uid, dovecot.gid)
    with Dovecot(extra=ACL) as server:
        path = os.path.join(server.directory, "users", user.name)
        shutil.copy(os.path.join(dovecot.directory, "users", user.name), path)
        twin = make_twin(user, port=server.plain)
        result = twin.run("sync", "--json")
        assert result.exit == 0, result
        assert here(twin) == {"INBOX": [1], "Shared": list(range(5))}
        twin.tree.add_letters(file_of(twin, 1, "Shared"), "F")
        remove(twin, "Shared", 2)
        deliver(twin, "Shared", 50)
        deliver(twin, "INBOX", 60)
        for _ in range(2):
            result = twin.run("sync", "--json")
            assert result.exit in (0, 1) and result.problems("skipped"), result
        assert there(user) == {"INBOX": [1, 60], "Shared": list(range(5))}
        assert flags_there(user, "Shared")[1] == {"\\Seen"}
        assert 50 in here(twin)["Shared"] and "F" in file_of(twin, 1, "Shared").letters


def test_a_move_out_of_a_read_only_mailbox(user, twin):
    """It cannot leave there; the copy here is not lost."""
    fill(user, "Shared", 1, 2)
    fill(user, "INBOX", 3)
    twin.sync()
    twin.tree.move(file_of(twin, 1, "Shared"), "INBOX")
    with Proxy(("127.0.0.1", user.server.plain),
               refuse=[(rb"UID (MOVE|STORE|EXPUNGE)", b"NO [NOPERM] no")]) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        assert result.exit == 1 and result.problems(), result
        assert 1 in there(user)["Shared"]
        assert 1 in here(twin)["INBOX"] or 1 in here(twin)["Shared"]
    twin.set(port=user.server.plain)
    for _ in range(2):
        twin.sync()
    assert_settled(user, twin, expected={"Shared": [2], "INBOX": [1, 3]})


# ---- the guard's options ----

def test_undo_of_what_was_removed_there(user, twin):
    fill(user, "INBOX", *range(40), flags=["\\Seen", "todo"])
    twin.sync()
    with user.client() as client:
        client.expunge("1:30", "INBOX")
    twin.sync(expect=3)
    assert_silent(user, twin, exit=3)
    twin.sync("--undo-delete")
    assert flags_there(user)[3] == {"\\Seen", "todo"}
    assert_settled(user, twin, expected={"INBOX": range(40)})


def test_undo_of_what_was_removed_here(user, twin):
    fill(user, "INBOX", *range(40), flags=["\\Seen", "todo"])
    twin.sync()
    remove(twin, "INBOX", *range(30))
    twin.sync(expect=3)
    assert_silent(user, twin, exit=3)
    twin.sync("--undo-delete")
    assert_settled(user, twin, expected={"INBOX": range(40)})


def test_undo_of_a_few_that_were_not_held(user, twin):
    """It brings back what is held; with nothing held, a small removal is an everyday act."""
    fill(user, "INBOX", *range(40))
    twin.sync()
    remove(twin, "INBOX", 1)
    twin.sync("--undo-delete")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [0, *range(2, 40)]})


@pytest.mark.parametrize("side", ["here", "there"])
@pytest.mark.parametrize("answer", ["--allow-delete", "--undo-delete"])
def test_a_folder_of_many_that_went(user, twin, side, answer):
    fill(user, "INBOX", 100)
    fill(user, "A", *range(30))
    twin.sync()
    if side == "here":
        shutil.rmtree(twin.tree.path("A"))
    else:
        with user.client() as client:
            client.delete("A")
    twin.sync(expect=3)
    assert_silent(user, twin, exit=3)
    twin.sync(answer)
    assert_settled(user, twin, expected={"INBOX": [100]} if answer == "--allow-delete" else
                   {"INBOX": [100], "A": range(30)})


def test_held_on_both_sides_at_once(user, twin):
    fill(user, "INBOX", *range(80))
    fill(user, "A", *range(100, 140))
    twin.sync()
    remove(twin, "A", *range(100, 130))
    with user.client() as client:
        client.expunge("1:50", "INBOX")
    result = twin.sync(expect=3)
    assert result.summary["held"] == 80, result
    twin.sync("--allow-delete")
    assert_settled(user, twin, expected={"INBOX": range(50, 80), "A": range(130, 140)})


def test_held_and_then_gone_on_both_sides(user, twin):
    fill(user, "INBOX", *range(40))
    twin.sync()
    remove(twin, "INBOX", *range(30))
    twin.sync(expect=3)
    with user.client() as client:
        client.expunge("1:30", "INBOX")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": range(30, 40)})


def test_held_and_then_back_here(user, twin):
    fill(user, "INBOX", *range(40))
    twin.sync()
    saved = [(file.path, file.data) for file in twin.tree.read()][:30]
    for path, _ in saved:
        os.unlink(path)
    twin.sync(expect=3)
    for path, data in saved:
        with open(path, "wb") as out:
            out.write(data)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": range(40)})


@pytest.mark.parametrize("mode", ["two-way", "mirror"])
def test_held_and_then_moved_here(user, make_twin, mode):
    """What was filed elsewhere is not among what waits to be removed."""
    fill(user, "INBOX", *range(40))
    fill(user, "A", 500)
    twin = make_twin(user, mode=mode)
    twin.sync()
    with user.client() as client:
        client.expunge("1:30", "INBOX")
    twin.sync(expect=3)
    twin.tree.move(file_of(twin, 3), "A")
    assert twin.sync(expect=3).summary["held"] == 29
    assert_silent(user, twin, exit=3)
    result = twin.sync("--allow-delete")
    assert len(result.problems("skipped")) == (mode == "mirror"), result
    assert here(twin) == {"INBOX": list(range(30, 40)), "A": [3, 500]}
    assert there(user)["A"] == ([3, 500] if mode == "two-way" else [500])
    assert_silent(user, twin)


def test_unguarded(user, make_twin):
    fill(user, "Lists/A", *range(40))
    fill(user, "Junk", *range(100, 140))
    fill(user, "INBOX", 500)
    twin = make_twin(user, unguarded=["Lists/*"])
    twin.sync()
    remove(twin, "Lists/A", *range(35))
    with user.client() as client:
        client.expunge(client.uids("Junk"))
    twin.sync()
    assert_settled(user, twin, expected={"Lists/A": range(35, 40), "INBOX": [500]})


def test_moves_are_not_deletions(user, twin):
    fill(user, "INBOX", *range(40))
    fill(user, "A", 500)
    twin.sync()
    for number in range(35):
        twin.tree.move(file_of(twin, number), "A")
    twin.sync()
    with user.client() as client:
        client.move("1:*", "INBOX", "A")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [*range(40), 500]})


def test_a_part_of_the_folders(user, twin):
    """A move over the border of what was named is left for a full run."""
    fill(user, "INBOX", 1, 2)
    fill(user, "A", 3)
    fill(user, "B", 4)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "B")
    twin.tree.add_letters(file_of(twin, 3, "A"), "F")
    twin.run("sync", "test:INBOX")
    assert there(user) == {"INBOX": [1, 2], "A": [3], "B": [4]}
    assert flags_there(user, "A")[3] == {"\\Seen"}
    twin.sync("test:A")
    assert flags_there(user, "A")[3] == {"\\Seen", "\\Flagged"}
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [2], "A": [3], "B": [1, 4]})
