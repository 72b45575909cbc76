"""What many tests of the sync rules do and ask: fill a mailbox, say where each message is on each
side, and end in silence."""
import os
import re
import time

import mail
from maildirs import Tree, unescape
from mailtwin import assert_equal, assert_silent

TOKEN = re.compile(rb"token-(\d{6})-end")


class FoundTree(Tree):
    """Knows a folder by the directory it was found in, however its name was escaped."""

    def __init__(self, *args):
        super().__init__(*args)
        self.found = {}

    def path(self, folder):
        return self.found.get(folder) or super().path(folder)

    def folders(self):
        self.found = {}
        for directory, names, _ in os.walk(self.root):
            names[:] = [name for name in names if name not in ("cur", "new", "tmp")]
            if self._is_folder(directory):
                self.found[self._name(os.path.relpath(directory, self.root))] = directory
        return sorted(self.found)

    def _name(self, path):
        if self.layout != "nested" and path == ".":
            return "INBOX"
        levels = path.split("/") if self.layout == "nested" else path[1:].split(".")
        return "/".join(unescape(level) for level in levels)


def fill(user, folder, *numbers, flags=("\\Seen",), size=300):
    """Messages with these numbers, on the server; the folder is made."""
    with user.client() as client:
        if folder not in client.list():
            client.create(folder)
        client.append_many([(mail.plain(number, size), flags, mail.FIRST_DATE + number)
                            for number in numbers], folder)


def deliver(twin, folder, *numbers, letters="S", size=300):
    for number in numbers:
        twin.tree.deliver(mail.plain(number, size), folder, letters, mail.FIRST_DATE + number)


def number_of(data):
    return int(TOKEN.search(data).group(1))


def there(user):
    """{folder: sorted numbers} of the server, without empty folders."""
    with user.client() as client:
        found = {name: sorted(number_of(message.data) for message in messages.values())
                 for name, messages in client.everything().items()}
    return {name: numbers for name, numbers in found.items() if numbers}


def here(twin):
    found = {name: sorted(number_of(file.data) for file in files)
             for name, files in twin.tree.everything().items()}
    return {name: numbers for name, numbers in found.items() if numbers}


def uid_of(user, number, folder="INBOX"):
    with user.client() as client:
        (uid,) = [uid for uid, message in client.fetch_all(folder).items()
                  if number_of(message.data) == number]
    return uid


def file_of(twin, number, folder="INBOX"):
    return twin.tree.find(mail.token(number), folder)


def move_there(user, number, source, target):
    uid = uid_of(user, number, source)
    with user.client() as client:
        if target not in client.list():
            client.create(target)
        client.move(uid, target, source)


def expunge_there(user, number, folder="INBOX"):
    uid = uid_of(user, number, folder)
    with user.client() as client:
        client.expunge(uid, folder)


def store_there(user, number, change, flags, folder="INBOX"):
    uid = uid_of(user, number, folder)
    with user.client() as client:
        client.store(uid, change, flags, folder)


def flags_there(user, folder="INBOX"):
    """{number: flags}"""
    with user.client() as client:
        return {number_of(message.data): message.flags
                for message in client.fetch_all(folder).values()}


def renumber(user, *mailboxes):
    """Dovecot takes the time of day, so it may need a second to find another number."""
    for mailbox in mailboxes:
        with user.client() as client:
            before = client.uidvalidity(mailbox)
        for _ in range(30):
            user.server.wait_idle()
            user.new_uidvalidity(mailbox)
            with user.client() as client:
                if client.uidvalidity(mailbox) != before:
                    break
            time.sleep(0.1)
        else:
            raise AssertionError("UIDVALIDITY stays as it is")
    user.server.wait_idle()


def assert_settled(user, *twins, expected=None, exit=0, **more):
    """All are equal, hold what is expected, nothing lies about, and a further run is silent."""
    for twin in twins:
        assert_equal(user, twin, **more)
        assert twin.tree.temporaries() == []
    if expected is not None:
        wanted = {name: sorted(numbers) for name, numbers in expected.items()}
        found = there(user)
        assert found == wanted
    assert_silent(user, *twins, exit=exit)


def moved(result, *, local=0, remote=0, copied=0, down=0, up=0):
    """The summary counts these, and no other transfer or removal."""
    summary = result.summary
    counted = {name: summary[name] for name in (
        "moved_local", "moved_remote", "copied_remote", "downloaded", "uploaded",
        "deleted_local", "deleted_remote")}
    assert counted == {"moved_local": local, "moved_remote": remote, "copied_remote": copied,
                       "downloaded": down, "uploaded": up,
                       "deleted_local": 0, "deleted_remote": 0}, result
