"""Contents saved again: the new are on the server before the old go, and nothing is ever neither."""
import os

import pytest

import mail
from acts import (assert_settled, deliver, expunge_there, file_of, fill, flags_there, here,
                  move_there, store_there, there)
from proxy import Proxy


def save_in_place(twin, number, new, folder="Drafts"):
    """The same file, written over."""
    with open(file_of(twin, number, folder).path, "wb") as out:
        out.write(mail.plain(new))


def save_by_rename(twin, number, new, folder="Drafts"):
    twin.tree.edit(file_of(twin, number, folder), mail.plain(new))


def save_under_new_name(twin, number, new, folder="Drafts"):
    old = file_of(twin, number, folder)
    twin.tree.deliver(mail.plain(new), folder, old.letters)
    os.unlink(old.path)


SAVES = pytest.mark.parametrize("save", [save_by_rename, save_under_new_name])


@SAVES
def test_an_edit_replaces_the_old_contents(user, twin, save):
    fill(user, "Drafts", 1, 2, flags=["\\Draft", "\\Seen", "todo"])
    twin.sync()
    save(twin, 1, 50)
    result = twin.sync()
    assert (result.summary["uploaded"], result.summary["downloaded"]) == (1, 0), result
    assert flags_there(user, "Drafts")[50] == {"\\Draft", "\\Seen", "todo"}
    assert_settled(user, twin, expected={"Drafts": [2, 50]})


@SAVES
def test_the_new_is_stored_before_the_old_goes(user, twin, save):
    fill(user, "Drafts", 1)
    twin.sync()
    save(twin, 1, 50)
    user.forget_log()
    twin.sync()
    user.server.wait_idle()
    words = [word for line in user.mutating() for word in ("APPEND", "EXPUNGE") if word in line]
    assert words == ["APPEND", "EXPUNGE"]


@pytest.mark.restless("room may have been made")
def test_the_new_cannot_be_stored_so_the_old_stays(dovecot, make_twin):
    user = dovecot.new_user(quota="100K")
    twin = make_twin(user)
    fill(user, "Drafts", 1, 2)
    twin.sync()
    twin.tree.edit(file_of(twin, 1, "Drafts"), mail.plain(50, 200_000))
    result = twin.sync(expect=1)
    assert result.problems("refused") and there(user) == {"Drafts": [1, 2]}, result
    assert twin.sync(expect=1).summary["uploaded"] == 0
    assert there(user) == {"Drafts": [1, 2]} and here(twin) == {"Drafts": [2, 50]}


@SAVES
def test_the_connection_breaks_between_the_two(user, twin, save):
    fill(user, "Drafts", 1, 2)
    twin.sync()
    save(twin, 1, 50)
    with Proxy(("127.0.0.1", user.server.plain), cut_command=(rb"EXPUNGE", 1)) as proxy:
        twin.set(port=proxy.port)
        twin.run("sync")
        assert proxy.faults() == ["cut_command"]
    twin.set(port=user.server.plain)
    assert 50 in there(user)["Drafts"]
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2, 50]})


@SAVES
def test_the_answer_to_the_new_is_lost(user, twin, save):
    fill(user, "Drafts", 1, 2)
    twin.sync()
    save(twin, 1, 50)
    with Proxy(("127.0.0.1", user.server.plain), times=1,
               drop_reply=rb"^\S+ OK .*[Aa]ppend completed") as proxy:
        twin.set(port=proxy.port)
        twin.run("sync")
        assert proxy.faults() == ["drop_reply"]
    twin.set(port=user.server.plain)
    twin.sync(later=120)
    twin.sync(later=240)
    assert_settled(user, twin, expected={"Drafts": [2, 50]})


def test_edited_five_times_between_runs(user, twin):
    fill(user, "Drafts", 1)
    twin.sync()
    number = 1
    for new in range(50, 55):
        save_by_rename(twin, number, new)
        number = new
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [54]})


def test_edited_in_each_of_five_runs(user, twin):
    deliver(twin, "Drafts", 1, letters="DS")
    number = 1
    for new in range(50, 55):
        twin.sync()
        save_by_rename(twin, number, new)
        number = new
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [54]})


def test_an_edit_that_changes_flags_too(user, twin):
    fill(user, "Drafts", 1, flags=["\\Draft"])
    twin.sync()
    save_by_rename(twin, 1, 50)
    twin.tree.add_letters(file_of(twin, 50, "Drafts"), "FS")
    twin.sync()
    assert flags_there(user, "Drafts") == {50: {"\\Draft", "\\Flagged", "\\Seen"}}
    assert_settled(user, twin, expected={"Drafts": [50]})


@SAVES
def test_edited_here_and_removed_there(user, twin, save):
    fill(user, "Drafts", 1, 2)
    twin.sync()
    save(twin, 1, 50)
    expunge_there(user, 1, "Drafts")
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2, 50]})


@SAVES
def test_edited_here_and_flags_there(user, twin, save):
    fill(user, "Drafts", 1, 2, flags=["\\Draft"])
    twin.sync()
    save(twin, 1, 50)
    store_there(user, 1, "+FLAGS", ["\\Flagged"], "Drafts")
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2, 50]})


def test_edited_here_and_moved_there_keeps_both_but_no_more(user, twin):
    fill(user, "Drafts", 1, 2)
    fill(user, "Sent", 3)
    twin.sync()
    save_by_rename(twin, 1, 50)
    move_there(user, 1, "Drafts", "Sent")
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2, 50], "Sent": [1, 3]})


def test_a_draft_is_sent(user, twin):
    """Edited and moved in one: what a reader does that turns a draft into sent mail."""
    fill(user, "Drafts", 1, 2)
    fill(user, "Sent", 3)
    twin.sync()
    deliver(twin, "Sent", 50)
    os.unlink(file_of(twin, 1, "Drafts").path)
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2], "Sent": [3, 50]})


def test_two_devices_edit_one_draft(user, make_twin):
    one, two = make_twin(user, "one"), make_twin(user, "two")
    fill(user, "Drafts", 1, 2)
    for twin in (one, two):
        twin.sync()
    save_by_rename(one, 1, 50)
    save_by_rename(two, 1, 60)
    for twin in (one, two, one, two):
        twin.sync()
    assert_settled(user, one, two, expected={"Drafts": [2, 50, 60]})


def test_two_devices_save_the_same_edit(user, make_twin):
    """Equal contents from both: one or two copies are right, but everywhere as many."""
    one, two = make_twin(user, "one"), make_twin(user, "two")
    fill(user, "Drafts", 1, 2)
    for twin in (one, two):
        twin.sync()
    for twin in (one, two):
        save_by_rename(twin, 1, 50)
    for twin in (one, two, one, two):
        twin.sync()
    assert_settled(user, one, two, expected={"Drafts": [2, 50]})


def test_two_drafts_swap_their_contents(user, twin):
    fill(user, "Drafts", 1, 2)
    twin.sync()
    one, two = file_of(twin, 1, "Drafts"), file_of(twin, 2, "Drafts")
    twin.tree.edit(one, mail.plain(2))
    twin.tree.edit(two, mail.plain(1))
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [1, 2]})


def test_touched_but_not_changed(user, twin):
    """Rewritten with the same bytes: nothing to send."""
    fill(user, "Drafts", 1, 2)
    twin.sync()
    save_by_rename(twin, 1, 1)
    user.forget_log()
    twin.sync()
    user.server.wait_idle()
    assert user.mutating() == []
    assert_settled(user, twin, expected={"Drafts": [1, 2]})


def test_written_over_in_place_and_removed_there(user, twin):
    """The same inode, and no directory that changed: it cannot be seen, but it is not destroyed."""
    fill(user, "Drafts", 1, 2)
    twin.sync()
    save_in_place(twin, 1, 50)
    expunge_there(user, 1, "Drafts")
    for _ in range(3):
        twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2, 50]})


def test_a_draft_written_over_in_place(user, twin):
    """Another change of the folder makes it be read, and then its time tells, on every file system."""
    fill(user, "Drafts", 1, 2)
    twin.sync()
    save_in_place(twin, 1, 50)
    twin.tree.add_letters(file_of(twin, 2, "Drafts"), "F")
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2, 50]})


@pytest.mark.parametrize("full", [False, True])
def test_written_over_in_place(user, twin, full):
    """Once the folder is looked at, for whatever reason, it is an edit like any other."""
    fill(user, "Drafts", 1, 2)
    twin.sync()
    save_in_place(twin, 1, 50)
    if full:
        twin.sync("--full")
    else:
        twin.tree.add_letters(file_of(twin, 50, "Drafts"), "F")
        twin.sync()
    assert there(user) == {"Drafts": [2, 50]}
    expunge_there(user, 2, "Drafts")
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [50]})


def test_an_edit_without_uidplus(dovecot, make_twin):
    user = dovecot.new_user(hide=["UIDPLUS"])
    twin = make_twin(user)
    fill(user, "Drafts", 1, 2)
    twin.sync()
    save_by_rename(twin, 1, 50)
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"Drafts": [2, 50]})
