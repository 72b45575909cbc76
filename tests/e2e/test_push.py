"""What the disk has goes to the server, once, with flags and date."""
import time

import pytest

import mail
from acts import deliver, there
from mailtwin import assert_equal, assert_quiet
from proxy import Proxy


@pytest.mark.parametrize("layout", ["nested", "maildir++"])
def test_a_filled_maildir_goes_up(user, make_twin, layout):
    twin = make_twin(user, layout=layout)
    for number in range(40):
        folder = ["INBOX", "Archive/2024", "Entwürfe", "Sent"][number % 4]
        letters = None if number % 3 == 0 else "".join(sorted("SRF"[:number % 4]))
        twin.tree.deliver(mail.mixed(number), folder, letters, mail.FIRST_DATE + number)
    result = twin.sync()
    assert result.summary["uploaded"] == 40
    assert_equal(user, twin, dates=True)
    assert_quiet(user, twin)


def test_first_sync_of_two_filled_sides(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(0, 20))
    for number in range(100, 110):
        twin.tree.deliver(mail.plain(number), letters="S", date=mail.FIRST_DATE + number)
    twin.sync()
    assert len(twin.tree.read()) == 30
    assert_equal(user, twin, dates=True)
    assert_quiet(user, twin)


def test_the_same_mail_on_both_sides_at_first_sync_is_not_doubled(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(0, 20))
    for number in range(20):
        twin.tree.deliver(mail.mixed(number), letters="S")
    result = twin.sync()
    assert (result.summary["downloaded"], result.summary["uploaded"]) == (0, 0)
    assert len(twin.tree.read()) == 20
    assert_equal(user, twin)


def test_the_file_is_not_touched_by_its_upload(user, twin):
    path = twin.tree.deliver(mail.plain(1), letters="FS")
    before = twin.tree.find(mail.token(1))
    twin.sync()
    after = twin.tree.find(mail.token(1))
    assert (after.path, after.inode, after.mtime, after.data) == (
        path, before.inode, before.mtime, before.data)


def test_a_local_folder_is_created_on_the_server(user, twin):
    twin.sync()
    twin.tree.create("Projekte/Äpfel")
    result = twin.sync()
    assert result.summary["folders_created_remote"] >= 1
    with user.client() as client:
        assert "Projekte/Äpfel" in client.list()
    assert_quiet(user, twin)


def test_a_draft_saved_again_replaces_the_old_one(user, twin):
    twin.tree.deliver(mail.plain(1), "Drafts", "DS")
    twin.sync()
    twin.tree.edit(twin.tree.find(mail.token(1), "Drafts"), mail.plain(2))
    twin.sync()
    with user.client() as client:
        (message,) = client.fetch_all("Drafts").values()
    assert mail.token(2) in message.data
    assert_equal(user, twin)
    assert_quiet(user, twin)


@pytest.mark.parametrize("hide", [[], ["UIDPLUS"], ["UIDPLUS", "LITERAL+", "MULTIAPPEND"]],
                         ids=["all", "no-uidplus", "plain"])
def test_a_lost_answer_does_not_double_a_message(dovecot, make_twin, hide):
    user = dovecot.new_user(hide=hide)
    twin = make_twin(user)
    twin.sync()
    twin.tree.deliver(mail.plain(1), letters="S")
    with Proxy(("127.0.0.1", user.server.plain), drop_reply=rb"^\S+ OK .*[Aa]ppend completed",
               times=1) as proxy:
        twin.set(port=proxy.port)
        first = twin.run("sync", "--json")
        assert proxy.faults() == ["drop_reply"]
        assert first.exit in (0, 1, 75), first
        if first.exit != 0:
            twin.run("sync", later=120)
    twin.set(port=user.server.plain)
    twin.sync(later=240)
    with user.client() as client:
        assert len(client.fetch_all()) == 1
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_a_message_over_quota_is_named_and_the_rest_goes_up(dovecot, make_twin):
    user = dovecot.new_user(quota="100K")
    twin = make_twin(user)
    twin.tree.deliver(mail.plain(1), letters="S")
    twin.tree.deliver(mail.plain(2, size=300_000), letters="S")
    twin.tree.deliver(mail.plain(3), letters="S")
    result = twin.sync(expect=1)
    assert len(result.problems("refused")) == 1, result
    with user.client() as client:
        assert len(client.fetch_all()) == 2
    result = twin.sync(expect=1)
    assert result.summary["uploaded"] == 0


def test_moves_are_repeated_without_a_transfer(user, twin):
    with user.client() as client:
        client.create("Archive")
        for number in range(1, 5):
            client.append(mail.plain(number), flags=["\\Seen"])
    twin.sync()
    twin.tree.move(twin.tree.find(mail.token(1)), "Archive")
    twin.tree.move(twin.tree.find(mail.token(2)), "Archive", new_name=True)
    result = twin.sync()
    assert result.summary["moved_remote"] == 2 and result.summary["uploaded"] == 0, result
    with user.client() as client:
        client.move([3, 4], "Archive", "INBOX")
    result = twin.sync()
    assert result.summary["moved_local"] == 2 and result.summary["downloaded"] == 0, result
    assert len(twin.tree.read("Archive")) == 4
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_two_devices_see_each_others_mail(user, make_twin):
    one, two = make_twin(user, "one"), make_twin(user, "two")
    one.tree.deliver(mail.plain(1), "INBOX", "S")
    two.tree.deliver(mail.plain(2), "Archive", "F")
    for twin in (one, two, one):
        twin.sync()
    for twin in (one, two):
        assert_equal(user, twin)
        assert len(twin.tree.everything()["Archive"]) == 1
        assert_quiet(user, twin)


def test_dry_run_says_and_changes_nothing(user, twin):
    with user.client() as client:
        client.append(mail.plain(1))
    twin.sync()
    twin.tree.deliver(mail.plain(2), letters="S")
    with user.client() as client:
        client.append(mail.plain(3))
    time.sleep(0.01)
    user.forget_log()
    result, files = twin.traced_sync("--dry-run")
    assert result.exit == 0
    assert sorted(event["verb"] for event in result.events if event["event"] == "change") == [
        "download", "upload"]
    user.server.wait_idle()
    assert user.mutating() == [] and files == []
    assert twin.sync().summary["uploaded"] == 1


def cut_append(twin, *, later=None):
    """A run whose connection breaks with an APPEND on its way; what it says is parked."""
    server = twin.user.server
    with Proxy(("127.0.0.1", server.plain), cut_command=(rb" APPEND ", 1)) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json", later=later)
        assert proxy.faults() == ["cut_command"], result
    twin.set(port=server.plain)


def test_an_append_that_was_cut_waits_a_minute(user, twin):
    twin.sync()
    twin.tree.deliver(mail.plain(1), letters="S")
    cut_append(twin)
    assert twin.sync(expect=1).problems("parked"), "the old session might store it yet"
    assert twin.sync(later=120).summary["uploaded"] == 1
    assert_equal(user, twin)
    assert_quiet(user, twin)


def test_two_tries_of_unknown_outcome_are_enough(user, twin):
    """Each time something else was stored, so it cannot be told whether this was, and left."""
    twin.sync()
    twin.tree.deliver(mail.plain(1), letters="S")
    for number, later in enumerate((None, 120)):
        cut_append(twin, later=later)
        with user.client() as client:
            client.append(mail.plain(10 + number))
    for later in (240, 360):
        result = twin.sync(expect=1, later=later)
        assert result.problems("parked") and result.summary["uploaded"] == 0, result
    with user.client() as client:
        assert len(client.fetch_all("INBOX")) == 2


@pytest.mark.parametrize("command", [rb" APPEND ", rb" UID FETCH "])
def test_a_cut_amid_many_folders_loses_and_doubles_nothing(user, twin, command):
    """What is sent for them goes out in one write, before or after the connection breaks."""
    names = ["A", "B", "C", "D", "E"]
    for i, name in enumerate(names):
        deliver(twin, name, 10 * i)
    twin.sync()
    for i, name in enumerate(names):
        deliver(twin, name, 10 * i + 1, 10 * i + 2)
    with Proxy(("127.0.0.1", user.server.plain), cut_command=(command, 3)) as proxy:
        twin.set(port=proxy.port)
        assert twin.run("sync", "--json").exit in (0, 1)
        assert proxy.faults() == ["cut_command"]
    twin.set(port=user.server.plain)
    user.server.wait_idle()
    for later in (120, 240):
        twin.run("sync", later=later)
    assert there(user) == {name: [10 * i, 10 * i + 1, 10 * i + 2] for i, name in enumerate(names)}
    assert_equal(user, twin)
    assert_quiet(user, twin)
