"""Small syncs that are disturbed at each of their effects: killed there, or held there while
somebody acts; and what must be so after that.

Each sweep starts from a filled account that is in sync, and acts on one or both sides. The sync of
these acts is disturbed at its first effect, its second, and so on to its last, each time from the
same start. Then two runs must bring both sides together, and a third must do nothing at all.

SWEEP=20 takes 20 points of each sweep, evenly spread; by default all are taken.
"""
import collections
import dataclasses
import os
import shutil
import subprocess
import time
import typing

import mail
from mailtwin import assert_quiet, difference

MOST = int(os.environ.get("SWEEP") or 1_000_000)


def points_of(total, most=MOST):
    step = max(1, -(-total // min(most, MOST)))
    return range(1, total + 1, step)


@dataclasses.dataclass
class Case:
    """act, between: what happens before, and in, the disturbance; both say how often each message
    must be there in the end (a number, or a tuple where more than one end is right)."""
    act: typing.Callable
    between: typing.Callable = lambda world, wanted: wanted
    held: bool = False            # between happens while the run is held; else it is killed
    args: tuple = ()              # of the disturbed run
    options: dict = dataclasses.field(default_factory=dict)  # of the twin
    hide: tuple = ()              # extensions that the server lacks
    most: int = MOST              # points
    old_stamps: bool = False      # the disturbed run may trust the stamps of the directories
    check: typing.Callable = lambda world: None


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

    def restore(self, later=None):
        self.user.server.wait_idle()
        for here, there in self._pairs():
            self._copy(there, here)
        # Inodes and times of the copy are new; a run that trusts stamps is the one to be tested.
        self.twin.sync(later=later)
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

    def local(self, number):
        """[(folder, file)] of a message on disk."""
        return [(folder, file) for folder, files in self.twin.tree.everything().items()
                for file in files if mail.token(number) in file.data]

    def file(self, number, folder="INBOX"):
        return self.twin.tree.find(mail.token(number), folder)

    def assert_healed(self, wanted):
        lines = difference(self.user, self.twin)
        assert not lines, "\n".join(lines)
        found = self.counts(wanted)
        wrong = {number: found[number] for number, count in wanted.items()
                 if found[number] not in (count if isinstance(count, tuple) else (count,))}
        assert not wrong, f"found {wrong}, wanted {dict(wanted)}"


def start(world):
    with world.user.client() as client:
        client.create("B")
        for number in range(1, 5):
            client.append(mail.plain(number), flags=["\\Seen"], date=mail.FIRST_DATE + number)
        client.append(mail.plain(5), "B", date=mail.FIRST_DATE)
    world.twin.sync()


def heal(world, wanted, first=(0, 1), later=(None, None)):
    """Two runs."""
    for expected, seconds in zip((first, (0,)), later):
        result = world.twin.run("sync", later=seconds)
        assert result.exit in expected, result
    world.assert_healed(wanted)


def disturb(world, case, number):
    """True if the run came to this point; and what must be there in the end."""
    wanted = case.act(world)
    if case.held:
        end = {}

        def between():
            end.update(case.between(world, dict(wanted)))
            time.sleep(0.05)  # the run ends when this is no change of just now any more

        world.twin.hold(number, between, *case.args)
        return bool(end), end or case.between(world, wanted)
    killed = world.twin.crash(number, *case.args)
    world.user.server.wait_idle()
    return killed.exit == 137, case.between(world, dict(wanted))


def sweep(world, case):
    """For every point: set back, act, disturb there, heal, and nothing more to do."""
    later = 120 if case.old_stamps else None
    start(world)
    world.save()
    case.act(world)
    total = world.twin.count_effects(*case.args)
    assert total > 3
    hit = 0
    for number in [*points_of(total, case.most), 10 * total]:  # not disturbed at last
        world.restore(later=later)
        reached, wanted = disturb(world, case, number)
        hit += reached
        try:
            heal(world, wanted)
            case.check(world)
            assert_quiet(world.user, world.twin)
        except AssertionError as error:
            raise AssertionError(f"at {number} of {total}: {error}") from None
    # Threads make the number of effects differ a little from run to run.
    assert hit >= 0.8 * len(points_of(total, case.most)), "nearly all points were hit"
