"""Deletions travel, but never on weak evidence and never en masse without a word."""
import os
import shutil

import pytest

import mail
from acts import assert_silent
from mailtwin import assert_equal, assert_quiet


def fill(user, count, folder="INBOX", start=0):
    with user.client() as client:
        if folder not in client.list():
            client.create(folder)
        client.append_many([(mail.plain(number), ["\\Seen"], mail.FIRST_DATE + number)
                            for number in range(start, start + count)], folder)


def remote_count(user, folder="INBOX"):
    with user.client() as client:
        return len(client.uids(folder))


def remove(twin, count, folder="INBOX"):
    for file in twin.tree.read(folder)[:count]:
        twin.tree.delete(file)


def test_a_few_deletions_travel_both_ways(user, twin):
    fill(user, 50)
    twin.sync()
    remove(twin, 3)
    with user.client() as client:
        client.expunge([40, 41], "INBOX")
    result = twin.sync()
    assert (result.summary["deleted_remote"], result.summary["deleted_local"]) == (3, 2)
    assert remote_count(user) == 45
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_the_whole_of_a_small_folder_may_go(user, twin):
    fill(user, 19)
    twin.sync()
    remove(twin, 19)
    twin.sync()
    assert remote_count(user) == 0


def test_60_of_100_here_are_held_until_allowed(user, twin):
    fill(user, 100)
    fill(user, 5, "Other", 1000)
    twin.sync()
    remove(twin, 60)
    remove(twin, 1, "Other")
    twin.tree.deliver(mail.plain(2000), letters="S")
    result = twin.sync(expect=3)
    assert result.summary["held"] == 60 and result.problems("held"), result
    assert "--allow-delete" in result.stderr and "--undo-delete" in result.stderr
    assert remote_count(user) == 101, "held, but the new message went up"
    assert remote_count(user, "Other") == 4, "the other folder is in sync"
    assert twin.sync(expect=3).summary["held"] == 60, "held again in every run"
    result = twin.sync("--allow-delete")
    assert result.summary["deleted_remote"] == 60
    assert remote_count(user) == 41
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_60_of_100_there_are_held_until_undone(user, twin):
    fill(user, 100)
    twin.sync()
    with user.client() as client:
        client.expunge(list(range(1, 61)), "INBOX")
    assert twin.sync(expect=3).summary["held"] == 60
    assert len(twin.tree.read()) == 100
    twin.sync("--undo-delete")
    assert remote_count(user) == 100
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_undo_brings_back_what_was_removed_here(user, twin):
    fill(user, 100)
    twin.sync()
    remove(twin, 60)
    twin.sync(expect=3)
    twin.sync("--undo-delete")
    assert len(twin.tree.read()) == 100 and remote_count(user) == 100
    assert_equal(user, twin)


def test_a_growing_folder_does_not_release_what_is_held(user, twin):
    fill(user, 50)
    twin.sync()
    remove(twin, 30)
    twin.sync(expect=3)
    fill(user, 60, start=500)
    assert twin.sync(expect=3).summary["held"] == 30
    assert remote_count(user) == 110


def test_a_quarter_of_the_account_is_held(user, twin):
    """Less than half of each folder, but a thousand in all."""
    for number, folder in enumerate(("A", "B")):
        with user.client() as client:
            client.create(folder)
            client.append_many([(b"Subject: %d\n\nx\n" % (number * 2000 + i), ["\\Seen"],
                                 mail.FIRST_DATE + i) for i in range(1050)], folder)
    twin.sync()
    with user.client() as client:
        for folder in ("A", "B"):
            client.expunge("1:510", folder)
    assert twin.sync(expect=3).summary["held"] == 1020
    assert_silent(user, twin, exit=3)
    twin.sync("--allow-delete")
    assert_quiet(user, twin)


def test_guard_0_is_off(user, make_twin):
    twin = make_twin(user, guard=0)
    fill(user, 100)
    twin.sync()
    remove(twin, 100)
    twin.sync()
    assert remote_count(user) == 0


def test_emptying_the_trash_is_an_everyday_act(user, twin):
    fill(user, 100, "Trash")
    fill(user, 10)
    twin.sync()
    with user.client() as client:
        client.expunge(client.uids("Trash"))
    twin.sync()
    assert twin.tree.read("Trash") == []
    assert_equal(user, twin)


def test_all_files_removed_but_directories_kept_is_held(user, twin):
    fill(user, 30)
    fill(user, 30, "Archive", 100)
    twin.sync()
    for folder in ("INBOX", "Archive"):
        remove(twin, 30, folder)
    assert twin.sync(expect=3).summary["held"] == 60
    assert remote_count(user) == 30 and remote_count(user, "Archive") == 30


def test_a_missing_root_stops_before_the_login(user, twin):
    fill(user, 30)
    twin.sync()
    os.rename(twin.root, twin.root + ".away")
    user.forget_log()
    result = twin.run("sync")
    assert result.exit == 74 and len(result.error_lines()) == 1, result
    assert twin.root in result.stderr and twin.state in result.stderr, "the remedy is named"
    user.server.wait_idle()
    assert user.commands() == []
    os.mkdir(twin.root)
    assert twin.sync(expect=74).exit == 74, "an empty directory is not our Maildir"
    os.rmdir(twin.root)
    os.rename(twin.root + ".away", twin.root)
    twin.sync()
    assert_equal(user, twin)


def test_a_root_of_another_account_is_refused(dovecot, user, twin, make_twin):
    fill(user, 5)
    twin.sync()
    other = dovecot.new_user()
    stranger = make_twin(other, "stranger", maildir=twin.root)
    result = stranger.run("sync")
    assert result.exit == 78, result
    assert user.name in result.stderr and other.name in result.stderr, result
    assert remote_count(other) == 0
    twin.sync()
    assert_equal(user, twin)


def test_a_foreign_root_in_place_of_ours_is_refused(dovecot, user, twin, make_twin):
    fill(user, 5)
    twin.sync()
    other = dovecot.new_user()
    second = make_twin(other, "second")
    second.sync()
    shutil.rmtree(twin.root)
    shutil.copytree(second.root, twin.root)
    assert twin.sync(expect=74).exit == 74
    assert remote_count(user) == 5


def test_lost_state_pairs_again_without_transferring_bodies(user, twin):
    fill(user, 40)
    fill(user, 10, "Archive", 100)
    twin.sync()
    names = {file.name for file in twin.tree.read()}
    twin.forget_state()
    user.forget_log()
    result = twin.sync()
    assert (result.summary["downloaded"], result.summary["uploaded"]) == (0, 0)
    assert {file.name for file in twin.tree.read()} == names
    user.server.wait_idle()
    assert user.mutating() == []
    assert result.summary["bytes_in"] < 60_000, "headers only"
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_new_uidvalidity_pairs_again_without_transferring_bodies(user, twin):
    fill(user, 40)
    twin.sync()
    user.server.wait_idle()
    user.new_uidvalidity()
    result = twin.sync()
    assert (result.summary["downloaded"], result.summary["uploaded"]) == (0, 0), result
    assert (result.summary["deleted_local"], result.summary["deleted_remote"]) == (0, 0)
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_a_restored_maildir_brings_back_and_deletes_nothing(user, twin):
    fill(user, 10)
    twin.sync()
    shutil.copytree(twin.root, twin.root + ".backup")
    for start in (100, 200, 300):
        fill(user, 3, start=start)
        twin.sync()
    shutil.rmtree(twin.root)
    os.rename(twin.root + ".backup", twin.root)
    twin.sync()
    assert remote_count(user) == 19 and len(twin.tree.read()) == 19
    assert_equal(user, twin)


def test_a_restored_state_brings_back_and_deletes_nothing(user, twin):
    fill(user, 10)
    twin.sync()
    shutil.copytree(twin.state, twin.state + ".backup")
    for start in (100, 200, 300):
        fill(user, 3, start=start)
        twin.sync()
    shutil.rmtree(twin.state)
    os.rename(twin.state + ".backup", twin.state)
    twin.sync()
    assert remote_count(user) == 19 and len(twin.tree.read()) == 19
    assert_equal(user, twin)


@pytest.mark.parametrize("damage", ["no cur", "no new", "symlink"])
def test_a_damaged_folder_is_not_a_deleted_one(user, twin, damage):
    fill(user, 25, "Archive")
    twin.sync()
    path = twin.tree.path("Archive")
    if damage == "symlink":
        os.rename(path, os.path.join(twin.directory, "away"))
        os.symlink("/nowhere", path)
    else:
        shutil.rmtree(os.path.join(path, damage[3:]))
    assert twin.sync(expect=1).problems("folder")
    assert remote_count(user, "Archive") == 25


def test_a_removal_waits_while_a_folder_cannot_be_read(user, twin):
    """The message may have been moved there."""
    fill(user, 5)
    fill(user, 5, "Archive", 100)
    twin.sync()
    twin.tree.move(twin.tree.find(mail.token(1)), "Archive")
    remove(twin, 1)
    away = os.path.join(twin.directory, "away")
    os.rename(os.path.join(twin.tree.path("Archive"), "cur"), away)
    assert len(twin.sync(expect=1).problems("folder")) == 2
    assert (remote_count(user), remote_count(user, "Archive")) == (5, 5)
    os.rename(away, os.path.join(twin.tree.path("Archive"), "cur"))
    result = twin.sync()
    assert (result.summary["moved_remote"], result.summary["deleted_remote"]) == (1, 1), result
    assert_equal(user, twin)


def test_folders_are_deleted_both_ways(user, twin):
    fill(user, 3, "Here")
    fill(user, 3, "There", 100)
    twin.sync()
    shutil.rmtree(twin.tree.path("Here"))
    with user.client() as client:
        client.delete("There")
    twin.sync()
    with user.client() as client:
        assert client.list() == ["INBOX"]
    assert twin.tree.folders() == ["INBOX"]
    assert_quiet(user, twin)


def test_a_folder_with_many_messages_that_vanished_is_held(user, twin):
    fill(user, 40, "Archive")
    twin.sync()
    shutil.rmtree(twin.tree.path("Archive"))
    twin.sync(expect=3)
    assert remote_count(user, "Archive") == 40
    twin.sync("--allow-delete")
    with user.client() as client:
        assert client.list() == ["INBOX"]


def test_mirror_never_writes_the_server(user, make_twin):
    fill(user, 10)
    twin = make_twin(user, mode="mirror")
    twin.sync()
    twin.tree.deliver(mail.plain(500), letters="S")
    twin.tree.delete(twin.tree.find(mail.token(1)))
    twin.tree.add_letters(twin.tree.find(mail.token(2)), "F")
    user.forget_log()
    twin.run("sync")
    user.server.wait_idle()
    assert user.mutating() == [] and remote_count(user) == 10
    assert twin.tree.find(mail.token(1)) and twin.tree.find(mail.token(500))
    assert "F" not in twin.tree.find(mail.token(2)).letters


def test_archive_keeps_what_the_server_drops(user, make_twin):
    fill(user, 10)
    twin = make_twin(user, mode="archive")
    twin.sync()
    with user.client() as client:
        client.expunge([1, 2, 3], "INBOX")
    twin.run("sync")
    assert len(twin.tree.read()) == 10 and remote_count(user) == 7
    twin.set(mode="two-way")
    twin.run("sync")
    assert len(twin.tree.read()) == 10 and remote_count(user) == 7
