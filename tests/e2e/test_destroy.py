"""Before a message is destroyed on the server it is proved to be that message; what is not proved stays
on both sides, is named, and goes in a later run if the server then says what it is."""
import glob
import os

import pytest

import mail
from acts import assert_settled, expunge_there, file_of, fill, here, there
from proxy import Proxy

OTHER_ID = (rb" X-GUID \S+?\)", b" X-GUID 00000000000000000000000000000000)")
NO_ID = (rb" X-GUID \S+?\)", b")")
OTHER_SIZE = (rb"RFC822\.SIZE \d+", b"RFC822.SIZE 77")
OTHER_DATE = (rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "01-Jan-2020 00:00:00 +0000"')
ANOTHER = "is another message now"
SILENT = "does not say what is there"


@pytest.fixture
def synced(user, twin):
    fill(user, "INBOX", *range(6))
    twin.sync()
    return twin


def remove_and_sync(user, twin, number=3, **rules):
    os.unlink(file_of(twin, number).path)
    with Proxy(("127.0.0.1", user.server.plain), **rules) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        twin.set(port=user.server.plain)
        return result, [" ".join(command.split()[1:]) for command in proxy.commands()]


@pytest.mark.parametrize("rules, why", [
    (dict(replace=[OTHER_ID]), ANOTHER),
    (dict(replace=[OTHER_ID, OTHER_SIZE, OTHER_DATE]), ANOTHER),
    (dict(drop_lines=[rb"^\* \d+ FETCH .*RFC822"]), SILENT),
], ids=["another id", "all differs", "no answer"])
def test_what_is_not_proved_stays(user, synced, rules, why):
    result, commands = remove_and_sync(user, synced, **rules)
    assert there(user)["INBOX"] == list(range(6)), result
    assert not any(command.startswith(("UID STORE", "UID EXPUNGE")) for command in commands)
    assert result.exit == 1 and why in result.problems("folder")[0]["message"], result
    synced.sync()
    assert_settled(user, synced, expected={"INBOX": [0, 1, 2, 4, 5]})


def test_another_header_under_a_doubtful_label_stays(user, synced):
    for path in glob.glob(os.path.join(user.home, "**", "cur", "*"), recursive=True):
        with open(path, "r+b") as stream:
            data = stream.read()
            if mail.token(3) in data:
                stream.seek(data.index(b"reader@"))
                stream.write(b"raeder@")
    result, _ = remove_and_sync(user, synced, replace=[NO_ID, OTHER_DATE])
    assert len(there(user)["INBOX"]) == 6 and ANOTHER in result.problems("folder")[0]["message"]


@pytest.mark.parametrize("rules, headers", [
    (dict(), False),
    (dict(replace=[NO_ID]), False),
    (dict(replace=[OTHER_SIZE, OTHER_DATE]), False),
    (dict(replace=[NO_ID, OTHER_SIZE]), True),
    (dict(replace=[NO_ID, OTHER_DATE]), True),
], ids=["id", "labels", "id against labels", "header, size off", "header, date off"])
def test_what_is_proved_goes(user, synced, rules, headers):
    result, commands = remove_and_sync(user, synced, **rules)
    assert result.exit == 0 and result.summary["deleted_remote"] == 1, result
    assert any("BODY.PEEK[HEADER]" in command for command in commands) == headers
    assert_settled(user, synced, expected={"INBOX": [0, 1, 2, 4, 5]})


def test_undeleted_a_moment_ago(user, twin):
    """The mark goes between our look and our expunge: the message stays, and comes back here."""
    fill(user, "INBOX", *range(6), flags=["\\Seen", "\\Deleted"])
    twin.sync()
    result, _ = remove_and_sync(user, twin, replace=[(rb"FLAGS \((.*?) ?\\Deleted(.*?)\)",
                                                      rb"FLAGS (\1\2)")])
    assert there(user)["INBOX"] == list(range(6)), result
    with user.client() as client:
        client.store(4, "-FLAGS", ["\\Deleted"], "INBOX")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": range(6)})


def test_the_file_stays_when_the_server_keeps_the_message(user, twin):
    """expunge = yes removes both or none."""
    fill(user, "INBOX", *range(6), flags=["\\Deleted"])
    twin.set(expunge=True)
    twin.sync()
    with Proxy(("127.0.0.1", user.server.plain), replace=[OTHER_ID]) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        twin.set(port=user.server.plain)
    assert result.exit == 1 and len(here(twin)["INBOX"]) == 6, result
    twin.sync()
    assert_settled(user, twin, expected={})


def test_written_over_in_the_same_second_with_its_size(user, synced):
    """No scan can tell, but the contents can: the edit is sent, not removed with the message."""
    file = file_of(synced, 3)
    before = os.stat(file.path)
    with open(file.path, "r+b") as stream:
        stream.write(file.data.replace(b"token-000003-end", b"token-000009-end"))
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns + 123_456_789))
    expunge_there(user, 3)
    assert synced.run("sync").exit == 0
    assert 9 in here(synced)["INBOX"]
    synced.sync()
    assert_settled(user, synced, expected={"INBOX": [0, 1, 2, 4, 5, 9]})
