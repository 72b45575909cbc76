"""When what was remembered no longer fits: UIDs that mean other messages, a base or a Maildir from a
backup, another disk, another tool's Maildir. Paired again, nothing deleted, nothing sent twice."""
import os
import re
import shutil
import subprocess

import pytest

import mail
from acts import (assert_settled, assert_silent, deliver, expunge_there, file_of, fill, flags_there,
                  here, move_there, moved, renumber, store_there, there)
from proxy import Proxy


def assert_paired(result, *, down=0, up=0, bytes_in=None):
    """Headers at most were transferred, and nothing was deleted."""
    moved(result, down=down, up=up)
    if bytes_in is not None:
        assert result.summary["bytes_in"] < bytes_in, result.summary


def assert_no_deletion(result):
    assert (result.summary["deleted_local"], result.summary["deleted_remote"]) == (0, 0), result


# ---- UIDVALIDITY ----

@pytest.mark.parametrize("layout", ["nested", "maildir++"])
def test_another_uidvalidity(user, make_twin, layout):
    twin = make_twin(user, layout=layout)
    fill(user, "INBOX", *range(30), size=5000, flags=["\\Seen", "todo"])
    fill(user, "Archive", *range(50, 60), size=5000)
    twin.sync()
    names = sorted(file.name for file in twin.tree.read())
    renumber(user, "INBOX", "Archive")
    assert_paired(twin.sync(), bytes_in=60_000)
    assert sorted(file.name for file in twin.tree.read()) == names
    assert_settled(user, twin, expected={"INBOX": range(30), "Archive": range(50, 60)})


def test_another_uidvalidity_and_changes_on_both_sides(user, twin):
    fill(user, "INBOX", *range(10), size=3000)
    twin.sync()
    renumber(user, "INBOX")
    fill(user, "INBOX", 50)
    store_there(user, 1, "+FLAGS", ["\\Flagged"])
    deliver(twin, "INBOX", 60)
    twin.tree.add_letters(file_of(twin, 2), "R")
    assert_paired(twin.sync(), down=1, up=1)
    assert flags_there(user)[1] == {"\\Seen", "\\Flagged"}
    assert flags_there(user)[2] == {"\\Seen", "\\Answered"}
    assert_settled(user, twin, expected={"INBOX": [*range(10), 50, 60]})


def test_another_uidvalidity_and_mail_that_is_gone_there(user, twin):
    """What is not there any more is not deleted here: the old UIDs prove nothing."""
    fill(user, "INBOX", *range(10))
    twin.sync()
    expunge_there(user, 3)
    renumber(user, "INBOX")
    assert_no_deletion(twin.sync())
    assert_settled(user, twin, expected={"INBOX": range(10)})


def test_another_uidvalidity_and_mail_that_is_gone_here(user, twin):
    fill(user, "INBOX", *range(10))
    twin.sync()
    os.unlink(file_of(twin, 3).path)
    renumber(user, "INBOX")
    assert_no_deletion(twin.sync())
    assert_settled(user, twin, expected={"INBOX": range(10)})


def test_another_uidvalidity_and_a_move_here(user, twin):
    fill(user, "INBOX", *range(5))
    fill(user, "Archive", 50)
    twin.sync()
    twin.tree.move(file_of(twin, 3), "Archive")
    renumber(user, "INBOX", "Archive")
    result = twin.sync()
    assert_no_deletion(result)
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [0, 1, 2, 4], "Archive": [3, 50]})


def test_another_uidvalidity_of_equal_messages(user, twin):
    """Byte for byte the same: as many as before, on both sides."""
    fill(user, "INBOX", 1, 1, 1, 2, 2, 3)
    twin.sync()
    renumber(user, "INBOX")
    assert_paired(twin.sync())
    assert_settled(user, twin, expected={"INBOX": [1, 1, 1, 2, 2, 3]})


def test_a_mailbox_with_another_content_under_the_same_name(user, twin):
    """Restored wrongly, or another's: nothing here is removed for it."""
    fill(user, "A", *range(10))
    twin.sync()
    with user.client() as client:
        client.delete("A")
    fill(user, "A", *range(50, 55))
    assert_no_deletion(twin.sync())
    assert_settled(user, twin, expected={"A": [*range(10), *range(50, 55)]})


def test_a_mailbox_made_anew_while_a_deletion_waits(user, twin):
    """UIDs of the new mailbox are not those that were to be deleted in the old one."""
    fill(user, "A", 1, 2, 3)
    twin.sync()
    os.unlink(file_of(twin, 1, "A").path)
    with user.client() as client:
        client.delete("A")
    fill(user, "A", 51, 52, 53)
    assert_no_deletion(twin.sync())
    assert_settled(user, twin, expected={"A": [2, 3, 51, 52, 53]})


# ---- UIDs that lie ----

def test_renumbered_under_the_same_uidvalidity(dovecot, make_twin):
    """UIDVALIDITY as before, UIDs 1..n as before, but of other messages: the first was removed and
    the rest moved up."""
    user = dovecot.new_user()
    twin = make_twin(user)
    fill(user, "INBOX", *range(12), size=2000)
    twin.sync()
    user.server.wait_idle()
    with user.client() as client:
        validity = client.uidvalidity("INBOX")
        data = {uid: message for uid, message in client.fetch_all().items()}
    folder = os.path.join(user.home, "Maildir")
    shutil.rmtree(folder)
    with user.client() as client:  # without the first one, numbered from 1 again
        client.append_many([(message.data, sorted(message.flags), message.date)
                            for uid, message in data.items() if uid != 1])
    user.server.wait_idle()
    path = os.path.join(folder, "dovecot-uidlist")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"(?m)^3 V\d+ N\d+", f"3 V{validity} N13", text, count=1)
    for name in os.listdir(folder):
        if name.startswith("dovecot.index"):
            os.unlink(os.path.join(folder, name))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    with user.client() as client:
        assert client.uidvalidity("INBOX") == validity
        assert client.uids("INBOX") == list(range(1, 12))
    for _ in range(2):
        assert_no_deletion(twin.sync("--full"))
    assert_settled(user, twin, expected={"INBOX": range(12)})


def test_uidnext_goes_back(user, twin):
    """The server was restored from a backup that is older than the last run."""
    fill(user, "INBOX", *range(10), size=2000)
    user.server.wait_idle()
    backup = os.path.join(user.home, "backup")
    subprocess.run(["cp", "-a", os.path.join(user.home, "Maildir"), backup], check=True)
    fill(user, "INBOX", *range(50, 55))
    twin.sync()
    user.server.wait_idle()
    shutil.rmtree(os.path.join(user.home, "Maildir"))
    os.rename(backup, os.path.join(user.home, "Maildir"))
    assert there(user) == {"INBOX": list(range(10))}
    result = twin.sync()
    assert_no_deletion(result)
    assert_settled(user, twin, expected={"INBOX": [*range(10), *range(50, 55)]})


def test_uidnext_goes_back_and_new_mail_takes_the_old_uids(user, twin):
    fill(user, "INBOX", *range(10), size=2000)
    user.server.wait_idle()
    backup = os.path.join(user.home, "backup")
    subprocess.run(["cp", "-a", os.path.join(user.home, "Maildir"), backup], check=True)
    fill(user, "INBOX", *range(50, 55))
    twin.sync()
    user.server.wait_idle()
    shutil.rmtree(os.path.join(user.home, "Maildir"))
    os.rename(backup, os.path.join(user.home, "Maildir"))
    fill(user, "INBOX", *range(70, 78))
    for arguments in ([], ["--full"], []):
        assert_no_deletion(twin.sync(*arguments))
    assert_settled(user, twin, expected={"INBOX": [*range(10), *range(50, 55), *range(70, 78)]})


def test_highestmodseq_goes_back(user, twin):
    fill(user, "INBOX", *range(10), size=2000)
    for _ in range(5):
        store_there(user, 1, "+FLAGS", ["\\Flagged"])
        store_there(user, 1, "-FLAGS", ["\\Flagged"])
    twin.sync()
    user.server.wait_idle()
    for name in os.listdir(os.path.join(user.home, "Maildir")):
        if name.startswith("dovecot.index"):
            os.unlink(os.path.join(user.home, "Maildir", name))
    expunge_there(user, 3)
    assert_no_deletion(twin.sync())
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": range(10)})


# ---- backups ----

def restore(path):
    shutil.rmtree(path)
    os.rename(path + ".backup", path)


def back_up(path):
    subprocess.run(["cp", "-a", path, path + ".backup"], check=True)


def live(user, twin):
    """A few runs' worth of every change."""
    for start in (100, 200, 300):
        fill(user, "INBOX", start, start + 1)
        deliver(twin, "INBOX", start + 2)
        store_there(user, 1, "+FLAGS", [f"\\{['Flagged', 'Answered', 'Draft'][start // 100 - 1]}"])
        expunge_there(user, 5 + start // 100)
        move_there(user, start // 100 + 10, "INBOX", "Archive")
        twin.sync()


@pytest.mark.parametrize("what", ["state", "root"])
def test_restored_from_a_backup(user, make_twin, what):
    twin = make_twin(user)
    fill(user, "INBOX", *range(20), size=3000)
    fill(user, "Archive", 50)
    twin.sync()
    path = getattr(twin, what)
    back_up(path)
    live(user, twin)
    restore(path)
    before = there(user)
    result = twin.sync()
    assert_no_deletion(result)
    twin.sync()
    for folder, numbers in before.items():
        assert set(numbers) <= set(there(user)[folder]), "nothing that was there is gone"
    assert_settled(user, twin)
    for numbers in there(user).values():
        assert len(numbers) == len(set(numbers)), "nothing is doubled"


def test_a_draft_out_of_a_backup_is_no_edit(user, twin):
    """The old version lies under the name of the new one: both are kept."""
    deliver(twin, "Drafts", 1, 2, letters="DS")
    twin.sync()
    back_up(twin.root)
    twin.tree.edit(file_of(twin, 1, "Drafts"), mail.plain(50))
    twin.sync()
    for number in (3, 4):
        deliver(twin, "INBOX", number)
        twin.sync()
    restore(twin.root)
    for _ in range(2):  # what lies there is new in the run after
        assert_no_deletion(twin.sync())
    assert_settled(user, twin, expected={"Drafts": [1, 2, 50], "INBOX": [3, 4]})


@pytest.mark.parametrize("what", ["state", "root"])
def test_restored_and_paired_again_in_parts(user, twin, what):
    """No folder is trusted before a run has completed it, however many there were since."""
    for folder in ("INBOX", "A", "B"):
        fill(user, folder, 1, 2, 3)
    twin.sync()
    back_up(getattr(twin, what))
    for number in (10, 11, 12):
        for folder in ("INBOX", "A", "B"):
            fill(user, folder, number)
        twin.sync()
    restore(getattr(twin, what))
    assert_no_deletion(twin.sync("test:INBOX"))
    with Proxy(("127.0.0.1", user.server.plain), refuse=[(rb"(SELECT|EXAMINE) \"?B", b"NO not now")]
               ) as proxy:
        twin.set(port=proxy.port)
        assert_no_deletion(twin.sync(expect=1))
    twin.set(port=user.server.plain)
    assert_no_deletion(twin.sync())
    assert_settled(user, twin, expected=dict.fromkeys(("INBOX", "A", "B"), [1, 2, 3, 10, 11, 12]))
    os.unlink(file_of(twin, 1, "B").path)
    assert twin.sync().summary["deleted_remote"] == 1, "and then it is"


def test_state_restored_without_a_change_since(user, twin):
    fill(user, "INBOX", *range(20), size=3000)
    twin.sync()
    back_up(twin.state)
    fill(user, "INBOX", 50, 51, size=3000)
    twin.sync()
    restore(twin.state)
    assert_paired(twin.sync(), bytes_in=30_000)
    assert_settled(user, twin, expected={"INBOX": [*range(20), 50, 51]})


def test_state_lost_with_mail_moved_since(user, twin):
    fill(user, "INBOX", *range(10), size=3000)
    fill(user, "Archive", 50)
    twin.sync()
    twin.forget_state()
    move_there(user, 1, "INBOX", "Archive")
    assert_no_deletion(twin.sync())
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": range(10), "Archive": [1, 50]})


@pytest.mark.parametrize("damage", ["truncated", "zeros", "garbage", "empty"])
def test_a_damaged_state_is_never_an_empty_one(user, twin, damage):
    fill(user, "INBOX", *range(10), size=3000)
    twin.sync()
    (path,) = [os.path.join(folder, name) for folder, _, names in os.walk(twin.state)
               for name in names if name == "data.mdb"]
    with open(path, "r+b") as file:
        size = os.path.getsize(path)
        if damage == "truncated":
            file.truncate(size // 2)
        elif damage == "empty":
            file.truncate(0)
        else:
            file.write((b"\0" if damage == "zeros" else b"\xa5") * 16384)
    result = twin.run("sync", "--json")
    assert result.exit in (0, 74), result
    if result.exit == 0:
        assert_no_deletion(result)
        assert (result.summary["downloaded"], result.summary["uploaded"]) == (0, 0), result
    assert here(twin) == there(user) == {"INBOX": list(range(10))}


# ---- another disk ----

def test_a_maildir_copied_to_another_disk(user, twin):
    """rsync -a: every inode is new."""
    fill(user, "INBOX", *range(40), size=4000, flags=["\\Seen", "todo"])
    fill(user, "Archive/Deep", *range(50, 60))
    twin.sync()
    subprocess.run(["cp", "-a", twin.root, twin.root + ".copy"], check=True)
    shutil.rmtree(twin.root)
    os.rename(twin.root + ".copy", twin.root)
    user.forget_log()
    assert_paired(twin.sync(), bytes_in=40_000)
    user.server.wait_idle()
    assert user.mutating() == []
    assert_settled(user, twin, expected={"INBOX": range(40), "Archive/Deep": range(50, 60)})


def test_a_maildir_copied_without_times(user, twin):
    """cp -r: new inodes and the time of the day."""
    fill(user, "INBOX", *range(40), size=4000)
    twin.sync()
    subprocess.run(["cp", "-r", twin.root, twin.root + ".copy"], check=True)
    shutil.rmtree(twin.root)
    os.rename(twin.root + ".copy", twin.root)
    assert_paired(twin.sync(), bytes_in=40_000)
    assert_settled(user, twin, expected={"INBOX": range(40)})


def test_a_copied_maildir_with_changes(user, twin):
    fill(user, "INBOX", *range(10))
    fill(user, "Archive", 50)
    twin.sync()
    subprocess.run(["cp", "-a", twin.root, twin.root + ".copy"], check=True)
    shutil.rmtree(twin.root)
    os.rename(twin.root + ".copy", twin.root)
    twin.tree.move(file_of(twin, 1), "Archive")
    twin.tree.add_letters(file_of(twin, 2), "F")
    os.unlink(file_of(twin, 3).path)
    deliver(twin, "INBOX", 60)
    result = twin.sync()
    assert (result.summary["moved_remote"], result.summary["uploaded"],
            result.summary["deleted_remote"]) == (1, 1, 1), result
    assert_settled(user, twin, expected={"INBOX": [0, 2, *range(4, 10), 60], "Archive": [1, 50]})


def test_maildir_and_state_copied_to_another_machine(user, twin, make_twin):
    fill(user, "INBOX", *range(40), size=4000)
    twin.sync()
    other = make_twin(user, "second")
    shutil.copytree(twin.root, other.root)
    shutil.copytree(twin.state, other.state)
    assert_paired(other.sync(), bytes_in=40_000)
    fill(user, "INBOX", 50)
    deliver(other, "INBOX", 60)
    for device in (other, twin, other):
        device.sync()
    assert_settled(user, twin, other, expected={"INBOX": [*range(40), 50, 60]})


# ---- another tool's Maildir ----

def run_mbsync(twin, sub_folders="Verbatim"):
    user = twin.user
    path = os.path.join(twin.directory, "mbsyncrc")
    store = os.path.join(twin.directory, "mbsync-state")
    os.makedirs(store, exist_ok=True)
    os.makedirs(twin.root, exist_ok=True)
    with open(os.path.join(twin.directory, "pass"), "w", encoding="utf-8") as file:
        file.write(user.password + "\n")
    inbox = "INBOX" if sub_folders == "Verbatim" else ""
    with open(path, "w", encoding="utf-8") as file:
        place = f"Path {twin.root}/\n" if sub_folders == "Verbatim" else ""
        file.write(f"""IMAPAccount a
Host 127.0.0.1
Port {user.server.plain}
User {user.name}
PassCmd "cat {twin.directory}/pass"
SSLType None
AuthMechs LOGIN

IMAPStore r
Account a

MaildirStore l
{place}Inbox {twin.root}/{inbox}
SubFolders {sub_folders}

Channel c
Far :r:
Near :l:
Patterns *
Create Both
Expunge Both
SyncState {store}/
""")
    result = subprocess.run(["mbsync", "-c", path, "c"], capture_output=True, text=True,
                            timeout=60, env={**os.environ, "HOME": twin.directory})
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("layout", ["nested", "maildir++"])
def test_a_maildir_of_mbsync(user, make_twin, layout):
    """UIDs in the names, X-TUID in what it sent, times of the day, directories in modified UTF-7."""
    if shutil.which("mbsync") is None:
        pytest.skip("mbsync is not installed (isync)")
    twin = make_twin(user, layout=layout)
    fill(user, "INBOX", *range(30), size=4000)
    fill(user, "Entwürfe", *range(50, 55), flags=["\\Draft"])
    fill(user, "Lists/Deep", *range(60, 65), flags=["\\Seen", "\\Flagged"])
    run_mbsync(twin, "Verbatim" if layout == "nested" else "Maildir++")
    deliver(twin, "INBOX", *range(100, 110), size=4000)
    run_mbsync(twin, "Verbatim" if layout == "nested" else "Maildir++")
    assert len(there(user)["INBOX"]) == 40
    files = {folder: {file.inode for file in files}
             for folder, files in twin.tree.everything().items()}
    user.forget_log()
    result = twin.sync()
    assert_paired(result, bytes_in=90_000)
    user.server.wait_idle()
    assert user.mutating() == [], "the server is left as it is"
    assert {folder: {file.inode for file in files}
            for folder, files in twin.tree.everything().items()} == files
    assert set(there(user)) == {"INBOX", "Entwürfe", "Lists/Deep"}
    assert_silent(user, twin)
    store_there(user, 52, "+FLAGS", ["\\Seen"], "Entwürfe")
    expunge_there(user, 3)
    fill(user, "Lists/Deep", 70)
    twin.sync()
    assert sorted(sum(there(user).values(), [])) == sorted(sum(here(twin).values(), []))
    assert_silent(user, twin)


def run_offlineimap(twin):
    user = twin.user
    path = os.path.join(twin.directory, "offlineimaprc")
    os.makedirs(twin.root, exist_ok=True)
    with open(os.path.join(twin.directory, "pass"), "w", encoding="utf-8") as file:
        file.write(user.password)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""[general]
metadata = {twin.directory}/offlineimap
accounts = a
ui = quiet
[Account a]
localrepository = l
remoterepository = r
[Repository l]
type = Maildir
localfolders = {twin.root}
sep = /
[Repository r]
type = IMAP
remotehost = 127.0.0.1
remoteport = {user.server.plain}
ssl = no
starttls = no
auth_mechanisms = LOGIN
remoteuser = {user.name}
remotepassfile = {twin.directory}/pass
""")
    return subprocess.run(["offlineimap", "-c", path, "-o", "-1"], capture_output=True, text=True,
                          timeout=90, env={**os.environ, "HOME": twin.directory})


def test_a_maildir_of_offlineimap(user, make_twin):
    """X-OfflineIMAP in what it sent, U= and FMD5= in the names."""
    if shutil.which("offlineimap") is None:
        pytest.skip("offlineimap is not installed (offlineimap3)")
    twin = make_twin(user)
    fill(user, "INBOX", *range(30), size=4000)
    fill(user, "Lists/Deep", *range(60, 65), flags=["\\Seen", "\\Flagged"])
    fill(user, "Entwürfe", *range(50, 55))
    first = run_offlineimap(twin)
    if first.returncode != 0 or len(here(twin).get("INBOX", [])) != 30:
        pytest.skip("offlineimap does not work here: " + first.stderr[-300:])
    deliver(twin, "INBOX", *range(100, 110), size=4000)
    run_offlineimap(twin)
    assert len(there(user)["INBOX"]) == 40
    names = {folder: {file.inode for file in files}
             for folder, files in twin.tree.everything().items()}
    user.forget_log()
    assert_paired(twin.sync(), bytes_in=90_000)
    user.server.wait_idle()
    assert user.mutating() == []
    assert {folder: {file.inode for file in files}
            for folder, files in twin.tree.everything().items()} == names
    assert set(there(user)) == {"INBOX", "Entwürfe", "Lists/Deep"}
    assert_silent(user, twin)


# ---- roots ----

def test_two_accounts_on_one_root(dovecot, user, twin, make_twin):
    fill(user, "INBOX", 1)
    twin.sync()
    stranger = dovecot.new_user()
    other = make_twin(stranger, "second", maildir=twin.root)
    result = other.run("sync")
    assert result.exit == 78 and user.name in result.stderr, result
    assert there(stranger) == {} and here(twin) == {"INBOX": [1]}


@pytest.mark.parametrize("where", ["inside", "around"])
def test_a_root_inside_or_around_anothers(dovecot, user, twin, make_twin, where):
    fill(user, "INBOX", 1)
    twin.sync()
    stranger = dovecot.new_user()
    path = os.path.join(twin.root, "Below") if where == "inside" else twin.directory
    result = make_twin(stranger, "second", maildir=path).run("sync")
    assert result.exit == 78 and user.name in result.stderr, result
    assert there(stranger) == {}
