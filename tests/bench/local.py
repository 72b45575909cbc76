"""The Maildir side: changes as a mail reader and a delivery make them, and the census of it."""
import os
import re
import time

from wire import FLAG_LETTERS

LETTERS = set(FLAG_LETTERS.values())
UID_MARK = re.compile(r",U=\d+")  # mbsync's, which must not go along to another folder


def files(folder):
    """[(path, name)] in the order of their names, new and cur."""
    found = []
    for sub in ("cur", "new"):
        directory = os.path.join(folder, sub)
        if os.path.isdir(directory):
            found += [(directory, name) for name in os.listdir(directory)
                      if not name.startswith(".")]
    return sorted(found, key=lambda item: item[1])


def split(name):
    base, _, letters = name.partition(":2,")
    return base, letters


def add_letter(root, folder, picks, letter):
    """Sets a flag: the file ends in cur, as maildir(5) has it."""
    for directory, name in picks:
        base, letters = split(name)
        letters = "".join(sorted(set(letters) | {letter}))
        os.rename(os.path.join(directory, name),
                  os.path.join(root, folder, "cur", f"{base}:2,{letters}"))


def deliver(root, folder, messages):
    """messages: (number, bytes with CRLF); they are stored with LF, as deliveries do."""
    for number, data in messages:
        name = f"{int(time.time())}.M{number % 1000000}P{os.getpid()}Q{number}.bench"
        path = os.path.join(root, folder, "tmp", name)
        with open(path, "wb") as file:
            file.write(data.replace(b"\r\n", b"\n"))
        os.rename(path, os.path.join(root, folder, "new", name))


def move(root, picks, target):
    for directory, name in picks:
        base, letters = split(name)
        os.rename(os.path.join(directory, name),
                  os.path.join(root, target, "cur", f"{UID_MARK.sub('', base)}:2,{letters}"))


def census(root, folders):
    found = {}
    for folder in folders:
        total = {"": 0}
        for _, name in files(os.path.join(root, folder)):
            total[""] += 1
            for letter in set(split(name)[1]) & LETTERS:
                total[letter] = total.get(letter, 0) + 1
        found[folder] = total
    return found


def touch(root, folders):
    """The directories say that they were changed a while ago, and nothing in them was."""
    for folder in folders:
        for sub in ("cur", "new"):
            os.utime(os.path.join(root, folder, sub), (time.time() - 60,) * 2)
    time.sleep(0.05)  # a time that the kernel gave in this step of its clock is one nobody may trust


def settle(roots):
    """Until no directory was changed in the current second. mbsync waits for that by itself,
    which would be measured; and a stamp of the current second is one that nobody may trust."""
    newest = 0
    for root in roots:
        for where, names, _ in os.walk(root):
            newest = max(newest, os.stat(where).st_mtime)
            names[:] = [name for name in names
                        if not (where != root and os.path.basename(where) in ("cur", "new"))]
    wait = int(newest) + 1.02 - time.time()
    if wait > 0:
        time.sleep(wait)
