"""The corpora: the same messages for the same seed, wherever and whenever they are built."""
import math
import random
import time

SEED = 20260101
FIRST_DATE = 1_600_000_000
KILO, MEGA = 1000, 1_000_000
FLAGS = [b"\\Seen"] * 6 + [b"\\Seen \\Answered", b"\\Seen \\Flagged", b"", b""]
MEDIAN, SIGMA = 8 * KILO, 0.8


def _text():
    """A megabyte of lines to cut bodies from."""
    rng = random.Random(SEED)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(3000)]
    lines, size = [], 0
    while size < MEGA:
        line = " ".join(rng.choices(words, k=11)) + "\r\n"
        lines.append(line)
        size += len(line)
    return "".join(lines).encode()


_block = None


def body(rng, size):
    """Size bytes of CRLF lines, about."""
    global _block
    if _block is None:
        _block = _text()
    start = rng.randrange(len(_block) // 2)
    start = _block.index(b"\n", start) + 1
    out = []
    while size > 0:
        piece = _block[start:start + size]
        out.append(piece)
        size -= len(piece)
        start = 0
    return b"".join(out).rstrip(b"\r\n") + b"\r\n"


def message(number, size):
    rng = random.Random(SEED * 1_000_003 + number)
    head = (b"Return-Path: <list-%d@lists.example.org>\r\n"
            b"Received: from mx%d.example.org (mx%d.example.org [192.0.2.%d])\r\n"
            b"\tby imap.example.org with ESMTPS id %016x; Tue, 15 Sep 2020 08:00:00 +0000\r\n"
            b"Date: Tue, 15 Sep 2020 08:00:00 +0000\r\n"
            b"From: Sender %d <sender%d@example.org>\r\nTo: reader@example.org\r\n"
            b"Subject: message %d of the corpus\r\nMessage-ID: <bench.%d.%08x@example.org>\r\n"
            b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
            % (number % 50, number % 9, number % 9, number % 250, rng.getrandbits(63),
               number % 700, number % 700, number, number, rng.getrandbits(32)))
    return head + body(rng, max(100, size - len(head)))


def flags(number):
    return FLAGS[(number * 7919) % len(FLAGS)]


def log_normal(number, median=MEDIAN):
    rng = random.Random(SEED * 7 + number)
    return min(int(rng.lognormvariate(math.log(median), SIGMA)), 300 * KILO)


def date(number):
    return FIRST_DATE + number * 61


def internal_date(number):
    return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(date(number))).encode()


class Corpus:
    """folders: mailboxes that hold `each` messages. spare: mailboxes that begin empty. size: of the
    message with a number; fresh_size: of those that come later, none of them large."""

    def __init__(self, name, folders, each, size, spare=(), fresh_size=log_normal):
        self.name, self.folders, self.each, self.size = name, folders, each, size
        self.spare, self.fresh_size = list(spare), fresh_size

    def messages(self, index):
        """(number, bytes) of the index-th folder."""
        for number in range(index * self.each, (index + 1) * self.each):
            yield number, message(number, self.size(number))

    def fresh(self, start, count):
        """Messages that no folder holds yet."""
        for number in range(10_000_000 + start, 10_000_000 + start + count):
            yield number, message(number, self.fresh_size(number))

    def target(self, folder):
        """Where moved messages of a folder go."""
        if len(self.folders) == 1:
            return self.spare[0]
        return self.folders[(self.folders.index(folder) + 1) % len(self.folders)]


def _small(number):
    """One in 400 is large; the first thousand are not, so that moves need not move those."""
    if number >= 10_000_000 or number % 200 != 199 or number < 1000:
        return log_normal(number)
    return [1, 4, 9, 14, 20][(number - 1000) // 200 % 5] * MEGA


def _large(number):
    return (1 + (number * 7) % 20) * MEGA if number < 10_000_000 else log_normal(number)


def same(size):
    return {"size": lambda n: size, "fresh_size": lambda n: size, "spare": ["Archive"]}


CORPORA = {corpus.name: corpus for corpus in [
    Corpus("small", ["INBOX"], 2000, _small, ["Archive"]),
    Corpus("large", ["INBOX"], 40, lambda n: int(_large(n) * 0.69), ["Archive"]),
    Corpus("many", [f"list-{i:03}" for i in range(200)], 100,
           lambda n: log_normal(n, 4500), ["INBOX"]),
    Corpus("mid", ["INBOX"], 10_000, **same(2000)),
    Corpus("big", ["INBOX"], 100_000, **same(2000)),
    Corpus("million", ["INBOX"], 1_000_000, **same(600)),
]}
