"""Reads and changes a Maildir tree as a mail reader would: knows nothing of mailtwin's code."""
import itertools
import os
import re
import time

FLAGS = {"S": "\\Seen", "R": "\\Answered", "F": "\\Flagged", "T": "\\Deleted", "D": "\\Draft",
         "P": "$Forwarded"}
LETTERS = {flag: letter for letter, flag in FLAGS.items()}

_number = itertools.count(1)


def unescape(level):
    return re.sub(rb"(?:%[0-9A-F]{2})", lambda m: bytes([int(m.group(0)[1:], 16)]),
                  os.fsencode(level)).decode("utf-8", "surrogateescape")


class File:
    """A message in a folder."""

    def __init__(self, path, names):
        self.path = path
        directory, self.name = os.path.split(path)
        self.where = os.path.basename(directory)
        self.base, _, info = self.name.partition(":2,")
        self.letters = info
        self.flags = {FLAGS[c] for c in info if c in FLAGS}
        self.keywords = {names[c] for c in info if c in names}
        self.unknown = {c for c in info if c not in FLAGS and c not in names}
        with open(path, "rb") as file:
            self.data = file.read()
        status = os.stat(path)
        self.mtime, self.mode, self.inode = int(status.st_mtime), status.st_mode & 0o777, \
            status.st_ino

    def __repr__(self):
        return f"File({self.where}/{self.name}, {len(self.data)} bytes)"


class Tree:
    def __init__(self, root, layout="nested"):
        self.root, self.layout = str(root), layout

    def path(self, folder):
        """The directory of a folder whose levels need no escaping."""
        levels = folder.split("/")
        if self.layout == "nested":
            return os.path.join(self.root, *levels)
        if folder == "INBOX":
            return self.root
        return os.path.join(self.root, "." + ".".join(level.replace(".", "%2E")
                                                      for level in levels))

    def folders(self):
        if not os.path.isdir(self.root):
            return []
        if self.layout == "nested":
            return sorted(self._nested(self.root, []))
        found = ["INBOX"] if self._is_folder(self.root) else []
        for entry in os.scandir(self.root):
            if entry.name.startswith(".") and self._is_folder(entry.path):
                found.append("/".join(unescape(level) for level in entry.name[1:].split(".")))
        return sorted(found)

    @staticmethod
    def _is_folder(path):
        return os.path.isdir(os.path.join(path, "cur")) and os.path.isdir(
            os.path.join(path, "new"))

    def _nested(self, directory, levels):
        for entry in os.scandir(directory):
            if not entry.is_dir(follow_symlinks=False) or entry.name in ("cur", "new", "tmp"):
                continue
            here = levels + [unescape(entry.name)]
            if self._is_folder(entry.path):
                yield "/".join(here)
            yield from self._nested(entry.path, here)

    def keyword_names(self, folder):
        names = {}
        try:
            with open(os.path.join(self.path(folder), "dovecot-keywords"),
                      encoding="utf-8") as file:
                for line in file:
                    number, _, name = line.rstrip("\n").partition(" ")
                    names[chr(ord("a") + int(number))] = name
        except FileNotFoundError:
            pass
        return names

    def read(self, folder="INBOX"):
        """The messages of a folder, sorted by name."""
        names = self.keyword_names(folder)
        found = []
        for where in ("new", "cur"):
            directory = os.path.join(self.path(folder), where)
            if os.path.isdir(directory):
                found.extend(File(os.path.join(directory, name), names)
                             for name in os.listdir(directory) if not name.startswith("."))
        return sorted(found, key=lambda file: file.name)

    def everything(self):
        return {folder: self.read(folder) for folder in self.folders()}

    def temporaries(self):
        """What lies in tmp directories: nothing should, after a run that was not killed."""
        found = []
        for directory, _, files in os.walk(self.root):
            if os.path.basename(directory) == "tmp":
                found.extend(os.path.join(directory, name) for name in files)
        return found

    # What a mail reader or delivery agent does.

    def create(self, folder):
        for where in ("tmp", "new", "cur"):
            os.makedirs(os.path.join(self.path(folder), where), exist_ok=True)

    def deliver(self, data, folder="INBOX", letters=None, date=None):
        """Into new, or into cur with letters. Returns the path."""
        self.create(folder)
        name = f"{int(time.time())}.M{time.time_ns() % 1000000}P{os.getpid()}Q{next(_number)}.test"
        staged = os.path.join(self.path(folder), "tmp", name)
        with open(staged, "wb") as file:
            file.write(data)
        if date is not None:
            os.utime(staged, (date, date))
        where = "new" if letters is None else "cur"
        target = os.path.join(self.path(folder), where,
                              name if letters is None else f"{name}:2,{letters}")
        os.rename(staged, target)
        return target

    def find(self, token, folder="INBOX"):
        """The one message that contains the token."""
        found = [file for file in self.read(folder) if token in file.data]
        assert len(found) == 1, (token, folder, found)
        return found[0]

    @staticmethod
    def set_letters(file, letters):
        """Renames into cur, letters in ASCII order. Returns the new path."""
        folder = os.path.dirname(os.path.dirname(file.path))
        target = os.path.join(folder, "cur", f"{file.base}:2,{''.join(sorted(set(letters)))}")
        os.rename(file.path, target)
        return target

    def add_letters(self, file, letters):
        return self.set_letters(file, file.letters + letters)

    def remove_letters(self, file, letters):
        return self.set_letters(file, [c for c in file.letters if c not in letters])

    def move(self, file, folder, new_name=False):
        """By rename, as most readers do; with new_name as mu4e and mutt do."""
        self.create(folder)
        base = f"{int(time.time())}.moved{next(_number)}.test" if new_name else file.base
        target = os.path.join(self.path(folder), "cur", f"{base}:2,{file.letters}")
        os.rename(file.path, target)
        return target

    @staticmethod
    def delete(file):
        os.unlink(file.path)

    @staticmethod
    def edit(file, data):
        """Saves other contents under the same name, as an editor of drafts does."""
        with open(file.path + ".edit", "wb") as out:
            out.write(data)
        os.rename(file.path + ".edit", file.path)
