"""Killed at every effect of a small sync, the next runs heal it: nothing lost, nothing doubled.

Each scenario is a filled account that is in sync, then acts on one or both sides. The sync of
these acts is killed before its first effect, its second, and so on to its last. After each kill
the user may act once more (the traces of docs/sync-rules.md show why that matters); then two
runs must bring both sides together, and a third must do nothing at all.

SWEEP=20 takes 20 points of each sweep, evenly spread; by default all are taken.
"""
import collections
import os
import shutil
import subprocess

import pytest

import mail
from mailtwin import assert_quiet, difference

MOST = int(os.environ.get("SWEEP") or 1_000_000)


def points_of(total, most=MOST):
    step = max(1, -(-total // most))
    return range(1, total + 1, step)


class World:
    """An account in sync, which can be set back to its start."""

    def __init__(self, user, twin):
        self.user, self.twin = user, twin
        self.saved = twin.directory + ".saved"

    def _pairs(self):
        yield self.user.home, os.path.join(self.saved, "server")
        yield self.twin.root, os.path.join(self.saved, "mail")
        yield os.path.join(self.twin.directory, "state"), os.path.join(self.saved, "state")

    @staticmethod
    def _copy(source, target):
        shutil.rmtree(target, ignore_errors=True)
        if os.path.exists(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            subprocess.run(["cp", "-a", source, target], check=True)

    def save(self):
        self.user.server.wait_idle()
        self.user.forget_log()
        for here, there in self._pairs():
            self._copy(here, there)

    def restore(self):
        self.user.server.wait_idle()
        for here, there in self._pairs():
            self._copy(there, here)
        # Inodes and times of the copy are new; a run that trusts stamps is the one to be tested.
        self.twin.sync()
        self.user.server.wait_idle()

    def counts(self, tokens):
        """How often each token is on the server, over all folders."""
        found = collections.Counter()
        with self.user.client() as client:
            for messages in client.everything().values():
                for message in messages.values():
                    for number in tokens:
                        found[number] += mail.token(number) in message.data
        return found

    def remote(self, folder, number):
        with self.user.client() as client:
            return [uid for uid, message in client.fetch_all(folder).items()
                    if mail.token(number) in message.data]


def start(world):
    with world.user.client() as client:
        client.create("B")
        for number in range(1, 5):
            client.append(mail.plain(number), flags=["\\Seen"], date=mail.FIRST_DATE + number)
        client.append(mail.plain(5), "B", date=mail.FIRST_DATE)
    world.twin.sync()


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


def both(world):
    wanted = {}
    for act in (pull, push, flags_there, delete_here):
        wanted.update(act(world))
    wanted[1] = 0
    return wanted


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


SCENARIOS = [pull, push, flags_here, flags_there, delete_here, delete_there, move_here, move_there,
             edit, copy_here, folder_here, folder_there, folder_deleted_there, folder_renamed_there,
             inbox_removed_here, restored("root"), restored("state"), both]


def heal(world, wanted):
    """Two runs, the second a while later, since an upload of unknown outcome waits a minute."""
    for later in (None, 120):
        result = world.twin.run("sync", later=later)
        assert result.exit in (0, 1, 75), result
    lines = difference(world.user, world.twin)
    assert not lines, "\n".join(lines)
    assert world.counts(wanted) == wanted


def sweep(world, act, between=None, most=MOST):
    """For every point: set back, act, kill there, act between, heal, and nothing more to do."""
    start(world)
    world.save()
    act(world)
    total = world.twin.count_effects()
    assert total > 3
    hit = 0
    for number in points_of(total, most):
        world.restore()
        wanted = collections.Counter(act(world))
        killed = world.twin.crash(number)
        world.user.server.wait_idle()
        hit += killed.exit == 137
        if between:
            wanted = collections.Counter(between(world, dict(wanted)))
        try:
            heal(world, wanted)
            assert_quiet(world.user, world.twin)
        except AssertionError as error:
            raise AssertionError(f"killed at {number} of {total}: {error}") from None
    # Threads make the number of effects differ a little from run to run.
    assert hit >= 0.8 * len(points_of(total, most)), "nearly all points were hit"


@pytest.mark.parametrize("act", SCENARIOS, ids=lambda act: act.__name__)
def test_killed_at_every_effect(user, twin, act):
    sweep(World(user, twin), act)


def test_killed_while_lots_are_stored_and_received(user, twin):
    """More than two lots of 128: one is stored by a thread while the next arrives."""
    lots = range(100, 400)

    def pull_lots(world):
        with world.user.client() as client:
            client.append_many([(mail.plain(number), (), mail.FIRST_DATE) for number in lots])
        return dict.fromkeys(lots, 1)

    sweep(World(user, twin), pull_lots, most=8)


@pytest.mark.parametrize("act", [push, move_here], ids=lambda act: act.__name__)
def test_killed_at_every_effect_with_a_poor_server(dovecot, make_twin, act):
    user = dovecot.new_user(hide=["UIDPLUS", "MOVE", "QRESYNC", "CONDSTORE", "LITERAL+"])
    sweep(World(user, make_twin(user)), act)


# The traces of the model: killed, then the user acts, then the next run.

def where_is(world, number):
    tree = world.twin.tree
    return [(folder, file) for folder, files in tree.everything().items() for file in files
            if mail.token(number) in file.data]


def server_deletes(number):
    """F1, F4: what was being fetched is deleted elsewhere; it must not come back."""
    def act(world, wanted):
        for folder in ("INBOX", "B"):
            uids = world.remote(folder, number)
            if uids:
                with world.user.client() as client:
                    client.expunge(uids, folder)
                wanted[number] = 0
        return wanted
    return act


def server_moves(number):
    """F1, F4: what was being fetched or sent is moved elsewhere; one copy stays one."""
    def act(world, wanted):
        uids = world.remote("INBOX", number)
        if uids:
            with world.user.client() as client:
                client.move(uids, "B", "INBOX")
        return wanted
    return act


def user_deletes(number):
    """F2, F3: the file whose upload or move was cut short is deleted."""
    def act(world, wanted):
        for _, file in where_is(world, number):
            world.twin.tree.delete(file)
            wanted[number] = 0
        return wanted
    return act


def user_moves(number):
    """F2, F3: the file whose upload or move was cut short is moved (back)."""
    def act(world, wanted):
        for folder, file in where_is(world, number):
            world.twin.tree.move(file, "B" if folder == "INBOX" else "INBOX")
        return wanted
    return act


def user_edits(number):
    """F2, F12: the file whose upload was cut short is saved again."""
    def act(world, wanted):
        for _, file in where_is(world, number):
            world.twin.tree.edit(file, mail.plain(50))
            wanted[number], wanted[50] = 0, 1
        return wanted
    return act


TRACES = {
    "F1 pull, deleted there": (pull, server_deletes(10)),
    "F1 pull, moved there": (pull, server_moves(10)),
    "F1 moved there, then deleted there": (move_there, server_deletes(1)),
    "F2 push, deleted here": (push, user_deletes(20)),
    "F2 push, moved here": (push, user_moves(20)),
    "F2 push, edited here": (push, user_edits(20)),
    "F3 moved here, deleted here": (move_here, user_deletes(1)),
    "F3 moved here, moved back": (move_here, user_moves(1)),
    "F4 push, moved there": (push, server_moves(20)),
    "F11 moved here, moved back there": (move_here, server_moves(1)),
    "F12 edited here, edited again": (edit, user_edits(30)),
}

@pytest.mark.parametrize("name", TRACES, ids=lambda name: name.replace(" ", "-").replace(",", ""))
def test_trace(user, twin, name):
    act, between = TRACES[name]
    sweep(World(user, twin), act, between)


def test_f5_two_kills_before_the_append_do_not_park(user, twin):
    world = World(user, twin)
    start(world)
    world.save()
    wanted = push(world)
    total = world.twin.count_effects()
    for number in points_of(total, most):
        world.restore()
        push(world)
        world.twin.crash(number)
        world.user.server.wait_idle()
        world.twin.crash(number)
        world.user.server.wait_idle()
        for later in (120, 240, 360):
            result = world.twin.run("sync", "--json", later=later)
        assert not result.problems("parked"), (number, result)
        assert world.counts(wanted) == wanted, number


def test_f6_twins_moved_on_both_sides_stay_two(user, twin):
    world = World(user, twin)
    start(world)
    with user.client() as client:
        client.append(mail.plain(60), flags=["\\Seen"], date=mail.FIRST_DATE)
        client.append(mail.plain(60), flags=["\\Flagged"], date=mail.FIRST_DATE)
    twin.sync()
    first, second = world.remote("INBOX", 60)
    with user.client() as client:
        client.move([first], "B", "INBOX")
    flagged = [file for _, file in where_is(world, 60) if "F" in file.letters]
    twin.tree.move(flagged[0], "B")
    heal(world, collections.Counter({60: 2}))


def test_f7_a_second_copy_survives_the_deletion_of_the_first(user, make_twin):
    one, two = make_twin(user, "one"), make_twin(user, "two")
    world = World(user, one)
    start(world)
    two.sync()
    file = one.tree.find(mail.token(1))
    one.tree.deliver(file.data, letters="S", date=file.mtime)
    one.tree.delete(file)
    two.tree.delete(two.tree.find(mail.token(1)))
    two.sync()
    heal(world, collections.Counter({1: 1}))


def test_f8_a_rename_in_the_folder_is_not_a_move(user, twin):
    world = World(user, twin)
    start(world)
    file = twin.tree.find(mail.token(1))
    os.rename(file.path, os.path.join(os.path.dirname(file.path), "1234.renamed.test:2,S"))
    with user.client() as client:
        client.expunge(1, "INBOX")
    heal(world, collections.Counter({1: 0}))


def test_f13_a_run_for_one_folder_leaves_moves_for_later(user, twin):
    world = World(user, twin)
    start(world)
    twin.tree.move(twin.tree.find(mail.token(1)), "B")
    for folder in ("test:B", "test:INBOX", "test:B"):
        assert twin.run("sync", folder).exit in (0, 1)
        assert world.counts([1])[1] == 1
    heal(world, collections.Counter({1: 1}))
    assert_quiet(user, twin)


def test_f14_a_keyword_that_the_server_drops_stays_here(user, twin):
    """See test_flags.py for the server that drops it: the local letter must stay."""
    world = World(user, twin)
    start(world)
    twin.tree.add_letters(twin.tree.find(mail.token(1)), "z")
    heal(world, collections.Counter({1: 1}))
    assert "z" in twin.tree.find(mail.token(1)).letters


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


def test_edits_while_a_run_is_under_way_are_seen_by_the_next(user, twin):
    """F9 (b): stamps are those of the snapshot, so whatever happens after it is found later."""
    world = World(user, twin)
    start(world)
    for number in range(100, 110):
        run = twin.start("sync")
        twin.tree.deliver(mail.plain(number), letters="S")
        run.communicate(timeout=60)
    heal(world, collections.Counter({number: 1 for number in range(100, 110)}))
