"""A relay in front of a server, in a process of its own: counts what passes and, if asked, holds
it back for a while in each way, as a long line does (no loss, no limit of rate, no slow start).
With a delay of d seconds, a connection begins after 2d, as the handshake of TCP makes it: the
client writes at once, and what it wrote passes from then on."""
import collections
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

CHUNK = 1 << 18
BOUND = 1 << 26  # bytes under way in one direction, as much as the widest window


class Way:
    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.queue = collections.deque()  # (due, data)
        self.size = 0
        self.ended = self.shut = False


class Link:
    def __init__(self, client, server, begins):
        self.up, self.down = Way(client, server), Way(server, client)
        self.begins = begins


class Relay:
    def __init__(self, port, delay):
        self.port, self.delay = port, delay
        self.up = self.down = self.turns = self.connections = 0
        self.last = {}
        self.links = []
        self.waiting = []  # (due, client): connections whose handshake is under way
        self.stopped = False

    def run(self):
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)
        control = sys.stdin.fileno()
        while not self.stopped:
            readers, writers = [listener, control], []
            for link in self.links:
                for way in (link.up, link.down):
                    if not way.ended and way.size < BOUND:
                        readers.append(way.source)
                    if way.queue and way.queue[0][0] <= time.monotonic():
                        writers.append(way.sink)
            ready = self._select(readers, writers)
            if control in ready:
                if not os.read(control, 100):
                    return
                self._report()
            if listener in ready:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.waiting.append((time.monotonic() + 3 * self.delay, client))
            self._begin()
            for link in list(self.links):
                self._move(link, ready)

    def _select(self, readers, writers):
        due = [when for when, _ in self.waiting]
        due += [way.queue[0][0] for link in self.links for way in (link.up, link.down)
                if way.queue and way.sink not in writers]
        timeout = max(0, min(due) - time.monotonic()) if due else None
        poll = selectors.DefaultSelector()
        for reader in readers:
            poll.register(reader, selectors.EVENT_READ)
        for writer in writers:
            try:
                poll.modify(writer, selectors.EVENT_READ | selectors.EVENT_WRITE) \
                    if writer in readers else poll.register(writer, selectors.EVENT_WRITE)
            except KeyError:
                pass
        found = {key.fileobj for key, events in poll.select(timeout)}
        poll.close()
        return found

    def _report(self):
        print(json.dumps({"up": self.up, "down": self.down, "turns": self.turns,
                          "connections": self.connections}), flush=True)
        self.up = self.down = self.turns = self.connections = 0

    def _begin(self):
        """The server hears of a connection one and a half round trips after connect()."""
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, client = self.waiting.pop(0)
            server = socket.create_connection(("127.0.0.1", self.port))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            server.setblocking(False)
            self.connections += 1
            self.links.append(Link(client, server, time.monotonic()))

    def _move(self, link, ready):
        now = time.monotonic()
        for way in (link.up, link.down):
            if not way.ended and way.source in ready and way.size < BOUND:
                self._take(link, way, now)
            self._give(way, now)
        if link.up.shut and link.down.shut or link.down.shut:
            link.up.source.close()
            link.up.sink.close()
            self.links.remove(link)
            self.last.pop(id(link), None)

    def _take(self, link, way, now):
        try:
            data = way.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            way.ended = True
        else:
            self._count(link, way, len(data))
        # What was written during the handshake has waited for it already.
        early = self.delay and way is link.up and now - link.begins < self.delay / 2
        way.queue.append((now + (0 if early else self.delay), data))
        way.size += len(data)

    def _count(self, link, way, size):
        if way is link.down:
            self.down += size
        else:
            self.up += size
            self.turns += self.last.get(id(link)) is not way
        self.last[id(link)] = way

    def _give(self, way, now):
        while way.queue and way.queue[0][0] <= now and not way.shut:
            due, data = way.queue[0]
            try:
                if not data:
                    way.shut = True
                    way.sink.shutdown(socket.SHUT_WR)
                sent = way.sink.send(data) if data else 0
            except BlockingIOError:
                return
            except OSError:
                way.shut = True
                return
            way.size -= sent
            if sent < len(data):
                way.queue[0] = (due, data[sent:])
                return
            way.queue.popleft()


class RelayProcess:
    """The relay as the benchmark sees it: a port, and what passed since the last question."""

    def __init__(self, port, delay=0.0):
        self.process = subprocess.Popen([sys.executable, __file__, str(port), str(delay)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def passed(self):
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


if __name__ == "__main__":
    Relay(int(sys.argv[1]), float(sys.argv[2])).run()
