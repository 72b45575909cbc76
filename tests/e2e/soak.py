#!/usr/bin/env python3
"""Random life of an account with two devices: acts on every side, syncs, kills, and after each
short round an inventory. Prints its seed; the same seed makes the same acts.

    soak.py [--seconds N] [--seed N] [--rounds N] [-v]

What must hold whenever the acts stop and both devices ran: the server and both Maildirs are equal
(folders, contents, flags), and a further run is silent. And each message is exactly where its
last act put it, with the flags it gave it, as often as it was copied. Only where acts met that
did not know of each other (on two sides, or around a kill: the manual's LIMITS) more than one end
is right: it is there unless somebody removed it, and not more often than it was acted on.
"""
import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tools")]

import mail  # noqa: E402
from acts import number_of, renumber  # noqa: E402
from dovecot import Dovecot  # noqa: E402
from maildirs import FLAGS  # noqa: E402
from mailtwin import Twin, assert_quiet, difference  # noqa: E402

SERVER = "server"
KEYWORDS = ["todo", "later"]


class Model:
    """Where each message must be: {number: [(folder, flags)]}, and who knows of its last act."""

    def __init__(self, sites):
        self.sites = sites
        self.places = {}
        self.settle({})

    def settle(self, places):
        """All sites are equal and hold this."""
        self.before, self.places = places, {number: list(found) for number, found in places.items()}
        self.last = collections.Counter()    # of each number: its acts in this round
        self.seen = {site: collections.Counter() for site in self.sites}
        self.killed = {}                     # number: devices whose killed run had it in hand
        self.unsure, self.removed, self.copied = set(), set(), collections.Counter()

    def act(self, site, number, places):
        """An act of this site leaves the message there."""
        if self.seen[site][number] != self.last[number] or self.killed.get(number):
            self.unsure.add(number)
        self.last[number] += 1
        self.seen[site][number] = self.last[number]
        if len(places) < len(self.places.get(number, [])):
            self.removed.add(number)
        self.places[number] = places

    def finished(self, device):
        for number in self.last:
            self.seen[device][number] = self.seen[SERVER][number] = max(
                self.seen[device][number], self.seen[SERVER][number])
            self.killed.get(number, set()).discard(device)

    def was_killed(self, device):
        for number in self.last:
            if self.seen[device][number] != self.seen[SERVER][number]:
                self.killed.setdefault(number, set()).add(device)

    def doubt_everything(self):
        """A base was lost: what is new here and gone there cannot be told apart in this round."""
        self.act = self._doubtful_act

    def _doubtful_act(self, site, number, places):
        self.unsure.add(number)
        Model.act(self, site, number, places)

    def trust_again(self):
        self.__dict__.pop("act", None)

    def wrong(self, found):
        """What is not as it must be, as lines."""
        for number in sorted(self.places.keys() | found.keys()):
            places, there = self.places.get(number, []), found.get(number, [])
            if number not in self.unsure:
                if sorted(places) != sorted(there):
                    yield f"{number}: must be {sorted(places)}, is {sorted(there)}"
            elif not there and number not in self.removed:
                yield f"{number}: lost; it was at {sorted(places)}"
            elif len(there) > len(self.before.get(number, [1])) + self.last[number]:
                yield f"{number}: {len(there)} times at {sorted(there)}"


class Life:
    def __init__(self, server, directory, rng, verbose):
        self.rng, self.user, self.verbose = rng, server.new_user(), verbose
        self.twins = [Twin(os.path.join(directory, f"{self.user.name}-{name}"), self.user,
                           layout=layout, guard=0)
                      for name, layout in (("one", "nested"), ("two", "maildir++"))]
        self.model = Model([SERVER, *self.twins])
        self.number = 0
        self.folders = ["INBOX", "A", "B/C", "Entwürfe"]
        self.busy = set()  # folders that are made, renamed or removed in this round
        self.counts = collections.Counter()
        with self.user.client() as client:
            for folder in self.folders[1:]:
                client.create(folder)
        self.inventory()

    def tell(self, *words):
        if self.verbose:
            print("   ", *words, flush=True)

    def name(self, site):
        return SERVER if site is SERVER else os.path.basename(site.directory)

    def next_number(self):
        self.number += 1
        return self.number

    def folder(self, *but):
        return self.rng.choice([name for name in self.folders
                                if name not in self.busy and name not in but])

    def change(self, site, number, old, new):
        """One copy of the message left old for new; each is (folder, flags), or None."""
        places = list(self.model.places.get(number, []))
        if old in places:
            places.remove(old)
        elif old is not None:  # this site does not know of an act elsewhere
            self.model.unsure.add(number)
            places = places[1:]
        if new is not None:
            places.append(new)
        self.tell(self.name(site), number, old, "->", new)
        self.model.act(site, number, places)

    @staticmethod
    def flags(names):
        return tuple(sorted(names))

    # Acts on a device.

    def any_file(self, twin):
        """(folder, file, its place), or Nones."""
        files = [(folder, file) for folder, found in sorted(twin.tree.everything().items())
                 if folder not in self.busy and folder in self.folders for file in found]
        if not files:
            return None, None, None
        folder, file = self.rng.choice(files)
        return folder, file, (folder, self.flags(file.flags | file.keywords))

    def deliver_here(self, twin):
        number, folder = self.next_number(), self.folder()
        letters = self.rng.choice([None, "", "S", "FS"])
        twin.tree.deliver(mail.plain(number), folder, letters)
        self.change(twin, number, None, (folder, self.flags(FLAGS[c] for c in letters or "")))

    def flag_here(self, twin):
        folder, file, place = self.any_file(twin)
        if file:
            letter = self.rng.choice("DFRST")
            toggled = set(file.letters) ^ {letter}
            twin.tree.set_letters(file, toggled)
            self.change(twin, number_of(file.data), place,
                        (folder, self.flags(set(place[1]) ^ {FLAGS[letter]})))

    def keyword_here(self, twin):
        folder, file, place = self.any_file(twin)
        if file:
            keyword = self.rng.choice(KEYWORDS)
            twin.tree.set_letters(file, set(file.letters) ^ {self.letter(twin, folder, keyword)})
            self.change(twin, number_of(file.data), place,
                        (folder, self.flags(set(place[1]) ^ {keyword})))

    @staticmethod
    def letter(twin, folder, keyword):
        """As a mail reader that shares the keywords file finds or makes it."""
        names = twin.tree.keyword_names(folder)
        for letter, name in names.items():
            if name == keyword:
                return letter
        letter = chr(ord("a") + len(names))
        with open(os.path.join(twin.tree.path(folder), "dovecot-keywords"), "a",
                  encoding="utf-8") as file:
            file.write(f"{len(names)} {keyword}\n")
        return letter

    def remove_here(self, twin):
        _, file, place = self.any_file(twin)
        if file:
            twin.tree.delete(file)
            self.change(twin, number_of(file.data), place, None)

    def move_here(self, twin):
        """As readers do: the same name; a new one; or a new file altogether. Letters of keywords
        mean something else elsewhere: files that have some move as the same name only."""
        folder, file, place = self.any_file(twin)
        if file is None or file.keywords:
            return
        target = self.folder(folder)
        way = self.rng.choice(["rename", "new name", "copy and remove"])
        if way == "copy and remove":
            twin.tree.deliver(file.data, target, "".join(file.letters), file.mtime)
            twin.tree.delete(file)
        else:
            twin.tree.move(file, target, new_name=way == "new name")
        self.change(twin, number_of(file.data), place, (target, place[1]))

    def copy_here(self, twin):
        _, file, place = self.any_file(twin)
        if file and not file.keywords:
            target = self.folder()
            twin.tree.deliver(file.data, target, "".join(file.letters), file.mtime)
            self.change(twin, number_of(file.data), None, (target, place[1]))

    def edit_here(self, twin):
        folder, file, place = self.any_file(twin)
        if file is None:
            return
        number = self.next_number()
        if self.rng.random() < 0.5:
            twin.tree.edit(file, mail.plain(number))
            flags = place[1]
        else:
            twin.tree.deliver(mail.plain(number), folder, "DS")
            twin.tree.delete(file)
            flags = self.flags(["\\Draft", "\\Seen"])
        self.change(twin, number_of(file.data), place, None)
        self.change(twin, number, None, (folder, flags))

    def touch_here(self, twin):
        _, file, _ = self.any_file(twin)
        if file:
            os.utime(file.path, (file.mtime, file.mtime))

    # Acts on the server.

    def any_message(self, client):
        """(folder, message, its place), or Nones."""
        found = [(folder, message) for folder, messages in sorted(client.everything().items())
                 if folder not in self.busy and folder in self.folders
                 for message in messages.values()]
        if not found:
            return None, None, None
        folder, message = self.rng.choice(found)
        client.select(folder)
        return folder, message, (folder, self.flags(message.flags))

    def deliver_there(self, client):
        number, folder = self.next_number(), self.folder()
        flags = self.rng.choice([[], ["\\Seen"], ["todo"]])
        client.append(mail.plain(number), folder, flags=flags)
        self.change(SERVER, number, None, (folder, self.flags(flags)))

    def flag_there(self, client):
        folder, message, place = self.any_message(client)
        if message:
            flag = self.rng.choice([*FLAGS.values(), *KEYWORDS])
            client.store(message.uid, "-FLAGS" if flag in message.flags else "+FLAGS", [flag])
            self.change(SERVER, number_of(message.data), place,
                        (folder, self.flags(set(place[1]) ^ {flag})))

    keyword_there = flag_there

    def remove_there(self, client):
        _, message, place = self.any_message(client)
        if message:
            client.expunge(message.uid)
            self.change(SERVER, number_of(message.data), place, None)

    def move_there(self, client):
        folder, message, place = self.any_message(client)
        if message:
            target = self.folder(folder)
            client.move(message.uid, target)
            self.change(SERVER, number_of(message.data), place, (target, place[1]))

    def copy_there(self, client):
        _, message, place = self.any_message(client)
        if message:
            target = self.folder()
            client.copy(message.uid, target)
            self.change(SERVER, number_of(message.data), None, (target, place[1]))

    def edit_there(self, client):
        folder, message, place = self.any_message(client)
        if message:
            number = self.next_number()
            client.append(mail.plain(number), folder, flags=["\\Draft"])
            client.expunge(message.uid, folder)
            self.change(SERVER, number_of(message.data), place, None)
            self.change(SERVER, number, None, (folder, ("\\Draft",)))

    def touch_there(self, client):
        client.select(self.folder())

    ACTS = (["deliver"] * 5 + ["flag"] * 4 + ["keyword"] * 2 + ["move"] * 4 + ["remove"] * 2
            + ["copy", "edit", "edit", "touch"])

    def act(self):
        name = self.rng.choice(self.ACTS)
        self.counts[name] += 1
        if self.rng.random() < 0.5:
            with self.user.client() as client:
                getattr(self, name + "_there")(client)
        else:
            getattr(self, name + "_here")(self.rng.choice(self.twins))

    # Acts on folders: at the start of a round, when all is equal.

    def folder_made(self):
        name = f"N{self.next_number()}"
        if self.rng.random() < 0.5:
            with self.user.client() as client:
                client.create(name)
        else:
            self.rng.choice(self.twins).tree.create(name)
        self.folders.append(name)
        self.busy.add(name)
        self.tell("made", name)

    def some_folder(self):
        return self.rng.choice([name for name in self.folders if name not in ("INBOX", "B/C")])

    def relocate(self, site, old, new):
        for number, places in list(self.model.places.items()):
            inside = [place for place in places if place[0] == old]
            if inside:
                rest = [place for place in places if place[0] != old]
                self.model.act(site, number,
                               rest + [(new, flags) for _, flags in inside if new is not None])

    def folder_removed(self):
        if len(self.folders) < 4:
            return
        name, twin = self.some_folder(), self.rng.choice([SERVER, *self.twins])
        if twin is SERVER:
            with self.user.client() as client:
                client.delete(name)
        else:
            shutil.rmtree(twin.tree.path(name))
        self.relocate(twin, name, None)
        self.folders.remove(name)
        self.busy.add(name)
        self.tell("removed", name, self.name(twin))

    def folder_renamed(self):
        old, new = self.some_folder(), f"R{self.next_number()}"
        twin = self.rng.choice([SERVER, *self.twins])
        if twin is SERVER:
            with self.user.client() as client:
                client.rename(old, new)
        else:
            os.rename(twin.tree.path(old), twin.tree.path(new))
        self.relocate(twin, old, new)
        self.folders[self.folders.index(old)] = new
        self.busy |= {old, new}
        self.tell("renamed", old, new, self.name(twin))

    def state_lost(self):
        twin = self.rng.choice(self.twins)
        twin.forget_state()
        self.model.doubt_everything()
        self.tell("state lost", self.name(twin))

    def uids_new(self):
        folder = self.rng.choice([name for name in self.folders if name.isascii()])
        renumber(self.user, folder)
        self.model.doubt_everything()
        self.tell("renumbered", folder)

    STARTS = ["folder_made", "folder_removed", "folder_renamed", "folder_renamed", "state_lost",
              "uids_new"]

    # Syncs.

    def sync(self):
        twin = self.rng.choice(self.twins)
        if self.rng.random() < 0.6:
            for _ in range(self.rng.choice([1, 1, 2])):
                self.kill(twin)
        else:
            result = twin.run("sync")
            self.tell("sync", self.name(twin), result.exit)
            assert result.exit == 0, result
            self.model.finished(twin)

    def kill(self, twin):
        number = self.rng.choice([self.rng.randrange(1, 30), self.rng.randrange(1, 150)])
        killed = twin.crash(number)
        self.user.server.wait_idle()
        self.tell("kill", self.name(twin), number, killed.exit)
        assert killed.exit in (0, 1, 137), killed
        if killed.exit == 137:
            self.counts["kill"] += 1
            self.model.was_killed(twin)
        else:
            self.model.finished(twin)

    def settle(self):
        for later in (None, 120, 240):
            for twin in self.twins:
                result = twin.run("sync", later=later)
                assert result.exit in ((0, 1) if later != 240 else (0,)), result

    def inventory(self):
        self.settle()
        for twin in self.twins:
            lines = difference(self.user, twin)
            assert not lines, "\n".join(lines)
            assert_quiet(self.user, twin)
        found = collections.defaultdict(list)
        with self.user.client() as client:
            for folder, messages in client.everything().items():
                for message in messages.values():
                    found[number_of(message.data)].append((folder, self.flags(message.flags)))
        lines = list(self.model.wrong(found))
        assert not lines, "\n".join(lines)
        self.counts["unsure"] += len(self.model.unsure)
        self.counts["acts"] += sum(self.model.last.values())
        self.model.trust_again()
        self.model.settle(dict(found))
        self.busy.clear()

    def round(self):
        if self.rng.random() < 0.25:
            name = self.rng.choice(self.STARTS)
            self.counts[name] += 1
            getattr(self, name)()
        for _ in range(self.rng.randrange(1, 5)):
            for _ in range(self.rng.randrange(0, 4)):
                self.act()
            self.sync()
        self.inventory()


def live(server, seed, rounds, verbose):
    directory = tempfile.mkdtemp(prefix="mt-soak-")
    try:
        life = Life(server, directory, random.Random(seed), verbose)
        for number in range(rounds):
            life.tell("round", number)
            life.round()
        return life.counts
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=None, help="one life only")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("-v", "--verbose", action="store_true", help="tell every act")
    args = parser.parse_args()
    start, lives, seed, counts = time.monotonic(), 0, int(time.time()), collections.Counter()
    with Dovecot() as server:
        while args.seed is not None or time.monotonic() - start < args.seconds:
            seed = seed + 1 if args.seed is None else args.seed
            try:
                counts += live(server, seed, args.rounds, args.verbose)
            except AssertionError as error:
                print(f"soak: seed {seed}: {error}", file=sys.stderr)
                return 1
            lives += 1
            print(f"soak: seed {seed}: all well", flush=True)
            if args.seed is not None:
                break
    print(f"soak: {lives} lives without a loss:",
          ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    return 0 if lives else 1


if __name__ == "__main__":
    sys.exit(main())
