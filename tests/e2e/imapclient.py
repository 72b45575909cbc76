"""A plain IMAP client for tests, on the standard library: knows nothing of mailtwin."""
import base64
import datetime
import imaplib
import re
import ssl
import time

imaplib._MAXLINE = 100_000_000


def encode_name(name):
    """Unicode to modified UTF-7 (RFC 3501, 5.1.3)."""
    out, pending = [], []

    def flush():
        if pending:
            raw = "".join(pending).encode("utf-16-be")
            out.append("&" + base64.b64encode(raw).decode().rstrip("=").replace("/", ",") + "-")
            pending.clear()

    for char in name:
        if " " <= char <= "~":
            flush()
            out.append("&-" if char == "&" else char)
        else:
            pending.append(char)
    flush()
    return "".join(out)


def decode_name(name):
    def section(match):
        if not match.group(1):
            return "&"
        raw = match.group(1).replace(",", "/")
        return base64.b64decode(raw + "=" * (-len(raw) % 4)).decode("utf-16-be")

    return re.sub(r"&([^-]*)-", section, name)


def quote(name):
    return '"' + encode_name(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def crlf(data):
    return re.sub(rb"\r?\n", b"\r\n", data)


class Message:
    def __init__(self, uid, flags, date, data):
        self.uid, self.flags, self.date, self.data = uid, flags, date, data

    def __repr__(self):
        return f"Message({self.uid}, {sorted(self.flags)}, {len(self.data)} bytes)"


class Client:
    """Names are Unicode with the server's separator. Any answer but OK raises imaplib.error."""

    def __init__(self, host, port, user, password, ca=None, tls=False):
        if tls or ca:
            context = ssl.create_default_context(cafile=ca)
            self.imap = imaplib.IMAP4_SSL(host, port, ssl_context=context)
        else:
            self.imap = imaplib.IMAP4(host, port)
        self.imap.literal = None
        self._check(self.imap.login(self._quoted(user), self._quoted(password)))
        self.selected = None

    @staticmethod
    def _quoted(text):
        # imaplib quotes passwords itself, but never user names.
        return text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.imap.logout()
        except (imaplib.IMAP4.error, OSError):
            pass

    @staticmethod
    def _check(answer):
        status, data = answer
        if status != "OK":
            raise imaplib.IMAP4.error(str(data))
        return data

    def select(self, mailbox="INBOX", readonly=False):
        data = self._check(self.imap.select(quote(mailbox), readonly))
        self.selected = mailbox
        return int(data[0])

    def uidvalidity(self, mailbox):
        return self.status(mailbox, "UIDVALIDITY")

    def status(self, mailbox, item):
        data = self._check(self.imap.status(quote(mailbox), f"({item})"))
        return int(re.search(rb"\(" + item.encode() + rb" (\d+)\)", data[-1]).group(1))

    def append(self, data, mailbox="INBOX", flags=(), date=None):
        """Returns the UID if the server tells it. date: seconds since 1970."""
        stamp = None
        if date is not None:
            moment = datetime.datetime.fromtimestamp(int(date), datetime.timezone.utc)
            stamp = imaplib.Time2Internaldate(moment)
        flag_list = "(" + " ".join(flags) + ")" if flags else None
        answer = self._check(self.imap.append(quote(mailbox), flag_list, stamp, crlf(data)))
        match = re.search(rb"APPENDUID \d+ (\d+)", answer[-1] or b"")
        return int(match.group(1)) if match else None

    def append_many(self, messages, mailbox="INBOX"):
        """[(data, flags, date)] in one MULTIAPPEND a hundred: fast, for filling."""
        for start in range(0, len(messages), 100):
            self._multiappend(messages[start:start + 100], mailbox)

    def _multiappend(self, messages, mailbox):
        tag = self.imap._new_tag()
        out = [tag + b" APPEND " + quote(mailbox).encode()]
        for data, flags, date in messages:
            data = crlf(data)
            stamp = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(date))
            out.append(b' (%s) "%s" {%d+}\r\n' % (" ".join(flags).encode(), stamp.encode(),
                                                  len(data)) + data)
        self.imap.send(b"".join(out) + b"\r\n")
        self.imap.tagged_commands[tag] = None
        self._check(self.imap._command_complete("APPEND", tag))

    def uids(self, mailbox=None, criteria="ALL"):
        if mailbox:
            self.select(mailbox)
        data = self._check(self.imap.uid("SEARCH", criteria))
        return [int(uid) for uid in (data[0] or b"").split()]

    @staticmethod
    def _set(uids):
        return ",".join(map(str, uids if isinstance(uids, (list, tuple, set)) else [uids]))

    def store(self, uids, change, flags, mailbox=None):
        """change: '+FLAGS', '-FLAGS' or 'FLAGS'."""
        if mailbox:
            self.select(mailbox)
        self._check(self.imap.uid("STORE", self._set(uids), change, "(" + " ".join(flags) + ")"))

    def expunge(self, uids, mailbox=None):
        self.store(uids, "+FLAGS", ["\\Deleted"], mailbox)
        self._check(self.imap.uid("EXPUNGE", self._set(uids)))

    def move(self, uids, target, mailbox=None):
        if mailbox:
            self.select(mailbox)
        self._check(self.imap.uid("MOVE", self._set(uids), quote(target)))

    def copy(self, uids, target, mailbox=None):
        if mailbox:
            self.select(mailbox)
        self._check(self.imap.uid("COPY", self._set(uids), quote(target)))

    def create(self, mailbox):
        self._check(self.imap.create(quote(mailbox)))

    def rename(self, old, new):
        self._check(self.imap.rename(quote(old), quote(new)))

    def delete(self, mailbox):
        if self.selected == mailbox:
            self.select("INBOX")
        self._check(self.imap.delete(quote(mailbox)))

    def list(self, everything=False):
        """Names of the mailboxes that can be selected."""
        names = []
        for line in self._check(self.imap.list()):
            if line is None:
                continue
            if isinstance(line, tuple):
                head, name = line[0], line[1].decode()
            else:
                match = re.match(rb'(\([^)]*\)) (?:"(?:\\.|[^"])*"|NIL) (.*)$', line)
                head, name = match.group(1), match.group(2).decode()
                if name.startswith('"'):
                    name = re.sub(r"\\(.)", r"\1", name[1:-1])
            attributes = head.lower()
            if everything or not (b"\\noselect" in attributes or b"\\nonexistent" in attributes):
                names.append(decode_name(name))
        return names

    def fetch_all(self, mailbox="INBOX"):
        """{uid: Message}, flags without \\Recent, date in seconds since 1970."""
        if self.select(mailbox, readonly=True) == 0:
            return {}
        data = self._check(self.imap.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])"))
        found = {}
        for index, part in enumerate(data):
            if not isinstance(part, tuple):
                continue
            following = data[index + 1] if index + 1 < len(data) else b""
            text = part[0] + b" " + (following if isinstance(following, bytes) else b"")
            uid = int(re.search(rb"UID (\d+)", text).group(1))
            flags = set(re.search(rb"FLAGS \(([^)]*)\)", text).group(1).decode().split())
            stamp = re.search(rb'INTERNALDATE "([^"]+)"', text).group(1).decode()
            moment = datetime.datetime.strptime(stamp.strip(), "%d-%b-%Y %H:%M:%S %z")
            found[uid] = Message(uid, flags - {"\\Recent"}, int(moment.timestamp()), part[1])
        return found

    def everything(self):
        """{mailbox: {uid: Message}} of the whole account."""
        return {name: self.fetch_all(name) for name in self.list()}
