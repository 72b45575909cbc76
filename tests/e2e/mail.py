"""Messages for tests: each has a token of its own, and some are odd in ways that mail is."""
import base64
import random

WORDS = "the a quick brown fox jumps over lazy dogs while servers sleep and mail waits".split()
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "$Forwarded", "todo", "$Label1"]
FIRST_DATE = 1_000_000_000


def token(number):
    return b"token-%06d-end" % number


def text(rng, size):
    if size > 200_000:  # words are slow to draw
        block = text(rng, 100_000)
        return (block * (size // len(block) + 1))[:size - 1].rstrip(b"\n") + b"\n"
    lines = []
    while size > 0:
        line = " ".join(rng.choice(WORDS) for _ in range(10))
        lines.append(line)
        size -= len(line) + 1
    return "\n".join(lines).encode() + b"\n"


def plain(number, size=300, rng=None):
    """An ordinary message with LF line ends."""
    rng = rng or random.Random(number)
    return (b"From: Sender %d <sender%d@example.org>\nTo: reader@example.org\n"
            b"Subject: %s\nMessage-ID: <%s@example.org>\nDate: Sun, 09 Sep 2001 01:46:40 +0000\n\n"
            % (number, number, token(number), token(number))) + text(rng, size)


def attachment(number, size=3000):
    rng = random.Random(number)
    body = base64.encodebytes(rng.randbytes(size))
    return (b"From: a@example.org\nSubject: %s\nMIME-Version: 1.0\n"
            b"Content-Type: multipart/mixed; boundary=cut\n\n--cut\nContent-Type: text/plain\n\n"
            b"see attachment\n--cut\nContent-Type: application/octet-stream\n"
            b"Content-Transfer-Encoding: base64\nContent-Disposition: attachment; "
            b"filename=data.bin\n\n%s--cut--\n" % (token(number), body))


def odd(number):
    """One of the forms that break careless programs."""
    name = token(number)
    forms = [
        name + b": no header, no colon line\nstill none\n",
        b"\nbody without any header, " + name + b"\n",
        b"Subject: " + name + b"\n\n",
        b"Subject: " + name + b" \xe4\xf6\xfc\n\n8-bit: \xff\xfe\x80\n",
        b"From here@example.org Mon Jan  1 00:00:00 2001\nSubject: " + name + b"\n\nFrom the start\n"
        b">From quoted\n",
        b"Subject: " + name + b"\n\nno end of line",
        b"Subject: " + name + b"\n\n.\n..\n.dots\n",
        b"Subject: " + name + b"\n\n" + b"x" * 20000 + b"\n",
        b"Subject: " + name + b"\n folded\n\tmore\n\n{10}\na1 OK done\n* BYE\n",
        b"Subject: " + name + b"\nStatus: RO\nX-UID: 5\nBcc: secret@example.org\n\nkept\n",
        b"Subject: " + name + "\n\nGrüße, 日本語, 😀\n".encode(),
    ]
    return forms[number % len(forms)]


def mixed(number):
    if number % 5 == 4:
        return odd(number // 5 * 11 + number)
    if number % 17 == 0:
        return attachment(number)
    return plain(number, size=100 + number * 37 % 3000)


def flags(number):
    """Every combination in turn, as an account has them."""
    return [flag for bit, flag in enumerate(FLAGS) if number * 5 >> bit & 1]


def batch(start, count):
    """[(data, flags, date)] for Client.append_many."""
    return [(mixed(number), flags(number), FIRST_DATE + number * 1000)
            for number in range(start, start + count)]
