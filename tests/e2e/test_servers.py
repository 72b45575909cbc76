"""The ordinary cases on every real server there is: the same end, each by its own way. What each
does otherwise than others is in docs/servers.md; how they are unpacked and run, in servers.py."""
import os
import shutil
import time

import pytest

import mail
from acts import (assert_settled, deliver, expunge_there, file_of, fill, flags_there, here,
                  move_there, moved, number_of, store_there, there, uid_of)
from proxy import Proxy
from servers import ALL, open_server
from test_poor_servers import life


@pytest.fixture(scope="module", params=ALL)
def server(request):
    with open_server(request) as server:
        yield server


@pytest.fixture
def user(server):
    return server.new_user()


def settled(user, *twins, dates=True, **more):
    """Equal on both sides, dates too, and a further run is silent and reports nothing."""
    assert_settled(user, *twins, dates=dates and user.server.append_dates, **more)
    summary = twins[0].sync().summary
    counted = {name: value for name, value in summary.items()
               if name.startswith(("moved", "copied", "down", "up", "deleted", "flags", "keywords"))
               and isinstance(value, int) and value}
    assert counted == {}, summary


def known(server, *flags):
    """Those of the flags that the server can keep."""
    return {flag for flag in flags if server.keywords or flag.startswith("\\")}


# ---- one way ----

def test_pull(server, user, make_twin):
    fill(user, "INBOX", *range(10), flags=sorted(known(server, "\\Seen", "\\Flagged", "todo")))
    fill(user, "A/Child", 50, 51)
    twin = make_twin(user)
    result = twin.sync()
    assert result.summary["downloaded"] == 12, result
    assert file_of(twin, 3).flags == {"\\Seen", "\\Flagged"}
    settled(user, twin, expected={"INBOX": [*range(10)], "A/Child": [50, 51]})


def test_push_uploads_once_with_flags_and_date(server, user, make_twin):
    twin = make_twin(user)
    deliver(twin, "INBOX", *range(10), letters="FRS")
    deliver(twin, "A", 40)
    deliver(twin, "A/Child", 50)
    result = twin.sync()
    assert result.summary["uploaded"] == 12, result
    with user.client() as client:
        messages = client.fetch_all()
    assert sorted(number_of(message.data) for message in messages.values()) == [*range(10)]
    for message in messages.values():
        assert message.flags == {"\\Flagged", "\\Answered", "\\Seen"}
        if server.append_dates:
            assert message.date == mail.FIRST_DATE + number_of(message.data)
    settled(user, twin, expected={"INBOX": [*range(10)], "A": [40], "A/Child": [50]})
    assert "APPEND" not in " ".join(user.commands())


def test_many_at_once(user, make_twin):
    twin = make_twin(user)
    deliver(twin, "INBOX", *range(150), size=2000)
    twin.sync()
    other = make_twin(user, "two")
    assert other.sync().summary["downloaded"] == 150
    settled(user, twin, other, expected={"INBOX": [*range(150)]})


# ---- both ways ----

def test_flags_both_ways(user, make_twin):
    fill(user, "INBOX", *range(6))
    twin = make_twin(user)
    twin.sync()
    twin.tree.add_letters(file_of(twin, 1), "FR")
    twin.tree.remove_letters(file_of(twin, 2), "S")
    store_there(user, 3, "+FLAGS", ["\\Flagged"])
    store_there(user, 4, "-FLAGS", ["\\Seen"])
    twin.tree.add_letters(file_of(twin, 5), "F")
    store_there(user, 5, "+FLAGS", ["\\Answered"])
    twin.sync()
    assert flags_there(user) == {
        0: {"\\Seen"}, 1: {"\\Seen", "\\Flagged", "\\Answered"}, 2: set(),
        3: {"\\Seen", "\\Flagged"}, 4: set(), 5: {"\\Seen", "\\Flagged", "\\Answered"}}
    settled(user, twin)


def test_keywords_both_ways(server, user, make_twin):
    fill(user, "INBOX", *range(4))
    twin = make_twin(user)
    twin.sync()
    if not server.keywords:
        twin.tree.add_letters(file_of(twin, 1), "P")
        twin.sync()
        assert flags_there(user)[1] == {"\\Seen"}
        assert "P" in file_of(twin, 1).letters, "what the server cannot keep stays here"
        user.forget_log()
        twin.sync()
        assert user.mutating() == []
        return
    store_there(user, 0, "+FLAGS", ["todo"])
    twin.tree.add_letters(file_of(twin, 1), "P")
    twin.sync()
    assert file_of(twin, 0).keywords == {"todo"}
    assert flags_there(user)[1] == {"\\Seen", "$Forwarded"}
    letter = (set(file_of(twin, 0).letters) - {"S"}).pop()
    twin.tree.add_letters(file_of(twin, 2), letter)
    twin.tree.remove_letters(file_of(twin, 0), letter)
    store_there(user, 1, "-FLAGS", ["$Forwarded"])
    twin.sync()
    assert flags_there(user) == {0: {"\\Seen"}, 1: {"\\Seen"}, 2: {"\\Seen", "todo"},
                                 3: {"\\Seen"}}
    settled(user, twin)


def test_deletions_both_ways(user, make_twin):
    fill(user, "INBOX", *range(8))
    twin = make_twin(user)
    twin.sync()
    os.unlink(file_of(twin, 1).path)
    os.unlink(file_of(twin, 7).path)
    expunge_there(user, 2)
    os.unlink(file_of(twin, 3).path)
    expunge_there(user, 3)
    twin.sync()
    settled(user, twin, expected={"INBOX": [0, 4, 5, 6]})
    assert here(twin) == {"INBOX": [0, 4, 5, 6]}


def test_what_another_client_marked_deleted_is_spared(user, make_twin):
    """Only what was deleted here is expunged, also where UID EXPUNGE is missing."""
    fill(user, "INBOX", *range(4))
    twin = make_twin(user)
    twin.sync()
    store_there(user, 2, "+FLAGS", ["\\Deleted"])
    os.unlink(file_of(twin, 1).path)
    twin.sync()
    assert 2 in there(user)["INBOX"]
    assert here(twin)["INBOX"][0] == 0 and 2 in here(twin)["INBOX"]


@pytest.mark.parametrize("new_name", [False, True], ids=["same-name", "new-name"])
def test_moves_both_ways(user, make_twin, new_name):
    fill(user, "INBOX", *range(6))
    fill(user, "A", 50)
    twin = make_twin(user)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "A", new_name=new_name)
    user.forget_log()
    moved(twin.sync(), remote=1)
    assert "APPEND" not in " ".join(user.commands())
    old = file_of(twin, 2)
    move_there(user, 2, "INBOX", "A")
    result = twin.sync()
    moved(result, local=1)
    assert file_of(twin, 2, "A").inode == old.inode
    settled(user, twin, expected={"INBOX": [0, 3, 4, 5], "A": [1, 2, 50]})


def test_the_answer_to_an_upload_is_lost(user, make_twin):
    """It was stored, and is not stored twice; its flags too are there in the end."""
    twin = make_twin(user)
    deliver(twin, "INBOX", 1, 2, letters="FS")
    with Proxy(("127.0.0.1", user.server.plain), drop_reply=rb"^\S+ OK .*(APPEND|Append)",
               times=1) as proxy:
        twin.set(port=proxy.port)
        twin.run("sync")
        assert proxy.faults() == ["drop_reply"]
        for later in (120, 240):
            twin.sync(later=later)
    twin.set(port=user.port)
    assert flags_there(user) == {1: {"\\Seen", "\\Flagged"}, 2: {"\\Seen", "\\Flagged"}}
    settled(user, twin, expected={"INBOX": [1, 2]})


def test_a_copy_made_here(user, make_twin):
    fill(user, "INBOX", 1, 2)
    fill(user, "A", 50)
    twin = make_twin(user)
    twin.sync()
    twin.tree.deliver(file_of(twin, 1).data, "A", "S", mail.FIRST_DATE + 1)
    twin.sync()
    settled(user, twin, expected={"INBOX": [1, 2], "A": [1, 50]})


def test_a_copy_made_there(user, make_twin):
    fill(user, "INBOX", 1, 2)
    fill(user, "A", 50)
    twin = make_twin(user)
    twin.sync()
    with user.client() as client:
        client.copy(client.uids("INBOX")[:1], "A")
    twin.sync()
    assert here(twin) == {"INBOX": [1, 2], "A": [1, 50]}
    settled(user, twin)


def test_edits_here(user, make_twin):
    """Saved under the same name, and under another as most programs do."""
    fill(user, "Drafts", 1, 2, 3, flags=["\\Draft"])
    twin = make_twin(user)
    twin.sync()
    twin.tree.edit(file_of(twin, 1, "Drafts"), mail.plain(11))
    os.unlink(file_of(twin, 2, "Drafts").path)
    deliver(twin, "Drafts", 12, letters="D")
    twin.sync()
    settled(user, twin, expected={"Drafts": [3, 11, 12]})


def test_moves_against_removals(user, make_twin):
    """Moved here and removed there, and the other way round: the move wins. Moved on both sides:
    the server's place wins."""
    fill(user, "INBOX", *range(6))
    for folder in ("A", "B"):
        fill(user, folder, {"A": 50, "B": 60}[folder])
    twin = make_twin(user)
    twin.sync()
    twin.tree.move(file_of(twin, 1), "A")
    expunge_there(user, 1)
    os.unlink(file_of(twin, 2).path)
    move_there(user, 2, "INBOX", "A")
    twin.tree.move(file_of(twin, 3), "A")
    move_there(user, 3, "INBOX", "B")
    twin.sync()
    settled(user, twin, expected={"INBOX": [0, 4, 5], "A": [1, 2, 50], "B": [3, 60]})


# ---- folders ----

def test_folders_made_on_both_sides(user, make_twin):
    with user.client() as client:
        client.create("There")
        client.create("There/Child")
    twin = make_twin(user)
    twin.sync()
    twin.tree.create("Here")
    deliver(twin, "Here/Grüße", 1)
    twin.sync()
    assert {"There", "There/Child", "Here", "Here/Grüße"} <= set(twin.tree.folders())
    with user.client() as client:
        assert {"There", "There/Child", "Here", "Here/Grüße"} <= set(client.list())
    settled(user, twin, expected={"Here/Grüße": [1]})


def test_folders_removed_on_both_sides(user, make_twin):
    fill(user, "INBOX", *range(4))
    for folder, number in (("Gone there", 10), ("Gone here", 20), ("Stays", 30)):
        fill(user, folder, number)
    twin = make_twin(user, delete_folders="yes")
    twin.sync()
    with user.client() as client:
        client.delete("Gone there")
    shutil.rmtree(twin.tree.path("Gone here"))
    for later in (None, 3600, 7200):
        twin.sync(later=later)
    assert "Gone there" not in twin.tree.folders()
    with user.client() as client:
        assert "Gone here" not in client.list()
    settled(user, twin, expected={"INBOX": [0, 1, 2, 3], "Stays": [30]})


def test_folders_renamed_on_both_sides(user, make_twin):
    fill(user, "Old there", *range(5))
    fill(user, "Old here", *range(10, 15))
    twin = make_twin(user)
    twin.sync()
    with user.client() as client:
        client.rename("Old there", "New there")
    os.rename(twin.tree.path("Old here"), twin.tree.path("New here"))
    for later in (None, 3600, 7200):
        twin.sync(later=later)
    settled(user, twin, expected={"New there": [*range(5)], "New here": [*range(10, 15)]})
    assert not {"Old there", "Old here"} & set(twin.tree.folders())
    with user.client() as client:
        assert not {"Old there", "Old here"} & set(client.list())


# ---- everything ----

def test_a_whole_life(user, make_twin):
    twin = make_twin(user)
    expected = life(user, twin, user.server.keywords)
    # A copy made here keeps its own date, the server's copy that of the original.
    settled(user, twin, dates=False, expected=expected)


def test_two_devices(user, make_twin):
    fill(user, "INBOX", *range(6))
    fill(user, "A", 50)
    one, two = make_twin(user, "one"), make_twin(user, "two")
    for twin in (one, two):
        twin.sync()
    one.tree.add_letters(file_of(one, 1), "F")
    two.tree.add_letters(file_of(two, 1), "R")
    os.unlink(file_of(one, 2).path)
    two.tree.move(file_of(two, 3), "A")
    deliver(one, "INBOX", 10)
    deliver(two, "INBOX", 11)
    for _ in range(2):
        for twin in (one, two):
            twin.sync()
    settled(user, one, two, expected={"INBOX": [0, 1, 4, 5, 10, 11], "A": [3, 50]})


def test_new_uidvalidity(server, user, make_twin):
    """The mailbox is made anew with the same mail: nothing is transferred twice."""
    fill(user, "Box", *range(5))
    twin = make_twin(user)
    twin.sync()
    with user.client() as client:
        before = client.uidvalidity("Box")
        client.rename("Box", "Old")
        client.create("Box")
        while client.uidvalidity("Box") == before:  # it may be the time in seconds
            client.delete("Box")
            time.sleep(0.1)
            client.create("Box")
        client.copy(client.uids("Old"), "Box", "Old")
        client.delete("Old")
    result = twin.sync()
    assert result.summary["uploaded"] == 0 and result.summary["downloaded"] == 0, result
    settled(user, twin, expected={"Box": [0, 1, 2, 3, 4]})


def test_the_state_is_lost(user, make_twin):
    """Both sides are paired again, as they are after UIDVALIDITY changed: nothing is transferred,
    nothing is removed."""
    fill(user, "INBOX", *range(6))
    fill(user, "A", 50, 51)
    twin = make_twin(user)
    twin.sync()
    twin.forget_state()
    os.unlink(file_of(twin, 1).path)
    expunge_there(user, 2)
    result = twin.sync()
    assert (result.summary["downloaded"], result.summary["uploaded"]) == (1, 1), result
    settled(user, twin, dates=False, expected={"INBOX": [*range(6)], "A": [50, 51]})
