"""Killed at every effect of a small sync, the next runs heal it: nothing lost, nothing doubled.
What a user does between the kill and the next run is in test_crash_traces.py."""
import os
import shutil
import subprocess

import pytest

import mail
from crash import Case, World, heal, points_of, start, sweep
from mailtwin import assert_quiet


# What the sync that is killed has to do; after it each token is there this often.

def pull(world):
    with world.user.client() as client:
        client.append(mail.plain(10))
        client.append(mail.plain(11), "B", flags=["todo"])
    return {10: 1, 11: 1}


def push(world):
    world.twin.tree.deliver(mail.plain(20), letters="S")
    world.twin.tree.deliver(mail.plain(21), "B", "FS")
    return {20: 1, 21: 1}


def flags_here(world):
    tree = world.twin.tree
    tree.add_letters(tree.find(mail.token(1)), "F")
    tree.remove_letters(tree.find(mail.token(2)), "S")
    return {1: 1, 2: 1}


def flags_there(world):
    with world.user.client() as client:
        client.store(1, "+FLAGS", ["\\Flagged", "todo"], "INBOX")
        client.store(2, "-FLAGS", ["\\Seen"])
    return {1: 1, 2: 1}


def delete_here(world):
    world.twin.tree.delete(world.twin.tree.find(mail.token(1)))
    return {1: 0, 2: 1}


def delete_there(world):
    with world.user.client() as client:
        client.expunge(1, "INBOX")
    return {1: 0, 2: 1}


def move_here(world):
    world.twin.tree.move(world.twin.tree.find(mail.token(1)), "B")
    return {1: 1}


def move_there(world):
    with world.user.client() as client:
        client.move(1, "B", "INBOX")
    return {1: 1}


def edit(world):
    world.twin.tree.edit(world.twin.tree.find(mail.token(1)), mail.plain(30))
    return {1: 0, 30: 1}


def copy_here(world):
    file = world.twin.tree.find(mail.token(1))
    world.twin.tree.deliver(file.data, "B", "S", file.mtime)
    return {1: 2}


def folder_here(world):
    world.twin.tree.create("New/here")
    world.twin.tree.deliver(mail.plain(40), "New/here", "S")
    return {40: 1}


def folder_there(world):
    with world.user.client() as client:
        client.create("New/there")
        client.append(mail.plain(41), "New/there")
    return {41: 1}


def folder_deleted_there(world):
    with world.user.client() as client:
        client.delete("B")
    return {5: 0, 1: 1}


def folder_renamed_there(world):
    with world.user.client() as client:
        client.rename("B", "C")
    return {5: 1}


def folder_deleted_here(world):
    shutil.rmtree(world.twin.tree.path("B"))
    return {5: 0, 1: 1}


def folder_renamed_here(world):
    os.rename(world.twin.tree.path("B"), world.twin.tree.path("C"))
    return {5: 1}


def inbox_removed_here(world):
    """Its directory; it is made again, with all that is in it."""
    shutil.rmtree(world.twin.tree.path("INBOX"))
    return {number: 1 for number in range(1, 6)}


def restored(what):
    """The Maildir, or the state, as it was two runs ago."""
    def act(world):
        path = getattr(world.twin, what)
        subprocess.run(["cp", "-a", path, path + ".old"], check=True)
        for number in (60, 61):
            with world.user.client() as client:
                client.append(mail.plain(number), "B")
            world.twin.sync()
        shutil.rmtree(path)
        os.rename(path + ".old", path)
        return {number: 1 for number in (1, 2, 3, 4, 5, 60, 61)}
    act.__name__ = what + "_restored"
    return act


def rename_here(world):
    """As mu4e and mutt do: another base name, and a flag."""
    file = world.file(1)
    os.rename(file.path, os.path.join(os.path.dirname(file.path), "1234.renamed.test:2,FS"))
    return {1: 1}


def push_equal(world):
    """Three files of one message: three messages."""
    for _ in range(3):
        world.twin.tree.deliver(mail.plain(22), letters="S", date=mail.FIRST_DATE)
    return {22: 3}


def both(world):
    wanted = {}
    for act in (pull, push, flags_there, delete_here):
        wanted.update(act(world))
    wanted[1] = 0
    return wanted


def marked_deleted(world):
    """With expunge = yes, what carries the mark on both sides since an earlier run goes."""
    world.twin.tree.add_letters(world.file(1), "T")
    with world.user.client() as client:
        client.store(2, "+FLAGS", ["\\Deleted"], "INBOX")
    world.twin.sync()
    world.user.server.wait_idle()
    return {1: 0, 2: 0, 3: 1}


def to_the_trash(world):
    world.twin.tree.delete(world.file(1))
    return {1: 1}


def folder_renamed_on_both_sides(world):
    os.rename(world.twin.tree.path("B"), world.twin.tree.path("Here"))
    return folder_renamed_there(world)


SCENARIOS = [pull, push, flags_here, flags_there, delete_here, delete_there, move_here, move_there,
             edit, copy_here, folder_here, folder_there, folder_deleted_there, folder_renamed_there,
             folder_deleted_here, folder_renamed_here, folder_renamed_on_both_sides,
             inbox_removed_here, restored("root"), restored("state"), rename_here, push_equal, both]


@pytest.mark.parametrize("act", SCENARIOS, ids=lambda act: act.__name__)
def test_killed_at_every_effect(user, twin, act):
    sweep(World(user, twin), Case(act))


def test_killed_while_lots_are_stored_and_received(user, twin):
    """More than two lots of 128: one is stored by a thread while the next arrives."""
    lots = range(100, 400)

    def pull_lots(world):
        with world.user.client() as client:
            client.append_many([(mail.plain(number), (), mail.FIRST_DATE) for number in lots])
        return dict.fromkeys(lots, 1)

    sweep(World(user, twin), Case(pull_lots, most=8))


@pytest.mark.parametrize("act", [push, move_here, edit], ids=lambda act: act.__name__)
def test_killed_at_every_effect_with_a_poor_server(dovecot, make_twin, act):
    user = dovecot.new_user(hide=["UIDPLUS", "MOVE", "QRESYNC", "CONDSTORE", "LITERAL+"])
    sweep(World(user, make_twin(user)), Case(act))


@pytest.mark.parametrize("act, options", [(marked_deleted, {"expunge": "yes"}),
                                          (to_the_trash, {"trash": "B"})],
                         ids=["expunge", "trash"])
def test_killed_at_every_effect_with_options(user, make_twin, act, options):
    sweep(World(user, make_twin(user, **options)), Case(act))


def test_killed_twice(user, twin):
    """The run that heals is killed, too."""
    world = World(user, twin)
    start(world)
    world.save()
    both(world)
    total = twin.count_effects()
    for first in points_of(total, most=6):
        for second in points_of(total, most=6):
            world.restore()
            wanted = both(world)
            for number in (first, second):
                twin.crash(number)
                user.server.wait_idle()
            try:
                heal(world, wanted, later=(120, 240))
                assert_quiet(user, twin)
            except AssertionError as error:
                raise AssertionError(f"killed at {first}, {second}: {error}") from None


def test_what_a_killed_run_left_in_tmp_goes_after_some_days(user, twin):
    world = World(user, twin)
    start(world)
    world.save()
    pull(world)
    for number in range(1, twin.count_effects()):
        world.restore()
        pull(world)
        twin.crash(number)
        if twin.tree.temporaries():
            break
    assert twin.tree.temporaries(), "no point of the run leaves a file in tmp"
    user.server.wait_idle()
    twin.sync()
    with user.client() as client:
        for folder in ("INBOX", "B"):
            client.append(mail.plain(70), folder)
    twin.sync(later=4 * 86400)
    assert twin.tree.temporaries() == []
