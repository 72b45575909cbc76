"""What this machine and this server allow: the fewest commands that any client needs, in one
write, the answers discarded. Nothing is written to disk and nothing decided, so no synchronizer
can be faster; what a tool takes beyond that is its own."""
import os
import re
import shutil
import time

import corpus as corpora
from scenarios import World, pieces
from wire import Wire, compact

LIST_STATUS = (b'LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))')
STATUS = re.compile(rb'\* STATUS "?([^" ]+)"? \(([^)]*)\)')


class Limit:
    """Has a user of its own, to whom the same happens as to the tools'."""

    def __init__(self, server, name, line, user):
        self.server, self.line, self.user = server, line, user
        self.tool = None
        self.corpus = corpora.CORPORA[name]
        self.world = World(server, name, self)
        self.known = {}
        self.picks = {}

    def _session(self, make):
        """Seconds of one session: connect, LOGIN and LIST, then what make(seen) asks."""
        start = time.monotonic()
        wire = Wire(self.line.port, self.user.name, self.user.password, self.line.ca, login=False)
        seen = wire.run(wire.credentials, b"ENABLE QRESYNC", LIST_STATUS)
        commands = make() if make else []
        if commands:
            wire.run(*commands, keep=False)
        seconds = time.monotonic() - start
        wire.close()
        return seconds, seen

    def remember(self):
        """What a synchronizer knows when its run ends."""
        with self.server.wire(self.user) as wire:
            answer = wire.run(LIST_STATUS)
            for name, text in STATUS.findall(answer):
                pairs = text.split()
                self.known[name.decode()] = {pairs[i].decode(): int(pairs[i + 1])
                                             for i in range(0, len(pairs), 2)}

    def _resync(self, folder, extra=()):
        known = self.known[folder]
        return [b"SELECT %s (QRESYNC (%d %d))" % (folder.encode(), known["UIDVALIDITY"],
                                                  known["HIGHESTMODSEQ"]), *extra]

    def _each(self, make):
        return [command for folder in self.corpus.folders for command in make(folder)]

    def _commands(self, scenario):
        fetch = b"(UID FLAGS INTERNALDATE BODY.PEEK[])"
        per_folder = self.world.per_folder(1000)
        if scenario == "pull":
            return self._each(lambda folder: [b"SELECT " + folder.encode(),
                                              b"UID FETCH 1:* " + fetch])
        if scenario in ("1% flags remote", "10% expunged remote"):
            return self._each(self._resync)
        if scenario == "1,000 new remote":
            return self._each(lambda folder: self._resync(
                folder, [b"UID FETCH %d:* %s" % (self.known[folder]["UIDNEXT"], fetch)]))
        if scenario == "1,000 moved remote":
            places = dict.fromkeys(self.corpus.folders + list(map(self.corpus.target,
                                                                  self.corpus.folders)))
            return [command for folder in places for command in self._resync(folder)]
        if scenario == "1% flags local":
            return self._each(lambda folder: self._resync(
                folder, [b"UID STORE %s +FLAGS.SILENT (\\Draft)" % compact(picks)
                         for picks in pieces(self.picks[folder][50::100])]))
        if scenario == "1,000 moved local":
            return self._each(lambda folder: self._resync(
                folder, [b"UID MOVE %s %s" % (compact(self.picks[folder][:per_folder]),
                                              self.corpus.target(folder).encode())]))
        if scenario == "1,000 new local":
            return self._each(self._append)
        return []

    def _append(self, folder):
        count = self.world.per_folder(1000)
        start = 500_000 + self.corpus.folders.index(folder) * count
        text = b"".join(b' () "%s" {%d+}\r\n' % (corpora.internal_date(number), len(data)) + data
                        for number, data in self.corpus.fresh(start, count))
        return [b"APPEND " + folder.encode() + text]

    def measure(self, scenario):
        if scenario in ("1% flags local", "1,000 moved local"):
            with self.server.wire(self.user) as wire:
                self.picks = {folder: wire.uids(folder) for folder in self.corpus.folders}
        commands = self._commands(scenario)
        seconds, _ = self._session(lambda: commands)
        return seconds


def write_files(directory, name):
    """Seconds to write a corpus from memory as a Maildir, unsynced: tmp, then rename."""
    corpus = corpora.CORPORA[name]
    seconds = 0.0
    for index in range(len(corpus.folders)):
        messages = [data for _, data in corpus.messages(index)]
        root = os.path.join(directory, f"write{index}")
        for sub in ("tmp", "cur"):
            os.makedirs(os.path.join(root, sub))
        start = time.monotonic()
        for number, data in enumerate(messages):
            temporary = f"{root}/tmp/{number}"
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, data)
            os.close(fd)
            os.rename(temporary, f"{root}/cur/{number}")
        seconds += time.monotonic() - start
        shutil.rmtree(root)
    return seconds
