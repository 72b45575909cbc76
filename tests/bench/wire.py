"""A plain IMAP client for filling, changing and counting, and for measuring what the line and the
server allow: commands go out in one write, answers are read in large pieces and looked at only
where somebody asks."""
import re
import socket
import ssl

FLAG_LETTERS = {b"\\Seen": "S", b"\\Answered": "R", b"\\Flagged": "F", b"\\Deleted": "T",
                b"\\Draft": "D", b"$Forwarded": "P"}
FETCH_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
FETCH_UID = re.compile(rb"UID (\d+)")


class Refused(Exception):
    pass


class Wire:
    def __init__(self, port, user, password, ca=None, login=True):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca:
            self.sock = ssl.create_default_context(cafile=ca).wrap_socket(
                self.sock, server_hostname="localhost")
        self.number = 0
        self.buffer = bytearray(1 << 20)
        self.received = 0
        greeting = b""
        while not greeting.endswith(b"\r\n"):
            greeting += self.sock.recv(4096)
        password = password.replace("\\", "\\\\").replace('"', '\\"')
        self.credentials = b'LOGIN "%s" "%s"' % (user.encode(), password.encode())
        if login:
            self.run(self.credentials)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.run(b"LOGOUT")
        except (OSError, Refused):
            pass
        self.sock.close()

    def _tag(self):
        self.number += 1
        return b"x%d" % self.number

    def run(self, *commands, keep=True):
        """All commands in one write; the answers to all of them, or nothing if not to be kept.
        A command is bytes, with literals of LITERAL+ inside."""
        tags = [self._tag() for _ in commands]
        out = b"".join(tag + b" " + command + b"\r\n" for tag, command in zip(tags, commands))
        return self._exchange(out, tags, keep)

    def _exchange(self, out, tags, keep):
        view = memoryview(self.buffer)
        last = b"\r\n" + tags[-1] + b" "
        kept, tail = [], b"\r\n"
        view_out, sent = memoryview(out), 0
        self.sock.settimeout(120)
        if len(out) < 1 << 16:
            self.sock.sendall(out)
        else:  # the server answers while we write: only few bytes, which its socket holds
            while sent < len(out):
                sent += self.sock.send(view_out[sent:sent + (1 << 18)])
        while True:
            count = self.sock.recv_into(view)
            if count == 0:
                raise Refused("the server closed the connection")
            self.received += count
            if keep:
                kept.append(bytes(view[:count]))
            tail = (tail + bytes(view[max(0, count - 4000):count]))[-4000:]
            found = tail.rfind(last)
            if found >= 0 and tail.endswith(b"\r\n"):
                break
        line = tail[found + 2:]
        if not line.startswith(tags[-1] + b" OK"):
            raise Refused(line.decode("utf-8", "replace"))
        answer = b"".join(kept)
        if keep and re.search(rb"(?:^|\n)x\d+ (?:NO|BAD)", answer[-100_000:]):
            raise Refused(answer[-500:].decode("utf-8", "replace"))
        return answer

    def folders(self):
        lines = self.run(b'LIST "" "*"').split(b"\r\n")
        return [line.rsplit(b" ", 1)[1].strip(b'"').decode() for line in lines
                if line.startswith(b"* LIST") and b"\\Noselect" not in line]

    def append(self, folder, messages):
        """messages: (flags, date, bytes). As few MULTIAPPENDs as there are 8 MB."""
        out, size = [], 0
        for flags, date, data in messages:
            out.append(b' (%s) "%s" {%d+}\r\n' % (flags, date, len(data)) + data)
            size += len(data)
            if size > 8_000_000 or len(out) == 2000:
                self.run(b"APPEND %s" % folder.encode() + b"".join(out), keep=False)
                out, size = [], 0
        if out:
            self.run(b"APPEND %s" % folder.encode() + b"".join(out), keep=False)

    def uids(self, folder):
        answer = self.run(b"SELECT " + folder.encode(), b"UID SEARCH ALL")
        match = re.search(rb"\* SEARCH([^\r]*)", answer)
        return [int(uid) for uid in match.group(1).split()] if match else []

    def census(self):
        """{folder: {"": messages, letter: messages with that flag}}"""
        folders = self.folders()
        found = {}
        for start in range(0, len(folders), 50):
            for folder in folders[start:start + 50]:
                answer = self.run(b"EXAMINE " + folder.encode(), b"UID FETCH 1:* (FLAGS)")
                found[folder] = count(FETCH_FLAGS.findall(answer.split(b"\r\nx", 1)[1]))
        return found


def count(flag_lists):
    total = {"": len(flag_lists)}
    for text in flag_lists:
        for flag in text.split():
            letter = FLAG_LETTERS.get(flag)
            if letter:
                total[letter] = total.get(letter, 0) + 1
    return total


def compact(uids):
    """A set of UIDs as text, ranges where there are any."""
    out = []
    for uid in sorted(uids):
        if out and out[-1][1] == uid - 1:
            out[-1][1] = uid
        else:
            out.append([uid, uid])
    return ",".join(f"{a}:{b}" if b > a else str(a) for a, b in out).encode()
