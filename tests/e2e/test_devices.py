"""Two and three devices, each with a Maildir and a state of its own, against one server: whatever
they did to the same mail, after two rounds all are equal and nothing is lost."""
import os
import random
import shutil

import pytest

import mail
from acts import (assert_settled, assert_silent, deliver, file_of, fill, flags_there, here,
                  renumber, there)
from mailtwin import assert_equal
from proxy import Proxy


@pytest.fixture
def devices(user, make_twin):
    """devices(n): so many, of both layouts, that have synced what is on the server."""
    def make(count=2, **options):
        twins = [make_twin(user, f"device{number}", layout=["nested", "maildir++"][number % 2],
                           **options) for number in range(count)]
        for twin in twins:
            twin.sync()
        return twins
    return make


def rounds(*twins, count=2):
    for _ in range(count):
        for twin in twins:
            twin.sync()


def remove(twin, number, folder="INBOX"):
    os.unlink(file_of(twin, number, folder).path)


def move(twin, number, target, source="INBOX"):
    twin.tree.move(file_of(twin, number, source), target)


def flag(twin, number, letters, folder="INBOX"):
    twin.tree.add_letters(file_of(twin, number, folder), letters)


def edit(twin, number, new, folder="INBOX"):
    twin.tree.edit(file_of(twin, number, folder), mail.plain(new))


ORDERS = pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first", "second"])


def in_order(twins, order):
    return [twins[at] for at in order]


@ORDERS
def test_n1_flag_and_delete(user, devices, order):
    fill(user, "INBOX", 1, 2)
    one, two = twins = devices()
    flag(one, 1, "F")
    remove(two, 1)
    rounds(*in_order(twins, order))
    assert_settled(user, *twins, expected={"INBOX": [2]})


@ORDERS
def test_n1_deleted_mark_taken_back_and_delete(user, devices, order):
    fill(user, "INBOX", 1, 2, flags=["\\Deleted"])
    one, two = twins = devices()
    one.tree.remove_letters(file_of(one, 1), "T")
    remove(two, 1)
    rounds(*in_order(twins, order))
    assert_settled(user, *twins, expected={"INBOX": [1, 2]})


def test_n2_delete_and_delete(user, devices):
    fill(user, "INBOX", 1, 2)
    one, two = twins = devices()
    for twin in twins:
        remove(twin, 1)
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [2]})


@ORDERS
@pytest.mark.parametrize("ids", [None, ["X-GUID"]], ids=["guid", "no-id"])
def test_n3_move_and_move_elsewhere(user, devices, order, ids):
    fill(user, "INBOX", 1, 2)
    fill(user, "X", 3)
    fill(user, "Y", 4)
    one, two = twins = devices(disable_extension=ids)
    move(one, 1, "X")
    move(two, 1, "Y")
    rounds(*in_order(twins, order))
    target = "X" if order == (0, 1) else "Y"
    expected = {"INBOX": [2], "X": [3], "Y": [4]}
    expected[target] = sorted([1, *expected[target]])
    assert_settled(user, *twins, expected=expected)


def test_n3_move_and_move_to_the_same_place(user, devices):
    fill(user, "INBOX", 1, 2)
    fill(user, "X", 3)
    one, two = twins = devices()
    for twin in twins:
        move(twin, 1, "X")
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [2], "X": [1, 3]})


@ORDERS
def test_n4_move_and_delete(user, devices, order):
    fill(user, "INBOX", 1, 2)
    fill(user, "X", 3)
    one, two = twins = devices()
    move(one, 1, "X")
    remove(two, 1)
    rounds(*in_order(twins, order))
    assert_settled(user, *twins, expected={"INBOX": [2], "X": [1, 3]})


@ORDERS
def test_n4_move_and_flag(user, devices, order):
    fill(user, "INBOX", 1, 2)
    fill(user, "X", 3)
    one, two = twins = devices()
    move(one, 1, "X")
    flag(two, 1, "F")
    rounds(*in_order(twins, order))
    assert flags_there(user, "X")[1] == {"\\Seen", "\\Flagged"}
    assert_settled(user, *twins, expected={"INBOX": [2], "X": [1, 3]})


def test_n5_edit_and_edit(user, devices):
    fill(user, "Drafts", 1, 2)
    one, two = twins = devices()
    edit(one, 1, 51, "Drafts")
    edit(two, 1, 52, "Drafts")
    rounds(*twins)
    assert_settled(user, *twins, expected={"Drafts": [2, 51, 52]})


@ORDERS
def test_n5_edit_and_delete(user, devices, order):
    fill(user, "Drafts", 1, 2)
    one, two = twins = devices()
    edit(one, 1, 51, "Drafts")
    remove(two, 1, "Drafts")
    rounds(*in_order(twins, order))
    assert_settled(user, *twins, expected={"Drafts": [2, 51]})


@ORDERS
def test_n5_edit_and_move(user, devices, order):
    fill(user, "Drafts", 1, 2)
    fill(user, "Sent", 3)
    one, two = twins = devices()
    edit(one, 1, 51, "Drafts")
    move(two, 1, "Sent", "Drafts")
    rounds(*in_order(twins, order))
    assert_settled(user, *twins, expected={"Drafts": [2, 51], "Sent": [1, 3]})


def test_n6_upload_while_another_pulls(user, devices):
    fill(user, "INBOX", 1)
    one, two = twins = devices()
    deliver(one, "INBOX", *range(100, 140))
    with Proxy(("127.0.0.1", user.server.plain), delay=0.02) as proxy:
        two.set(port=proxy.port)
        run = one.start("sync", "--json")
        two.sync()
        assert run.wait(60) == 0, run.communicate()
        run.communicate()
        two.set(port=user.server.plain)
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [1, *range(100, 140)]})


def test_n6_both_upload_the_same_message(user, devices):
    """Two devices got the same mail by other ways: one, or one of each, everywhere alike."""
    fill(user, "INBOX", 1)
    one, two = twins = devices()
    for twin in twins:
        deliver(twin, "INBOX", 50)
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [1, 50]})


def rename_folder(twin, old, new):
    os.rename(twin.tree.path(old), twin.tree.path(new))


@ORDERS
def test_n7_a_folder_renamed_and_filed_into(user, devices, order):
    fill(user, "Old", *range(5))
    fill(user, "INBOX", 50)
    one, two = twins = devices()
    rename_folder(one, "Old", "New")
    move(two, 50, "Old")
    for _ in range(3):
        for twin in in_order(twins, order):
            result = twin.run("sync")
            assert result.exit in (0, 1, 3), result
    for twin in twins:
        twin.run("sync", "--undo-delete")
    rounds(*twins)
    assert set(sum(there(user).values(), [])) == {0, 1, 2, 3, 4, 50}
    assert_settled(user, *twins)


@ORDERS
def test_n8_a_folder_deleted_and_filled(user, devices, order):
    fill(user, "A", 1, 2)
    one, two = twins = devices()
    shutil.rmtree(one.tree.path("A"))
    deliver(two, "A", 50)
    held = False
    for _ in range(2):
        for twin in in_order(twins, order):
            result = twin.run("sync")
            assert result.exit in (0, 1, 3), result
            held |= result.exit == 3
    assert held
    for twin in in_order(twins, order):
        twin.run("sync", "--undo-delete")
    rounds(*twins)
    assert 50 in there(user)["A"]
    assert_settled(user, *twins)


def test_n9_one_dies_after_sending_and_the_other_moves_its_message(user, devices):
    fill(user, "INBOX", 1)
    fill(user, "X", 2)
    one, two = twins = devices()
    deliver(one, "INBOX", 50)
    with Proxy(("127.0.0.1", user.server.plain), times=1,
               drop_reply=rb"^\S+ OK .*[Aa]ppend completed") as proxy:
        one.set(port=proxy.port)
        one.run("sync")
        assert proxy.faults() == ["drop_reply"]
        one.set(port=user.server.plain)
    two.sync()
    move(two, 50, "X")
    two.sync()
    for later in (120, 240):
        one.sync(later=later)
    rounds(*twins)
    assert there(user) == {"INBOX": [1], "X": [2, 50]}
    assert_settled(user, *twins)


def test_n9_one_dies_after_moving_and_the_other_moves_on(user, devices):
    fill(user, "INBOX", 1, 2)
    fill(user, "X", 3)
    fill(user, "Y", 4)
    one, two = twins = devices()
    move(one, 1, "X")
    with Proxy(("127.0.0.1", user.server.plain), times=1,
               drop_reply=rb"COPYUID") as proxy:
        one.set(port=proxy.port)
        one.run("sync")
        assert proxy.faults() == ["drop_reply"]
        one.set(port=user.server.plain)
    two.sync()
    move(two, 1, "Y", "X")
    two.sync()
    for later in (120, 240):
        one.sync(later=later)
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [2], "X": [3], "Y": [1, 4]})


def test_n10_uidvalidity_changes_between_two_devices(user, devices):
    fill(user, "INBOX", *range(10))
    one, two = twins = devices()
    renumber(user, "INBOX")
    one.sync()
    flag(one, 1, "F")
    remove(one, 2)
    deliver(two, "INBOX", 50)
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [*range(10), 50]})  # two destroys nothing


def test_n11_a_guard_that_holds_on_one_device_only(user, devices):
    fill(user, "INBOX", *range(40))
    one, two = twins = devices()
    for number in range(30):
        remove(one, number)
    one.sync(expect=3)
    fill(user, "INBOX", 50)
    flag(two, 35, "F")
    two.sync()
    one.sync(expect=3)
    assert 50 in here(one)["INBOX"] and "F" in file_of(one, 35).letters
    one.sync("--allow-delete")
    two.sync(expect=3)
    two.sync("--allow-delete")
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [*range(30, 40), 50]})


def test_n12_a_duplicate_that_the_server_made(user, devices):
    """Two equal messages are two messages, on every device."""
    fill(user, "INBOX", 1)
    one, two = twins = devices()
    fill(user, "INBOX", 1)
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [1, 1]})
    os.unlink(one.tree.read()[0].path)
    os.unlink(two.tree.read()[0].path)
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": [1]})


def test_n13_a_device_that_was_away_for_a_thousand_changes(user, devices):
    fill(user, "INBOX", *range(400))
    fill(user, "A", *range(1000, 1010))
    one, two = twins = devices(guard=0)
    flag(two, 7, "F")
    remove(two, 9)
    deliver(two, "INBOX", 5000)
    with user.client() as client:
        client.store("50:200", "+FLAGS", ["\\Answered", "away"], "INBOX")
        client.expunge("201:300", "INBOX")
        client.move("301:350", "A", "INBOX")
        client.rename("A", "B")
        client.append_many([(mail.plain(number), [], mail.FIRST_DATE)
                            for number in range(2000, 2200)], "INBOX")
    one.sync()
    rounds(two, one)
    assert there(user)["INBOX"] == sorted(
        {*range(400)} - {*range(200, 350)} - {9} | {*range(2000, 2200), 5000})
    assert there(user)["B"] == [*range(300, 350), *range(1000, 1010)]
    assert_settled(user, *twins)


def test_n14_a_device_that_was_cloned(user, devices, make_twin):
    fill(user, "INBOX", *range(5))
    fill(user, "X", 10)
    (one,) = devices(1)
    clone = make_twin(user, "clone")
    shutil.copytree(one.root, clone.root)
    shutil.copytree(one.state, clone.state)
    deliver(one, "INBOX", 50)
    deliver(clone, "INBOX", 60)
    move(one, 1, "X")
    remove(clone, 2)
    rounds(one, clone)
    assert_settled(user, one, clone, expected={"INBOX": [0, 3, 4, 50, 60], "X": [1, 10]})


@pytest.mark.restless("to each state it is a Maildir out of a backup")
def test_n15_one_maildir_with_two_states(user, make_twin):
    """As Syncthing would make it. Refused or paired again in every turn: nothing is deleted, and
    nothing doubled."""
    fill(user, "INBOX", *range(10))
    one = make_twin(user, "one")
    one.sync()
    two = make_twin(user, "two", maildir=one.root)
    two.tree = one.tree
    for number, twin in enumerate((two, one, two, one)):
        deliver(twin, "INBOX", 50 + number)
        result = twin.run("sync")
        assert result.exit in (0, 74), result
    two.sync()
    assert_equal(user, two)
    assert there(user) == {"INBOX": [*range(10), 50, 51, 52, 53]}


def test_n16_a_device_with_an_older_program(user, devices):
    """It finds a state that a newer one wrote, and leaves all as it is; the others go on."""
    fill(user, "INBOX", 1, 2)
    one, two = devices()
    path = os.path.join(one.state, "data.mdb")
    with open(path, "rb") as file:
        old = file.read()
    newer = old.replace(b"schema\1\1", b"schema\1\2")
    assert newer != old
    with open(path, "wb") as file:
        file.write(newer)
    remove(one, 1)
    deliver(two, "INBOX", 50)
    two.sync()
    result = one.sync(expect=78)
    assert "newer" in result.stdout and there(user) == {"INBOX": [1, 2, 50]}, result
    assert here(one) == {"INBOX": [2]}
    with open(path, "wb") as file:
        file.write(old)
    rounds(one, two)
    assert_settled(user, one, two, expected={"INBOX": [2, 50]})


def test_n17_one_with_qresync_and_one_without(user, make_twin):
    fill(user, "INBOX", *range(20))
    fill(user, "X", 50)
    one = make_twin(user, "one")
    two = make_twin(user, "two", disable_extension=["QRESYNC", "CONDSTORE"])
    three = make_twin(user, "three", disable_extension=["UIDPLUS", "MOVE", "LIST-STATUS", "X-GUID"])
    twins = one, two, three
    rounds(*twins, count=1)
    move(one, 1, "X")
    flag(two, 2, "F")
    remove(three, 3)
    deliver(two, "X", 60)
    edit(one, 4, 64)
    remove(two, 5)
    rounds(*twins)
    assert_settled(user, *twins, expected={
        "INBOX": sorted({*range(20)} - {1, 3, 4, 5} | {64}), "X": [1, 50, 60]})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_n18_three_devices_in_any_order(user, devices, order):
    fill(user, "INBOX", *range(12), flags=["\\Seen", "todo"])
    fill(user, "X", 50)
    one, two, three = twins = devices(3)
    flag(one, 0, "F")
    flag(two, 0, "R")
    three.tree.remove_letters(file_of(three, 0), "S")
    move(one, 1, "X")
    remove(two, 1)
    flag(three, 1, "F")
    remove(one, 2)
    remove(three, 2)
    move(two, 3, "Y")
    move(three, 3, "X")
    edit(one, 4, 64)
    edit(two, 4, 74)
    edit(three, 4, 84)
    for number, twin in enumerate(twins):
        deliver(twin, "INBOX", 100 + number)
    rounds(*[twins[at] for at in order])
    assert_settled(user, *twins)
    found = there(user)
    assert set(found["INBOX"]) == {0, *range(5, 12), 64, 74, 84, 100, 101, 102}
    assert 1 in found["X"] and sorted(found["X"] + found.get("Y", [])) == [1, 3, 50]
    assert flags_there(user)[0] == {"\\Flagged", "\\Answered", "todo"}


@pytest.mark.parametrize("seed", range(2))
def test_n18_one_device_never_finishes_in_time(user, devices, seed):
    """One of three is killed in most of its runs; the others do not suffer from it."""
    rng = random.Random(seed)
    fill(user, "INBOX", *range(10))
    fill(user, "X", 50)
    twins = devices(3)
    number = 100
    for _ in range(4):
        for twin in rng.sample(twins, 3):
            number += 1
            deliver(twin, rng.choice(["INBOX", "X"]), number)
            files = twin.tree.read("INBOX")
            if files:
                twin.tree.add_letters(rng.choice(files), rng.choice("FR"))
            if twin is twins[2]:
                twin.crash(rng.randrange(5, 80))
                user.server.wait_idle()
            else:
                twin.sync()
    for later in (120, 240, 360):
        for twin in twins:
            twin.sync(later=later)
    found = sorted(sum(there(user).values(), []))
    assert set(found) == {*range(10), 50, *range(101, number + 1)}
    assert len(found) == len(set(found)), "nothing is doubled"
    for twin in twins:  # what a kill leaves in tmp stays for a day and a half
        assert_equal(user, twin)
    assert_silent(user, *twins)


def test_flags_toggled_on_two_devices(user, devices):
    fill(user, "INBOX", *range(8), flags=["\\Seen"])
    one, two = twins = devices()
    for number in range(8):
        one.tree.set_letters(file_of(one, number), ["", "F", "FS", "R"][number % 4])
        two.tree.set_letters(file_of(two, number), ["S", "FS", "", "D"][number // 2])
    rounds(*twins)
    assert_settled(user, *twins, expected={"INBOX": range(8)})


def test_keywords_of_devices_with_other_letters(user, devices):
    fill(user, "INBOX", 1, 2)
    one, two = twins = devices()
    for twin, names in ((one, b"0 alpha\n1 beta\n"), (two, b"0 beta\n1 gamma\n")):
        with open(os.path.join(twin.tree.path("INBOX"), "dovecot-keywords"), "wb") as file:
            file.write(names)
    flag(one, 1, "ab")
    flag(two, 2, "ab")
    rounds(*twins)
    assert flags_there(user) == {1: {"\\Seen", "alpha", "beta"}, 2: {"\\Seen", "beta", "gamma"}}
    assert_settled(user, *twins)
