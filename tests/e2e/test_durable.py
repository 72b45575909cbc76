"""What is recorded would be found after a loss of power: DESIGN's order, read from the system calls.
A message's contents are durable before its record, that before its name, and the name before the
record says that it is there."""
import collections
import os
import re

import pytest

import mail
from mailtwin import assert_equal, whole_calls

CALLS = "write,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,pwrite64"
BASE = "data.mdb"


def calls_of(twin):
    """[(call, path or None, whole line)] of a run, each when it was over."""
    report = os.path.join(twin.directory, "strace")
    result = twin.run("sync", "--json", traced=True,
                      before=["strace", "-f", "-qq", "-y", "-s", "4096", "-e",
                              f"trace={CALLS}", "-o", report])
    assert result.exit == 0, result
    with open(report, encoding="utf-8", errors="replace") as file:
        for line in whole_calls(file):
            match = re.match(r"(\w+)\((?:\d+<([^>]*)>)?", line)
            if match and not re.search(r" = -1 [A-Z]+ ", line):
                yield match.group(1), match.group(2), line


class Disk:
    """What of it would outlast a loss of power."""

    def __init__(self):
        self.counts = collections.Counter()
        self.written = set()  # files whose contents may be lost
        self.durable = {}  # the others: how many commits there were before
        self.commits = 0
        self.unsynced = set()  # directories
        self.uncommitted = set()  # names that no record tells yet
        self.named = 0

    def take(self, call, path, line):
        self.counts[call] += 1
        if call == "write" and path:
            self.written.add(path)
        elif call == "syncfs":
            self.keep(*self.written)
        elif path and os.path.basename(path) == BASE:
            self.commit(call)
        elif call in ("fsync", "fdatasync"):
            self.unsynced.discard(path)
            self.keep(path)
        elif call.startswith(("rename", "link")):
            self.name(line)

    def keep(self, *paths):
        self.written.difference_update(paths)
        self.durable.update((path, self.commits) for path in paths)

    def commit(self, call):
        if call == "fdatasync":
            self.commits += 1
            if not self.unsynced:
                self.uncommitted.clear()

    def name(self, line):
        match = re.match(r'\w+\(\d+<([^>]*/tmp)>, "([^"]*)", \d+<([^>]*/(?:cur|new))>, "([^"]*)"',
                         line)
        if not match:
            return
        source, old, to, new = match.groups()
        file = f"{source}/{old}"
        assert file in self.durable and file not in self.written, f"not durable: {line}"
        assert self.commits > self.durable[file], f"named before its record: {line}"
        self.unsynced.add(to)
        self.uncommitted.add(new)
        self.named += 1


@pytest.mark.parametrize("number", [3, 300])
def test_the_order_outlasts_a_loss_of_power(user, twin, number):
    with user.client() as client:
        client.append_many(mail.batch(0, number))
    disk = Disk()
    for call in calls_of(twin):
        disk.take(*call)
    assert disk.named == number
    assert disk.unsynced == set() and disk.uncommitted == set()
    assert_equal(user, twin)
    synchronisations = sum(disk.counts[call] for call in ("fsync", "fdatasync", "syncfs"))
    if disk.counts["syncfs"]:  # little else was waiting to be written
        assert synchronisations < number / 4, disk.counts


def test_changes_in_many_folders_share_their_commits(user, twin):
    """The records of forty folders go into few transactions; each directory is synchronised by itself."""
    names = [f"list-{i:02}" for i in range(40)]
    with user.client() as client:
        for name in names:
            client.create(name)
            client.append_many(mail.batch(0, 5), name)
    twin.sync()
    with user.client() as client:
        for name in names:
            client.store([1], "FLAGS", ["\\Answered"], name)
            client.expunge([2], name)
    counts = collections.Counter(call for call, _, _ in calls_of(twin))
    assert counts["fdatasync"] <= 8, counts
    assert counts["fsync"] >= len(names), counts
    assert_equal(user, twin)
