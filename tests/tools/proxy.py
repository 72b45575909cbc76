"""A proxy in front of an IMAP server that makes what real networks and servers do wrong.

Text rules see the plain text, also under TLS, since each side of the proxy speaks TLS for
itself. Used by tests as a context manager, in a thread of its own:

    with Proxy(("127.0.0.1", port), hide=["QRESYNC"], cut_at=(b"APPENDUID", 1)) as proxy:
        twin.set(port=proxy.port)

Lines of literals are not taken for lines of the protocol. COMPRESS is hidden always, since rules
could not see through it; after STARTTLS a connection is passed on as it is.

Rules of one connection (all may be given at once):
    hide, add       capabilities taken out of, and put into, every list of capabilities
    replace         [(regex, bytes)] on each line of the server
    drop_lines      [regex] lines of the server that never arrive
    drop_reply      regex: when a line of the server matches, it is swallowed and both sides are
                    closed: the command was done, the client never hears of it
    cut_client, cut_server   close after so many bytes from the client, or from the server
    cut_at          (regex, k): close before the k-th line of the server that matches
    cut_command     (regex, k): close before the k-th line of the client that matches
    refuse          [(regex, text)]: a command that matches is not passed on, nor are its literals;
                    the answer is the text after its tag (a refusal, or a lie: OK and nothing done)
    delay           seconds for each way
    times           how many faults (cuts, dropped replies) there may be in all, default any
"""
import asyncio
import collections
import contextlib
import re
import ssl
import threading
import time

LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n$")
CAPABILITIES = re.compile(rb"(^\* CAPABILITY |\[CAPABILITY )([^\]\r\n]*)", re.I)
OPAQUE = re.compile(rb"^\S+ (STARTTLS|COMPRESS)\b", re.I)


class Cut(Exception):
    """The connection ends here."""


class Connection:
    """What happened on one connection."""

    def __init__(self, number):
        self.number = number
        self.commands = []
        self.bytes = collections.Counter()
        self.faults = []
        self.refused = None  # the answer to the command whose literals come now
        self.turns = 0
        self.started = time.monotonic()
        self._last = None

    def note(self, way, count):
        self.bytes[way] += count
        if way == "client" and self._last != "client":
            self.turns += 1
        self._last = way


class Proxy:
    def __init__(self, target, tls_target=None, certificate=None, hide=(), add=(), replace=(),
                 drop_lines=(), drop_reply=None, cut_client=None, cut_server=None, cut_at=None,
                 cut_command=None, refuse=(), delay=0.0, times=None):
        """tls_target: a CA file, to speak TLS with the server. certificate: (chain, key), to
        speak TLS with the client."""
        self.target = target
        self.tls_target, self.certificate = tls_target, certificate
        self.hide = {item.upper().encode() for item in hide} | {b"COMPRESS=DEFLATE"}
        self.add = [item.encode() for item in add]
        self.replace = [(re.compile(pattern), text) for pattern, text in replace]
        self.drop_lines = [re.compile(pattern) for pattern in drop_lines]
        self.drop_reply = drop_reply and re.compile(drop_reply)
        self.cut = {"client": cut_client, "server": cut_server}
        self.cut_at = cut_at and (re.compile(cut_at[0]), cut_at[1])
        self.cut_command = cut_command and (re.compile(cut_command[0]), cut_command[1])
        self.refuse = [(re.compile(pattern), text) for pattern, text in refuse]
        self.delay = delay
        self.times = times
        self.connections = []
        self.matches = collections.Counter()
        self.totals = collections.Counter()
        self.port = None
        self._thread = self._loop = self._stop = None
        self._ready = threading.Event()
        self._error = None

    # The thread.

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)
        if self._error:
            raise self._error
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self):
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._error = error
            self._ready.set()

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        context = None
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context,
                                            limit=1 << 26)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # sockets are closed in a later turn of the loop

    async def _accept(self, reader, writer):
        connection = Connection(len(self.connections) + 1)
        self.connections.append(connection)
        context = None
        if self.tls_target:
            context = ssl.create_default_context(cafile=self.tls_target)
        try:
            upstream = await asyncio.open_connection(*self.target, ssl=context, limit=1 << 26)
        except OSError:
            writer.close()
            return
        ways = [asyncio.create_task(self._pass(connection, "client", reader, upstream[1], writer)),
                asyncio.create_task(self._pass(connection, "server", upstream[0], writer, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            try:
                await asyncio.gather(*ways, return_exceptions=True)
            finally:  # also when the proxy ends just now
                for end in (writer, upstream[1]):
                    with contextlib.suppress(Exception):
                        end.transport.abort() if self._stop.is_set() else end.close()

    # One way of a connection: lines and literals in, rules, bytes out.

    async def _pass(self, connection, way, reader, writer, client):
        with contextlib.suppress(Cut, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            queue = asyncio.Queue() if self.delay else None
            sender = asyncio.create_task(self._send_late(queue, writer)) if queue else None
            try:
                await self._lines(connection, way, reader, writer, client, queue)
            finally:
                if sender:
                    await asyncio.sleep(self.delay)
                    sender.cancel()

    async def _lines(self, connection, way, reader, writer, client, queue):
        fresh = True
        while not getattr(connection, "opaque", False):
            line = await reader.readline()
            if not line:
                return
            literal = LITERAL.search(line)
            length = int(literal.group(1)) if literal else 0
            out = await self._rules(connection, way, line, fresh, client)
            if out is not None:
                await self._send(connection, way, out, writer, queue)
            fresh = literal is None
            while length > 0:
                data = await reader.read(min(length, 65536))
                if not data:
                    return
                length -= len(data)
                if out is not None:
                    await self._send(connection, way, data, writer, queue)
        while data := await reader.read(65536):
            await self._send(connection, way, data, writer, queue)

    async def _rules(self, connection, way, line, fresh, client):
        if way == "client":
            return await self._client_rules(connection, line, fresh, client)
        return self._server_rules(connection, line)

    async def _client_rules(self, connection, line, fresh, client):
        if not fresh:
            return await self._swallow(connection, line, client) if connection.refused else line
        connection.commands.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
        self._match(connection, self.cut_command, line, "cut_command")
        for pattern, text in self.refuse:
            if pattern.search(line) and b" " in line:
                connection.faults.append("refuse")
                connection.refused = line.split(b" ")[0] + b" " + text + b"\r\n"
                return await self._swallow(connection, line, client)
        if OPAQUE.match(line):
            connection.opaque = True
        return line

    @staticmethod
    async def _swallow(connection, line, client):
        """A line of a command that is refused: asks for its literal, or answers at its end."""
        literal = LITERAL.search(line)
        if not literal:
            client.write(connection.refused)
            connection.refused = None
        elif not literal.group(2):
            client.write(b"+ go on\r\n")
        await client.drain()

    def _server_rules(self, connection, line):
        self._match(connection, self.cut_at, line, "cut_at")
        if self.drop_reply and self.drop_reply.search(line) and self._allowed():
            connection.faults.append("drop_reply")
            raise Cut
        if any(pattern.search(line) for pattern in self.drop_lines):
            connection.faults.append("drop_line")
            return None
        if self.hide or self.add:
            line = CAPABILITIES.sub(self._capabilities, line)
        for pattern, text in self.replace:
            line = pattern.sub(text, line)
        return line

    def _capabilities(self, match):
        kept = [item for item in match.group(2).split() if item.upper() not in self.hide]
        kept += [item for item in self.add if item not in kept]
        return match.group(1) + b" ".join(kept)

    def _match(self, connection, rule, line, name):
        if not rule or not rule[0].search(line):
            return
        self.matches[name] += 1
        if self.matches[name] == rule[1] and self._allowed():
            connection.faults.append(name)
            raise Cut

    def _allowed(self):
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0

    async def _send(self, connection, way, data, writer, queue):
        limit = self.cut[way]
        if limit is not None and self.totals[way] + len(data) > limit and self._allowed():
            data = data[:max(0, limit - self.totals[way])]
            self.totals[way] += len(data)
            connection.faults.append("cut_" + way)
            self.cut[way] = None
            writer.write(data)
            await writer.drain()
            raise Cut
        self.totals[way] += len(data)
        connection.note(way, len(data))
        if queue is not None:
            queue.put_nowait((asyncio.get_running_loop().time() + self.delay, data))
            return
        writer.write(data)
        await writer.drain()

    async def _send_late(self, queue, writer):
        with contextlib.suppress(ConnectionError):
            while True:
                due, data = await queue.get()
                wait = due - asyncio.get_running_loop().time()
                if wait > 0:
                    await asyncio.sleep(wait)
                writer.write(data)
                await writer.drain()

    # What was seen.

    def commands(self):
        return [command for connection in self.connections for command in connection.commands]

    def faults(self):
        return [fault for connection in self.connections for fault in connection.faults]
