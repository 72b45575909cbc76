"""What happens to the mail between two runs. Both tools have a world of their own, and the same
happens to both."""
import corpus as corpora
import local
from wire import compact


class World:
    """One tool, its user on the server and its Maildir."""

    def __init__(self, server, name, tool):
        self.server, self.tool = server, tool
        self.corpus = corpora.CORPORA[name]
        self.user = tool.user

    def wire(self):
        return self.server.wire(self.user)

    def agree(self):
        """What differs between the two sides, in words; empty if nothing does."""
        with self.wire() as wire:
            remote = wire.census()
        here = local.census(self.tool.root, remote)
        return "; ".join(f"{folder}: server {remote[folder]}, disk {here[folder]}"
                         for folder in remote if remote[folder] != here[folder])

    def per_folder(self, count):
        return count // len(self.corpus.folders)

    def messages(self):
        return self.corpus.each * len(self.corpus.folders)


def pieces(uids):
    """In commands that no server finds too long."""
    return [uids[i:i + 5000] for i in range(0, len(uids), 5000)]


def nothing(_):
    """Nothing changes."""


def directories_changed(world):
    """Something came and went in each of them."""
    local.touch(world.tool.root, world.corpus.folders)


def flags_remote(world):
    with world.wire() as wire:
        for folder in world.corpus.folders:
            for picks in pieces(wire.uids(folder)[::100]):
                wire.run(b"UID STORE %s +FLAGS.SILENT (\\Flagged)" % compact(picks))


def flags_local(world):
    for folder in world.corpus.folders:
        picks = local.files(f"{world.tool.root}/{folder}")[50::100]
        local.add_letter(world.tool.root, folder, picks, "D")


def new_remote(world):
    count = world.per_folder(1000)
    with world.wire() as wire:
        for index, folder in enumerate(world.corpus.folders):
            wire.append(folder, ((b"\\Seen" if number % 2 else b"", corpora.internal_date(number),
                                  data)
                                 for number, data in world.corpus.fresh(index * count, count)))


def new_local(world):
    count = world.per_folder(1000)
    for index, folder in enumerate(world.corpus.folders):
        local.deliver(world.tool.root, folder,
                      world.corpus.fresh(500_000 + index * count, count))


def moved_remote(world):
    count = world.per_folder(1000)
    with world.wire() as wire:
        for folder in world.corpus.folders:
            picks = wire.uids(folder)[:count]
            wire.run(b"UID MOVE %s %s" % (compact(picks), world.corpus.target(folder).encode()))


def moved_local(world):
    """Messages that both sides have held for a while, none of them large."""
    count = world.per_folder(1000)
    picks = {}
    for folder in world.corpus.folders:
        chosen = []
        for directory, name in local.files(f"{world.tool.root}/{folder}"):
            if len(chosen) == count:
                break
            if local.os.stat(f"{directory}/{name}").st_size < 400_000:
                chosen.append((directory, name))
        picks[folder] = chosen
    for folder, chosen in picks.items():
        local.move(world.tool.root, chosen, world.corpus.target(folder))


def expunged_remote(world):
    with world.wire() as wire:
        for folder in world.corpus.folders:
            for picks in map(compact, pieces(wire.uids(folder)[::10])):
                wire.run(b"UID STORE %s +FLAGS.SILENT (\\Deleted)" % picks,
                         b"UID EXPUNGE " + picks)


# In this order: each begins where the one before ended.
SCENARIOS = {
    "pull": nothing,
    "no-op": nothing,
    "no-op again": nothing,
    "1% flags remote": flags_remote,
    "1% flags local": flags_local,
    "1,000 new remote": new_remote,
    "1,000 new local": new_local,
    "1,000 moved remote": moved_remote,
    "1,000 moved local": moved_local,
    "10% expunged remote": expunged_remote,
}
ALL = list(SCENARIOS)
# Those that may run several times, and what makes the next run the same as the one before.
QUIET = {"no-op": directories_changed, "no-op again": nothing}
