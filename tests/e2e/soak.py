#!/usr/bin/env python3
"""Random life of an account with two devices: acts on every side, syncs, kills, and at times
an inventory. Prints its seed; the same seed makes the same acts.

    soak.py [--seconds N] [--seed N]

What must hold whenever the acts stop and both devices ran twice: the server and both Maildirs
are equal, a message that nobody removed is there, a message removed on a side that had seen all
is gone, and a further run is silent. Messages touched between a kill and the next run may come
back or double (the manual's LIMITS); they are counted, not failed.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tools")]

import mail  # noqa: E402
from dovecot import Dovecot  # noqa: E402
from mailtwin import Twin, assert_quiet, difference  # noqa: E402

FOLDERS = ["INBOX", "A", "B/C", "Entwürfe"]


class Life:
    def __init__(self, server, directory, rng):
        self.rng, self.user = rng, server.new_user()
        self.twins = [Twin(os.path.join(directory, f"{self.user.name}-{name}"), self.user,
                           layout=layout, guard=0)
                      for name, layout in (("one", "nested"), ("two", "maildir++"))]
        self.number = 0
        self.kept, self.removed, self.doubtful = set(), set(), set()
        self.shaken = set()  # devices whose last run was killed
        with self.user.client() as client:
            for folder in FOLDERS[1:]:
                client.create(folder)
        self.settle()

    def next_number(self):
        self.number += 1
        self.kept.add(self.number)
        return self.number

    @staticmethod
    def number_of(data):
        return int(data.split(b"token-")[1][:6])

    def touched(self, number, gone=False):
        if self.shaken:
            self.doubtful.add(number)
        if gone:
            self.kept.discard(number)
            self.removed.add(number)

    # Acts on a device.

    def file(self, twin):
        folder = self.rng.choice(FOLDERS)
        files = twin.tree.read(folder)
        return (folder, self.rng.choice(files)) if files else (folder, None)

    def deliver_here(self, twin):
        twin.tree.deliver(mail.plain(self.next_number()), self.rng.choice(FOLDERS),
                          self.rng.choice([None, "", "S", "FS"]))

    def flag_here(self, twin):
        _, file = self.file(twin)
        if file:
            self.touched(self.number_of(file.data))
            twin.tree.set_letters(file, self.rng.sample("DFRS", self.rng.randrange(4)))

    def remove_here(self, twin):
        _, file = self.file(twin)
        if file:
            # A removal races with acts elsewhere that this device has not seen: either may win.
            self.doubtful.add(self.number_of(file.data))
            self.touched(self.number_of(file.data), gone=True)
            twin.tree.delete(file)

    def move_here(self, twin):
        folder, file = self.file(twin)
        if file:
            self.doubtful.add(self.number_of(file.data))
            twin.tree.move(file, self.rng.choice([name for name in FOLDERS if name != folder]))

    # Acts on the server.

    def remote(self, client):
        folder = self.rng.choice(FOLDERS)
        messages = client.fetch_all(folder)
        client.select(folder)
        return (folder, self.rng.choice(list(messages.values()))) if messages else (folder, None)

    def deliver_there(self, client):
        client.append(mail.plain(self.next_number()), self.rng.choice(FOLDERS),
                      flags=self.rng.choice([[], ["\\Seen"], ["todo"]]))

    def flag_there(self, client):
        _, message = self.remote(client)
        if message:
            self.touched(self.number_of(message.data))
            client.store(message.uid, "FLAGS", self.rng.sample(mail.FLAGS, 2))

    def remove_there(self, client):
        _, message = self.remote(client)
        if message:
            self.doubtful.add(self.number_of(message.data))
            self.touched(self.number_of(message.data), gone=True)
            client.expunge(message.uid)

    def move_there(self, client):
        folder, message = self.remote(client)
        if message:
            self.doubtful.add(self.number_of(message.data))
            client.move(message.uid, self.rng.choice([n for n in FOLDERS if n != folder]))

    def act(self):
        name = self.rng.choice(["deliver"] * 4 + ["flag"] * 3 + ["move"] * 2 + ["remove"])
        if self.rng.random() < 0.5:
            with self.user.client() as client:
                getattr(self, name + "_there")(client)
        else:
            getattr(self, name + "_here")(self.rng.choice(self.twins))

    # Syncs.

    def sync(self):
        twin = self.rng.choice(self.twins)
        if self.rng.random() < 0.4:
            killed = twin.crash(self.rng.randrange(1, 150))
            self.user.server.wait_idle()
            if killed.exit == 137:
                self.shaken.add(twin)
                return
        else:
            killed = twin.run("sync")
        assert killed.exit in (0, 1), killed
        self.shaken.discard(twin)

    def settle(self):
        for later in (None, 120, 240, 360):
            for twin in self.twins:
                result = twin.run("sync", later=later)
                assert result.exit in (0, 1), result
        self.shaken.clear()

    def inventory(self):
        self.settle()
        for twin in self.twins:
            lines = difference(self.user, twin)
            assert not lines, "\n".join(lines)
            assert_quiet(self.user, twin)
        with self.user.client() as client:
            found = [self.number_of(message.data) for messages in client.everything().values()
                     for message in messages.values()]
        missing = self.kept - set(found)
        assert not missing, f"lost: {sorted(missing)}"
        doubled = {number for number in found if found.count(number) > 1} - self.doubtful
        assert not doubled, f"doubled: {sorted(doubled)}"
        back = (self.removed & set(found)) - self.doubtful
        assert not back, f"came back: {sorted(back)}"
        return len(found)


def live(server, seed, rounds):
    rng = random.Random(seed)
    directory = tempfile.mkdtemp(prefix="mt-soak-")
    try:
        life = Life(server, directory, rng)
        for _ in range(rounds):
            for _ in range(rng.randrange(1, 6)):
                life.act()
            if rng.random() < 0.7:
                life.sync()
        return life.inventory()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=None, help="one life only")
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    start, lives, seed = time.monotonic(), 0, int(time.time())
    with Dovecot() as server:
        while args.seed is not None or time.monotonic() - start < args.seconds:
            seed = seed + 1 if args.seed is None else args.seed
            try:
                count = live(server, seed, args.rounds)
            except AssertionError as error:
                print(f"soak: seed {seed}: {error}", file=sys.stderr)
                return 1
            lives += 1
            print(f"soak: seed {seed}: {count} messages, all well", flush=True)
            if args.seed is not None:
                break
    print(f"soak: {lives} lives without a loss")
    return 0 if lives else 1


if __name__ == "__main__":
    sys.exit(main())
