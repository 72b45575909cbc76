"""What a Maildir holds beside well-behaved messages, and what changes while it is read."""
import os
import threading
import time

import pytest

import mail
from acts import (assert_settled, assert_silent, deliver, expunge_there, file_of, fill, flags_there,
                  here, store_there, there)
from mailtwin import assert_equal


def cur(twin, name="", folder="INBOX"):
    return os.path.join(twin.tree.path(folder), "cur", name)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def test_a_reader_that_renames_all_the_time(user, twin):
    """readdir misses files that are being renamed: that is no proof that they are gone."""
    fill(user, "INBOX", *range(300))
    twin.sync()
    stop = threading.Event()
    paths = [file.path for file in twin.tree.read()]

    def rename():
        flagged = [False] * len(paths)
        at = 0
        while not stop.is_set():
            at = (at + 7) % len(paths)
            other = paths[at][:-1] if flagged[at] else paths[at] + "T"
            os.rename(paths[at], other)
            paths[at], flagged[at] = other, not flagged[at]

    thread = threading.Thread(target=rename)
    thread.start()
    try:
        for number in range(8):
            deliver(twin, "INBOX", 1000 + number)
            result = twin.run("sync", "--json")
            assert result.exit in (0, 1), result
            assert result.summary["deleted_remote"] == 0, result
            assert result.summary["uploaded"] <= number + 1, result
    finally:
        stop.set()
        thread.join()
    for _ in range(2):
        twin.sync()
    assert_settled(user, twin, expected={"INBOX": [*range(300), *range(1000, 1008)]})


def test_changes_within_one_tick_of_the_clock(user, twin):
    """A change right after a run must not hide behind equal stamps."""
    fill(user, "INBOX", *range(3))
    twin.sync()
    for number in range(10):
        deliver(twin, "INBOX", 100 + number)
        twin.sync()
        twin.tree.add_letters(file_of(twin, 100 + number), "F")
        twin.sync()
        assert flags_there(user)[100 + number] == {"\\Seen", "\\Flagged"}
    assert_settled(user, twin)


@pytest.mark.parametrize("linked", [True, False])
def test_a_message_in_new_and_cur_at_once(user, twin, linked):
    """L2, L7: A reader that was killed between link and unlink; or two files of one name."""
    fill(user, "INBOX", 1, 2)
    twin.sync()
    one = file_of(twin, 1)
    other = os.path.join(twin.tree.path("INBOX"), "new", one.base)
    if linked:
        os.link(one.path, other)
    else:
        write(other, mail.plain(50))
    for _ in range(3):
        result = twin.run("sync", "--json")
        assert result.exit in (0, 1), result
    assert set(there(user)["INBOX"]) >= {1, 2}
    assert len(there(user)["INBOX"]) <= (3 if linked else 4)
    assert {1, 2} <= set(here(twin)["INBOX"])
    assert linked or 50 in here(twin)["INBOX"]


def test_both_sides_emptied_is_no_alarm(user, twin):
    fill(user, "INBOX", *range(60))
    twin.sync()
    for file in twin.tree.read():
        os.unlink(file.path)
    with user.client() as client:
        client.expunge("1:*", "INBOX")
    twin.sync()
    assert_settled(user, twin, expected={})


NAMES = [("plain", set()), ("no-info-x", set()), ("unordered:2,SF", {"\\Seen", "\\Flagged"}),
         ("upper:2,XYZS", {"\\Seen"}), ("utf8-ü:2,S", {"\\Seen"}), ("spaces in it:2,F", {"\\Flagged"}),
         ("n" * 200 + ":2,S", {"\\Seen"}), ("a,S=5,W=7:2,", set()), ("twice:2,SS", {"\\Seen"}),
         ("-dash:2,S", {"\\Seen"}), ("%41:2,S", {"\\Seen"}),
         ("semi;2,S:2,", set()), ("U,U=5:2,S", {"\\Seen"})]


def test_odd_file_names(user, twin):
    """L3, L4: Whatever the name, the message goes up once with its flags, and the name stays."""
    twin.tree.create("INBOX")
    for number, (name, _) in enumerate(NAMES):
        write(cur(twin, name), mail.plain(number))
    twin.sync()
    assert there(user) == {"INBOX": list(range(len(NAMES)))}
    assert flags_there(user) == {number: flags for number, (_, flags) in enumerate(NAMES)}
    assert set(os.listdir(cur(twin))) == {name for name, _ in NAMES}
    for number in range(len(NAMES)):
        store_there(user, number, "+FLAGS", ["\\Answered"])
    twin.sync()
    assert all("R" in file.letters for file in twin.tree.read())
    assert "upper:2,RSXYZ" in os.listdir(cur(twin)), "letters that are not known are kept"
    assert_settled(user, twin)


def test_a_name_with_a_line_break_is_named(user, twin):
    """L11: It could not be written into a response."""
    twin.tree.create("INBOX")
    write(cur(twin, "new\nline:2,S"), mail.plain(1))
    deliver(twin, "INBOX", 2)
    result = twin.sync(expect=1)
    assert result.problems("name") and there(user) == {"INBOX": [2]}, result
    assert here(twin) == {"INBOX": [1, 2]}
    assert_silent(user, twin, exit=1)


def test_info_of_another_version(user, twin):
    """L4: `:1,` is experimental: the contents are synced, the flags are not written."""
    fill(user, "INBOX", 1)
    twin.sync()
    write(cur(twin, "experimental:1,abc"), mail.plain(50))
    twin.run("sync")
    assert there(user) == {"INBOX": [1, 50]}
    store_there(user, 50, "+FLAGS", ["\\Flagged"])
    twin.run("sync")
    assert "experimental:1,abc" in os.listdir(cur(twin))
    assert there(user) == {"INBOX": [1, 50]}


def test_a_name_that_is_too_long_for_its_flags(user, twin):
    twin.tree.create("INBOX")
    write(cur(twin, "l" * 255), mail.plain(1))
    deliver(twin, "INBOX", 2)
    twin.run("sync")
    assert there(user) == {"INBOX": [1, 2]}
    store_there(user, 1, "+FLAGS", ["\\Flagged"])
    for _ in range(2):
        result = twin.run("sync", "--json")
        assert result.exit == 1 and len(result.problems("name")) == 1, result
        status = twin.run("status", "--json")
        assert status.exit == 1 and {event["parked"] for event in status.events} == {1}, status
    assert there(user) == {"INBOX": [1, 2]} and here(twin) == {"INBOX": [1, 2]}
    assert flags_there(user)[1] == {"\\Flagged"}
    os.rename(cur(twin, "l" * 255), cur(twin, "short"))
    assert twin.run("sync").exit == 0 and twin.run("status").exit == 0
    assert file_of(twin, 1).letters == "F"


def test_things_that_are_no_messages(user, twin):
    """L6, L9: Left out, and left alone."""
    fill(user, "INBOX", 1)
    twin.sync()
    outside = write(os.path.join(twin.directory, "outside"), mail.plain(99))
    os.symlink(outside, cur(twin, "link:2,S"))
    os.mkdir(cur(twin, "directory"))
    os.mkfifo(cur(twin, "fifo:2,S"))
    write(cur(twin, ".dotfile"), b"x")
    write(os.path.join(twin.tree.path("INBOX"), "dovecot.index"), b"x")
    for _ in range(2):
        result = twin.run("sync", "--json")
        assert result.exit == 1 and there(user) == {"INBOX": [1]}, result
        told = sorted(event["message"].split()[0] for event in result.problems("unreadable"))
        assert told == ["directory", "fifo:2,S", "link:2,S"], result
    for name in ("link:2,S", "directory", "fifo:2,S", ".dotfile"):
        assert os.path.lexists(cur(twin, name))
    assert_silent(user, twin, exit=result.exit)


def test_a_message_that_becomes_a_symlink(user, twin):
    """L6: Damage, not a removal: it counts as there."""
    fill(user, "INBOX", 1, 2)
    twin.sync()
    one = file_of(twin, 1)
    os.rename(one.path, os.path.join(twin.directory, "away"))
    os.symlink(os.path.join(twin.directory, "away"), one.path)
    result = twin.run("sync", "--json")
    assert there(user) == {"INBOX": [1, 2]}, result


def test_an_empty_file_is_parked(user, twin):
    """L5: The server refuses it; the others go on, and it is not sent again and again."""
    fill(user, "INBOX", 1)
    twin.sync()
    write(cur(twin, "empty:2,S"), b"")
    deliver(twin, "INBOX", 2)
    result = twin.run("sync", "--json")
    assert result.exit in (0, 1) and there(user) == {"INBOX": [1, 2]}, result
    result = twin.run("sync", "--json")
    assert result.summary["uploaded"] == 0
    write(cur(twin, "empty:2,S"), mail.plain(3))
    os.utime(cur(twin))
    for _ in range(2):
        result = twin.run("sync", "--json")
    assert there(user) == {"INBOX": [1, 2, 3]}, result


def test_a_file_that_still_grows(user, twin):
    """L8: No reader should write so. In the end the server has it whole, and once."""
    twin.sync()
    data = mail.plain(1, size=50_000)
    path = write(cur(twin, "growing:2,S"), data[:1000])
    stop = threading.Event()

    def grow():
        with open(path, "ab", buffering=0) as file:
            for at in range(1000, len(data), 200):
                file.write(data[at:at + 200])
                time.sleep(0.002)
        stop.set()

    thread = threading.Thread(target=grow)
    thread.start()
    while not stop.is_set():
        twin.run("sync")
    thread.join()
    for _ in range(2):
        twin.sync("--full")
    assert file_of(twin, 1).data == data
    assert_settled(user, twin, expected={"INBOX": [1]})


def test_files_vanish_while_they_are_read(user, twin):
    """L1: The reader deletes and moves what is being sent."""
    twin.sync()
    deliver(twin, "INBOX", *range(100, 160))
    stop = threading.Event()

    def delete():
        for file in twin.tree.read()[::3]:
            if stop.is_set():
                break
            try:
                os.unlink(file.path)
            except FileNotFoundError:
                pass
            time.sleep(0.001)

    thread = threading.Thread(target=delete)
    thread.start()
    for _ in range(3):
        result = twin.run("sync", "--json")
        assert result.exit in (0, 1), result
    stop.set()
    thread.join()
    for _ in range(2):
        twin.sync("--allow-delete")
    assert_settled(user, twin)


def test_mail_goes_away_there_while_it_is_fetched(user, twin):
    fill(user, "INBOX", *range(200))
    run = twin.start("sync", "--json")
    for number in range(0, 40, 4):
        try:
            expunge_there(user, number)
        except ValueError:
            pass
    run.communicate(timeout=60)
    assert run.returncode in (0, 1)
    twin.sync()
    assert_equal(user, twin)
    assert_silent(user, twin)


def test_two_names_of_one_file(user, twin):
    """L2: A rename killed between link and unlink: one name goes, when nobody can be at it any more."""
    fill(user, "INBOX", 1, 2)
    twin.sync()
    for number in (1, 2):
        path = file_of(twin, number).path
        os.link(path, path.replace(":2,S", ":2,FS"))
    twin.sync()
    assert len(os.listdir(cur(twin, ""))) == 4, "a mail reader might be between link and unlink"
    twin.run("sync", later=120)
    twin.run("sync", later=240)
    assert len(os.listdir(cur(twin, ""))) == 2
    assert_settled(user, twin, expected={"INBOX": [1, 2]})
