"""A mail reader, or another device, acts between any two steps of a run: on the very message that the
run is about to change. Nothing is lost or doubled, and what the user did is what comes out.

The run stands still before each of its steps that looks at the mail or changes it, the act happens,
the run goes on; then two runs must bring both sides together. Each step has a message of its own, so
that nothing has to be set back.

RACES is how many steps of each run are taken, evenly spread, or "all" (which takes hours); 3 if it is
not set. Each pair of change and act begins at another one, so that all phases of a run have their turn.
"""
import os

import pytest

import mail
from acts import assert_settled, fill, number_of

MOST = os.environ.get("RACES") or "3"
EDITED = 500_000  # added to the number of a message: its next version


class Race:
    """One message, and who does what to it."""

    def __init__(self, user, twin, number):
        self.user, self.twin, self.number = user, twin, number
        self.acted = False

    def here(self):
        """[(folder, file)] of all files of the message, whichever version."""
        return [(folder, file) for folder, files in self.twin.tree.everything().items()
                for file in files if number_of(file.data) % EDITED == self.number]

    def file(self):
        found = self.here()
        return found[0] if found else (None, None)

    def there(self):
        """[(folder, message)] likewise on the server."""
        with self.user.client() as client:
            return [(folder, message) for folder, messages in client.everything().items()
                    for message in messages.values()
                    if number_of(message.data) % EDITED == self.number]

    def on_server(self, act):
        for folder, message in self.there():
            with self.user.client() as client:
                client.select(folder)
                act(client, message.uid)
            self.acted = True


# What the run has to carry out.

def pull(race):
    fill(race.user, "INBOX", race.number)


def push(race):
    race.twin.tree.deliver(mail.plain(race.number), letters="S")


def flags_here(race):
    _, file = race.file()
    race.twin.tree.add_letters(file, "R")


def flags_there(race):
    race.on_server(lambda client, uid: client.store(uid, "+FLAGS", ["\\Answered"]))


def delete_here(race):
    os.unlink(race.file()[1].path)


def delete_there(race):
    race.on_server(lambda client, uid: client.expunge(uid))


def move_here(race):
    race.twin.tree.move(race.file()[1], "B")


def move_there(race):
    race.on_server(lambda client, uid: client.move(uid, "B"))


def edit(race):
    race.twin.tree.edit(race.file()[1], mail.plain(race.number + EDITED))


# What happens meanwhile.

def on_file(act):
    def wrapped(race):
        folder, file = race.file()
        if file:
            act(race, folder, file)
            race.acted = True
    wrapped.__name__ = act.__name__
    return wrapped


@on_file
def removed(race, folder, file):
    os.unlink(file.path)


@on_file
def flagged(race, folder, file):
    race.twin.tree.add_letters(file, "F")


@on_file
def moved(race, folder, file):
    race.twin.tree.move(file, "C")


@on_file
def renamed(race, folder, file):
    os.rename(file.path, os.path.join(os.path.dirname(file.path),
                                      f"1234.renamed{race.number}.test:2,{file.letters}"))


@on_file
def edited(race, folder, file):
    race.twin.tree.edit(file, mail.plain(race.number + EDITED))


def removed_there(race):
    race.on_server(lambda client, uid: client.expunge(uid))


def flagged_there(race):
    race.on_server(lambda client, uid: client.store(uid, "+FLAGS", ["\\Flagged"]))


def moved_there(race):
    race.on_server(lambda client, uid: client.move(uid, "C"))


SCENARIOS = [pull, push, flags_here, flags_there, delete_here, delete_there, move_here, move_there, edit]
ACTS = [removed, flagged, moved, renamed, edited, removed_there, flagged_there, moved_there]


def outcome(race):
    """What is there in the end: {version: [(folder, flags)]}, or what differs between the sides."""
    sides = []
    for side, found in ((race.there(), lambda message: message.flags),
                        (race.here(), lambda file: file.flags)):
        sides.append(sorted((number_of(item.data) // EDITED, folder, sorted(found(item)))
                            for folder, item in side))
    versions = {}
    for version, folder, flags in sides[0]:
        versions.setdefault(version, []).append((folder, flags))
    return versions, [] if sides[0] == sides[1] else [f"{sides[0]} there, {sides[1]} here"]


def problems_of(race, scenario, act):
    """What is wrong with the outcome, as lines."""
    found, wrong = outcome(race)
    acted = act if race.acted else None
    pair = {scenario, acted}
    old, new = found.get(0, []), found.get(1, [])
    copies = old + new
    # Moved there and, between the looks at two folders, here: it was seen in both, like a copy.
    most = 2 if (scenario, acted) == (move_there, moved) else 1
    wrong += [f"{len(versions)} copies" for versions in (old, new) if len(versions) > most]
    gone = pair & {delete_here, delete_there, removed, removed_there}
    if not copies and not gone:
        wrong.append("lost")
    if not new and pair & {edit, edited} and acted not in (removed, removed_there):
        wrong.append("the edit is lost")
    if old and new and not pair & {move_there, moved_there}:  # rule 43 keeps both
        wrong.append("the old version is still there")
    if copies and acted is removed and scenario is not move_there:  # rule 41
        wrong.append("removed here and still there")
    if copies and acted is removed_there and scenario not in (move_here, edit):  # rules 35, 37
        wrong.append("removed there and still there")
    if acted in (moved, moved_there) and scenario is not move_there and "C" not in dict(copies):
        wrong.append("the move was undone")
    if not pair & {edit, edited}:  # a new version has the flags of its file
        for acts, flag in ((pair & {flagged, flagged_there}, "\\Flagged"),
                           (pair & {flags_here, flags_there}, "\\Answered")):
            wrong += [f"{flag} was lost" for _, flags in copies if acts and flag not in flags]
    return [f"{line}: {found}" for line in wrong]


def points_of(total, scenario, act):
    more = 10 if (scenario, act) in NARROW else 1
    step = 1 if MOST == "all" else max(1, total // (int(MOST) * more))
    points = [*range(1 + PAIRS.index((scenario, act)) * 7 % step, total + 1, step)]
    late = act in LOCAL if scenario is pull else scenario is push and act not in LOCAL
    if late:  # before the last steps there is nothing to act on
        points[-1] = total - 4
    return points


def settle(user, twin):
    """The first may have to wait: for files that still move, or a minute for an upload of unknown outcome."""
    for later in (None, 120, 240):
        result = twin.run("sync", later=later)
        assert result.exit in (0, 1, 75), result


LOCAL = ACTS[:5]
PAIRS = [(scenario, act) for scenario in SCENARIOS for act in ACTS
         if not (scenario is delete_here and act in LOCAL)  # there is nothing left to act on
         and not (scenario is delete_there and act not in LOCAL)]
NARROW = {(move_there, moved)}  # what went wrong here did so at one step of a hundred


@pytest.mark.parametrize("scenario, act", PAIRS,
                         ids=[f"{scenario.__name__}-{act.__name__}" for scenario, act in PAIRS])
def test_act_at_every_step(user, twin, scenario, act):
    fill(user, "B", 1)
    fill(user, "C", 1000)
    fill(user, "INBOX", 2, 1001)
    twin.sync()
    twin.sync()  # which reads once more what the first one wrote: the runs below do not
    scenario(Race(user, twin, 2))
    total = twin.count_effects(mode=["-l"])
    points = points_of(total, scenario, act)
    if scenario not in (pull, push):
        fill(user, "INBOX", *range(3, 3 + len(points)))
        twin.sync()
    bad, acted = [], 0
    for number, point in enumerate(points, 3):
        race = Race(user, twin, number)
        scenario(race)
        race.acted = False
        status = twin.hold(point, lambda: act(race), mode="-l")
        settle(user, twin)
        if status not in (0, 1, 75):
            bad.append(f"{point} of {total}: exit {status}")
        bad += [f"{point} of {total}: {line}" for line in problems_of(race, scenario, act)]
        acted += race.acted
    assert not bad, "\n" + "\n".join(bad)
    assert acted, "no act met its message"
    assert_settled(user, twin)
