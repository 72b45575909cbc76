"""Folders: made, removed and renamed on either side, under names of every kind; no message is lost
with one, and no two are ever merged."""
import imaplib
import os
import re
import shutil
import unicodedata

import pytest

import mail
from acts import (FoundTree, assert_settled, assert_silent, deliver, file_of, fill, here,
                  move_there, store_there, there)
from proxy import Proxy

LAYOUTS = pytest.mark.parametrize("layout", ["nested", "maildir++"])

# (format, separator, prefix) of servers.
SERVERS = pytest.mark.parametrize("server", [
    ("maildir", "/", ""), ("maildir", ".", "INBOX."), ("mdbox", ".", "")],
    ids=["slash", "inbox-prefix", "dot"])


class ObjectIds(Proxy):
    """Dovecot's ids of mailboxes and messages under the names that RFC 8474 gives them."""

    def __init__(self, user, **more):
        super().__init__(("127.0.0.1", user.server.plain), add=["OBJECTID"], replace=[
            (rb"^(\* STATUS .*)X-GUID ([^ )]+)", rb"\1MAILBOXID (\2)"),
            (rb"^(\* \d+ FETCH .*)X-GUID ([^ )]+)", rb"\1EMAILID (\2)")], **more)

    async def _client_rules(self, *args):
        line = await super()._client_rules(*args)
        return line and line.replace(b"MAILBOXID", b"X-GUID").replace(b"EMAILID", b"X-GUID")


class FoldsCase(Proxy):
    """A server to which Lists and lists are one mailbox, the one that was made first."""

    def __init__(self, user, name):
        super().__init__(("127.0.0.1", user.server.plain))
        self.name = re.compile(rb"\b%s\b" % name.encode(), re.I), name.encode()

    async def _client_rules(self, *args):
        line = await super()._client_rules(*args)
        return line and self.name[0].sub(self.name[1], line)


def new_user(dovecot, server):
    return dovecot.new_user(format=server[0], separator=server[1], prefix=server[2])


def on_server(server, name):
    """The server's name of a folder."""
    if name == "INBOX":
        return name
    return server[2] + name.replace("/", server[1])


def translator(server):
    def translate(name):
        if name == "INBOX":
            return name
        return name.removeprefix(server[2]).replace(server[1], "/")
    return translate


def remove_folder(twin, folder):
    shutil.rmtree(twin.tree.path(folder))


def rename_folder(twin, old, new):
    """As a person would, with all that is below it."""
    os.makedirs(os.path.dirname(twin.tree.path(new)), exist_ok=True)
    if twin.layout == "nested":
        os.rename(twin.tree.path(old), twin.tree.path(new))
        return
    for name in twin.tree.folders():
        if name == old or name.startswith(old + "/"):
            os.rename(twin.tree.path(name), twin.tree.path(new + name[len(old):]))


def folders_there(user):
    with user.client() as client:
        return sorted(client.list())


def assert_no_bodies(user, result):
    assert (result.summary["downloaded"], result.summary["uploaded"]) == (0, 0), result
    user.server.wait_idle()
    assert not [line for line in user.commands() if "BODY.PEEK[]" in line or
                line.startswith("APPEND")], result


# ---- made ----

@SERVERS
@LAYOUTS
def test_made_there_and_here_with_children(dovecot, make_twin, server, layout):
    user = new_user(dovecot, server)
    twin = make_twin(user, layout=layout)
    names = ["Work", "Work/Deep", "Work/Deep/Er", "Other/Child"]
    for number, name in enumerate(names):
        fill(user, on_server(server, name), number)
    twin.sync()
    for number, name in enumerate(["Mine", "Mine/Below", "Work/Mine", "Lone/Leaf"]):
        deliver(twin, name, 100 + number)
    result = twin.sync()
    assert result.summary["uploaded"] == 4, result
    assert set(twin.tree.folders()) >= {"INBOX", *names, "Mine", "Mine/Below", "Work/Mine",
                                        "Lone/Leaf"}
    assert_settled(user, twin, translate=translator(server))


@LAYOUTS
def test_an_empty_folder_is_a_folder(user, make_twin, layout):
    twin = make_twin(user, layout=layout)
    with user.client() as client:
        client.create("There")
    twin.tree.create("Here")
    twin.sync()
    assert folders_there(user) == ["Here", "INBOX", "There"]
    assert_settled(user, twin)


def test_the_same_new_folder_on_both_sides(user, twin):
    twin.sync()
    fill(user, "Both", 1, 2)
    deliver(twin, "Both", 2, 3)
    result = twin.sync()
    assert (result.summary["downloaded"], result.summary["uploaded"]) == (1, 1), result
    assert_settled(user, twin, expected={"Both": [1, 2, 3]})


# ---- removed ----

@SERVERS
@LAYOUTS
def test_removed_with_children_on_either_side(dovecot, make_twin, server, layout):
    user = new_user(dovecot, server)
    twin = make_twin(user, layout=layout)
    for number, name in enumerate(["Here", "Here/Child", "There", "There/Child", "Stays"]):
        fill(user, on_server(server, name), number)
    twin.sync()
    for name in ("Here/Child", "Here"):
        remove_folder(twin, name)
    with user.client() as client:
        for name in ("There/Child", "There"):
            client.delete(on_server(server, name))
    twin.sync()
    assert twin.tree.folders() == ["INBOX", "Stays"]
    assert_settled(user, twin, translate=translator(server))


@LAYOUTS
def test_a_child_alone_is_removed(user, make_twin, layout):
    twin = make_twin(user, layout=layout)
    for number, name in enumerate(["A", "A/Here", "A/There"]):
        fill(user, name, number)
    twin.sync()
    remove_folder(twin, "A/Here")
    with user.client() as client:
        client.delete("A/There")
    twin.sync()
    assert_settled(user, twin, expected={"A": [0]})


@LAYOUTS
def test_a_parent_is_removed_there_and_its_child_stays(dovecot, make_twin, layout):
    user = dovecot.new_user(format="sdbox")
    twin = make_twin(user, layout=layout)
    fill(user, "A", 0)
    fill(user, "A/Child", 1)
    twin.sync()
    with user.client() as client:
        client.delete("A")
    twin.sync()
    assert twin.tree.folders() == ["A/Child", "INBOX"]
    assert_settled(user, twin, expected={"A/Child": [1]})


def test_a_parent_that_is_listed_but_gone(user, twin):
    """Dovecot lists a removed parent in maildir as if it could be selected: said, and no deletion."""
    fill(user, "A", 0)
    fill(user, "A/Child", 1)
    twin.sync()
    with user.client() as client:
        client.delete("A")
        client.append(mail.plain(2), "A/Child")
        listed = client.list()
    result = twin.run("sync", "--json")
    assert 2 in here(twin)["A/Child"]
    if "A" in listed:
        assert result.exit == 1 and result.problems("folder"), result
        assert here(twin)["A"] == [0]


def test_a_parent_is_removed_here_and_its_child_stays(dovecot, make_twin):
    """maildir++ can say it; in a nested tree a directory without cur is damage."""
    user = dovecot.new_user(format="sdbox")
    twin = make_twin(user, layout="maildir++")
    fill(user, "A", 0)
    fill(user, "A/Child", 1)
    twin.sync()
    remove_folder(twin, "A")
    twin.sync()
    assert_settled(user, twin, expected={"A/Child": [1]})


def test_a_folder_removed_and_made_anew_there(user, twin):
    """Another UIDVALIDITY: another folder. What was here goes up to it, nothing is lost."""
    fill(user, "A", 1, 2)
    twin.sync()
    with user.client() as client:
        client.delete("A")
    fill(user, "A", 2, 3)
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"A": [1, 2, 3]})


def test_removed_here_and_made_anew_there(user, twin):
    """What was to be removed is gone already; the new one of its name is another folder."""
    fill(user, "A", 1, 2)
    twin.sync()
    remove_folder(twin, "A")
    with user.client() as client:
        client.delete("A")
    fill(user, "A", 50)
    twin.sync()
    assert_settled(user, twin, expected={"A": [50]})


def test_removed_on_both_sides(user, twin):
    fill(user, "A", 1)
    twin.sync()
    remove_folder(twin, "A")
    with user.client() as client:
        client.delete("A")
    twin.sync()
    assert_settled(user, twin, expected={})


def test_removed_there_with_mail_here_that_was_never_sent(user, twin):
    fill(user, "A", 1, 2)
    twin.sync()
    deliver(twin, "A", 50)
    with user.client() as client:
        client.delete("A")
    result = twin.sync(expect=3)
    assert result.problems("held"), result
    assert here(twin) == {"A": [1, 2, 50]} and there(user) == {}
    assert_silent(user, twin, exit=3)
    twin.sync("--undo-delete")
    assert_settled(user, twin, expected={"A": [1, 2, 50]})


def test_removed_there_with_new_mail_here_and_allowed(user, twin):
    fill(user, "A", 1, 2)
    twin.sync()
    deliver(twin, "A", 50)
    with user.client() as client:
        client.delete("A")
    twin.sync(expect=3)
    twin.sync("--allow-delete")
    twin.sync()
    assert 50 in there(user)["A"], "what was new here is not lost with it"
    assert_settled(user, twin)


def test_removed_there_with_flags_changed_here(user, twin):
    fill(user, "A", 1, 2)
    twin.sync()
    twin.tree.add_letters(file_of(twin, 1, "A"), "F")
    with user.client() as client:
        client.delete("A")
    assert twin.sync(expect=3).problems("held")
    assert here(twin) == {"A": [1, 2]}


def test_removed_here_with_mail_there_that_was_never_seen(user, twin):
    fill(user, "A", 1, 2)
    twin.sync()
    remove_folder(twin, "A")
    fill(user, "A", 50)
    result = twin.sync(expect=3)
    assert result.problems("held"), result
    assert there(user) == {"A": [1, 2, 50]}
    assert_silent(user, twin, exit=3)
    twin.sync("--undo-delete")
    assert_settled(user, twin, expected={"A": [1, 2, 50]})


def test_removed_here_with_mail_there_that_comes_at_the_last_moment(user, twin):
    """The mailbox is looked at again directly before DELETE."""
    fill(user, "A", 1, 2)
    twin.sync()
    remove_folder(twin, "A")
    with Proxy(("127.0.0.1", user.server.plain), refuse=[(rb" DELETE ", b"NO [INUSE] busy")]
               ) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        assert result.exit == 1 and result.problems(), result
    assert there(user) == {"A": [1, 2]}
    twin.set(port=user.server.plain)
    fill(user, "A", 50)
    twin.run("sync")
    assert 50 in there(user)["A"]


def test_mail_moved_out_of_a_folder_that_is_removed(user, twin):
    """Moved away, then the folder removed: on either side that is tidying up, not a loss."""
    fill(user, "Here", 1, 2)
    fill(user, "There", 3, 4)
    fill(user, "Archive", 9)
    twin.sync()
    for file in twin.tree.read("Here"):
        twin.tree.move(file, "Archive")
    remove_folder(twin, "Here")
    for number in (3, 4):
        move_there(user, number, "There", "Archive")
    with user.client() as client:
        client.delete("There")
    result = twin.sync()
    assert (result.summary["downloaded"], result.summary["uploaded"]) == (0, 0), result
    assert_settled(user, twin, expected={"Archive": [1, 2, 3, 4, 9]})
    assert folders_there(user) == ["Archive", "INBOX"]


@pytest.mark.parametrize("copied", [False, True], ids=["move", "copy"])
def test_removed_there_and_moved_into_here(user, twin, copied):
    """What was put there is mail that the removal did not mean."""
    fill(user, "A", 1, 2)
    fill(user, "INBOX", 50)
    twin.sync()
    if copied:
        twin.tree.deliver(file_of(twin, 50).data, "A", "S")
    else:
        twin.tree.move(file_of(twin, 50), "A")
    with user.client() as client:
        client.delete("A")
    result = twin.sync(expect=3)
    assert result.problems("held") and here(twin)["A"] == [1, 2, 50], result
    assert 50 in there(user)["INBOX"]
    assert_silent(user, twin, exit=3)
    twin.sync("--undo-delete")
    twin.sync()
    assert 50 in there(user)["A"] and set(there(user)["A"]) == {1, 2, 50}
    assert_settled(user, twin)


def test_removed_here_and_moved_into_there(user, twin):
    fill(user, "A", 1, 2)
    fill(user, "INBOX", 50)
    twin.sync()
    remove_folder(twin, "A")
    move_there(user, 50, "INBOX", "A")
    result = twin.sync(expect=3)
    assert result.problems("held") and there(user)["A"] == [1, 2, 50], result
    assert 50 in sum(here(twin).values(), []), "the file is not lost"
    assert_silent(user, twin, exit=3)
    twin.sync("--undo-delete")
    twin.sync()
    assert_settled(user, twin, expected={"A": [1, 2, 50]})


def test_inbox_is_never_removed(user, make_twin):
    twin = make_twin(user)
    fill(user, "INBOX", 1, 2)
    fill(user, "A", 3)
    twin.sync()
    remove_folder(twin, "INBOX")
    twin.sync()
    assert_settled(user, twin, expected={"INBOX": [1, 2], "A": [3]})


@pytest.mark.parametrize("side", ["here", "there"])
def test_delete_folders_no(user, make_twin, side):
    twin = make_twin(user, delete_folders="no")
    fill(user, "A", 1, 2)
    fill(user, "A/B", 3)
    twin.sync()
    if side == "here":
        remove_folder(twin, "A")
    else:
        with user.client() as client:
            client.delete("A/B")
            client.delete("A")
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"A": [1, 2], "A/B": [3]})


# ---- chosen or not ----

def test_a_folder_that_falls_out_of_the_choice_is_no_deletion(user, make_twin):
    twin = make_twin(user, folders=["*"])
    fill(user, "INBOX", 1)
    fill(user, "Lists", 2, 3)
    twin.sync()
    twin.set(folders=["*", "!Lists"])
    user.forget_log()
    twin.sync()
    user.server.wait_idle()
    assert user.mutating() == [] and here(twin) == {"INBOX": [1], "Lists": [2, 3]}
    fill(user, "Lists", 4)
    deliver(twin, "Lists", 5)
    os.unlink(file_of(twin, 2, "Lists").path)
    twin.sync()
    assert there(user)["Lists"] == [2, 3, 4] and here(twin)["Lists"] == [3, 5]
    twin.set(folders=["*"])
    result = twin.sync()
    assert (result.summary["downloaded"], result.summary["uploaded"],
            result.summary["deleted_remote"]) == (1, 1, 1), result
    assert_settled(user, twin, expected={"INBOX": [1], "Lists": [3, 4, 5]})


def test_a_folder_out_of_the_choice_and_removed(user, make_twin):
    twin = make_twin(user, folders=["*", "!Lists"])
    fill(user, "Lists", 2)
    fill(user, "INBOX", 1)
    twin.set(folders=["*"])
    twin.sync()
    twin.set(folders=["*", "!Lists"])
    remove_folder(twin, "Lists")
    twin.sync()
    assert there(user) == {"INBOX": [1], "Lists": [2]}
    assert_silent(user, twin)


def test_patterns(user, make_twin):
    for number, name in enumerate(["Lists/A", "Lists/A/Deep", "Lists/B", "Spam", "Spam2"]):
        fill(user, name, number)
    fill(user, "INBOX", 9)
    twin = make_twin(user, folders=["inbox", "Lists/%", "!*B"])
    twin.sync()
    assert here(twin) == {"INBOX": [9], "Lists/A": [0]}
    twin.set(folders=["!Spam"])
    twin.sync()
    assert set(here(twin)) == {"INBOX", "Lists/A", "Lists/A/Deep", "Lists/B", "Spam2"}
    assert_silent(user, twin)


def test_nothing_chosen(user, make_twin):
    assert make_twin(user, folders=["NoSuch"]).run("sync").exit == 78


# ---- renamed ----

@SERVERS
@LAYOUTS
def test_renamed_there_with_children(dovecot, make_twin, server, layout):
    user = new_user(dovecot, server)
    twin = make_twin(user, layout=layout)
    for number, name in enumerate(["Old", "Old/Child", "Old/Child/Er", "Stays"]):
        fill(user, on_server(server, name), *range(number * 100, number * 100 + 25))
    twin.sync()
    inodes = {file.inode for file in twin.tree.read("Old/Child")}
    with user.client() as client:
        client.rename(on_server(server, "Old"), on_server(server, "New"))
    user.forget_log()
    result = twin.sync()
    assert_no_bodies(user, result)
    assert {file.inode for file in twin.tree.read("New/Child")} == inodes
    assert twin.tree.folders() == ["INBOX", "New", "New/Child", "New/Child/Er", "Stays"]
    assert_settled(user, twin, translate=translator(server))


@SERVERS
@LAYOUTS
def test_renamed_here_with_children(dovecot, make_twin, server, layout):
    user = new_user(dovecot, server)
    twin = make_twin(user, layout=layout)
    for number, name in enumerate(["Old", "Old/Child", "Old/Child/Er", "Stays"]):
        fill(user, on_server(server, name), *range(number * 100, number * 100 + 25))
    twin.sync()
    rename_folder(twin, "Old", "New")
    user.forget_log()
    result = twin.sync()
    assert_no_bodies(user, result)
    assert not [line for line in user.mutating() if "MOVE" in line], "one RENAME, not many moves"
    assert twin.tree.folders() == ["INBOX", "New", "New/Child", "New/Child/Er", "Stays"]
    assert_settled(user, twin, translate=translator(server))


def test_renamed_there_by_its_id(user, twin):
    """With MAILBOXID a rename is one, whatever its messages are."""
    for name, number in (("Old", 1), ("Old/Child", 2)):
        fill(user, name, number)
    with ObjectIds(user) as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        with user.client() as client:
            client.rename("Old", "New")
        result = twin.sync()
        assert result.summary["folders_renamed_local"] == 2, result
        assert result.summary["moved_local"] == 0, result
        assert_settled(user, twin, expected={"New": [1], "New/Child": [2]})


def test_renamed_there_after_its_files_were_read(user, twin):
    """The directory is read before the server tells of the rename: nothing of it is lost or told twice."""
    fill(user, "Old", *range(25))
    with ObjectIds(user) as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        twin.tree.deliver(mail.plain(100), "Old", "S")
        stray = os.path.join(twin.tree.root, "Old", "cur", ":2,S")
        os.close(os.open(stray, os.O_CREAT, 0o600))
        with user.client() as client:
            client.rename("Old", "New")
        result = twin.sync(expect=1)
        assert len(result.problems("name")) == 1, result
        assert result.summary["folders_renamed_local"] == 1, result
        os.unlink(stray.replace("Old", "New"))
        twin.sync()
        assert_settled(user, twin, expected={"New": [*range(25), 100]})


@pytest.mark.parametrize("side", ["here", "there"])
def test_names_in_use_by_their_ids(user, twin, side):
    """A becomes B, and B becomes C, or A: nothing is merged, whoever goes first."""
    for number, name in enumerate(["A", "B", "X", "Y"]):
        fill(user, name, number)
    with ObjectIds(user) as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        with user.client() as client:
            for old, new in (("B", "C"), ("A", "B"), ("X", "Z"), ("Y", "X"), ("Z", "Y")):
                if side == "here":
                    rename_folder(twin, old, new)
                else:
                    client.rename(old, new)
        for _ in range(3):
            assert twin.run("sync", "--json").exit in (0, 1)
        assert_settled(user, twin, expected={"B": [0], "C": [1], "Y": [2], "X": [3]})


@LAYOUTS
@pytest.mark.parametrize("side", ["here", "there"])
def test_renamed_below_another_folder(user, make_twin, layout, side):
    twin = make_twin(user, layout=layout)
    for number, name in enumerate(["A", "B", "B/Child"]):
        fill(user, name, number)
    twin.sync()
    if side == "here":
        rename_folder(twin, "B", "A/B")
    else:
        with user.client() as client:
            client.rename("B", "A/B")
    user.forget_log()
    assert_no_bodies(user, twin.sync())
    assert_settled(user, twin, expected={"A": [0], "A/B": [1], "A/B/Child": [2]})


@LAYOUTS
@pytest.mark.parametrize("side", ["here", "there"])
def test_two_folders_exchange_their_names(user, make_twin, layout, side):
    twin = make_twin(user, layout=layout)
    fill(user, "A", 1, 2)
    fill(user, "B", 3)
    twin.sync()
    with user.client() as client:
        for old, new in (("A", "C"), ("B", "A"), ("C", "B")):
            if side == "here":
                rename_folder(twin, old, new)
            else:
                client.rename(old, new)
    for _ in range(2):
        twin.sync()
    assert_settled(user, twin, expected={"A": [3], "B": [1, 2]})


def test_renamed_there_and_filled_here(user, twin):
    fill(user, "Old", *range(5))
    twin.sync()
    with user.client() as client:
        client.rename("Old", "New")
    deliver(twin, "Old", 50)
    assert twin.sync(expect=3).problems("held")
    assert_silent(user, twin, exit=3)
    twin.sync("--undo-delete")
    assert_settled(user, twin, expected={"New": range(5), "Old": [50]})


def test_renamed_here_and_filled_there(user, twin):
    fill(user, "Old", *range(5))
    twin.sync()
    rename_folder(twin, "Old", "New")
    fill(user, "Old", 50)
    twin.sync()
    twin.sync()
    assert there(user) == {"New": [0, 1, 2, 3, 4, 50]}
    assert_settled(user, twin)


def test_renamed_there_and_flags_here(user, twin):
    fill(user, "Old", 1, 2)
    twin.sync()
    with user.client() as client:
        client.rename("Old", "New")
    twin.tree.add_letters(file_of(twin, 1, "Old"), "F")
    twin.sync()
    twin.sync()
    assert "F" in file_of(twin, 1, "New").letters
    assert_settled(user, twin, expected={"New": [1, 2]})


def test_renamed_there_and_a_new_one_of_the_old_name(user, twin):
    fill(user, "Old", 1, 2)
    twin.sync()
    with user.client() as client:
        client.rename("Old", "New")
    fill(user, "Old", 3)
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"New": [1, 2], "Old": [3]})


def test_renamed_here_and_a_new_one_of_the_old_name(user, twin):
    fill(user, "Old", 1, 2)
    twin.sync()
    rename_folder(twin, "Old", "New")
    deliver(twin, "Old", 3)
    twin.sync()
    twin.sync()
    assert_settled(user, twin, expected={"New": [1, 2], "Old": [3]})


def test_renamed_on_both_sides(user, twin):
    fill(user, "Old", *range(5))
    twin.sync()
    rename_folder(twin, "Old", "Here")
    with user.client() as client:
        client.rename("Old", "There")
    for _ in range(2):
        twin.sync()
    assert_settled(user, twin, expected={"There": range(5)})


def test_renamed_here_and_removed_there(user, twin):
    fill(user, "Old", *range(5))
    twin.sync()
    rename_folder(twin, "Old", "New")
    with user.client() as client:
        client.delete("Old")
    for _ in range(2):
        twin.sync()
    assert_settled(user, twin, expected={"New": range(5)})


def test_renamed_there_and_removed_here(user, twin):
    """The server's new place is what there is."""
    fill(user, "Old", *range(5))
    twin.sync()
    remove_folder(twin, "Old")
    with user.client() as client:
        client.rename("Old", "New")
    for _ in range(2):
        twin.sync()
    assert_settled(user, twin, expected={"New": [0, 1, 2, 3, 4]})


def test_case_alone_is_changed(user, twin):
    fill(user, "Lists", 1, 2)
    twin.sync()
    rename_folder(twin, "Lists", "lists")
    user.forget_log()
    assert_no_bodies(user, twin.sync())
    assert_settled(user, twin, expected={"lists": [1, 2]})


# ---- \Noselect ----

@LAYOUTS
def test_a_parent_that_cannot_be_selected(dovecot, make_twin, layout):
    """F17: a level above others, and no folder until it is made one."""
    user = dovecot.new_user(format="sdbox")
    twin = make_twin(user, layout=layout)
    fill(user, "Group/One", 1)
    fill(user, "Group/Deep/Two", 2)
    twin.sync()
    assert twin.tree.folders() == ["Group/Deep/Two", "Group/One", "INBOX"]
    assert_settled(user, twin, expected={"Group/One": [1], "Group/Deep/Two": [2]})
    fill(user, "Group", 3)
    twin.sync()
    assert_settled(user, twin, expected={"Group": [3], "Group/One": [1], "Group/Deep/Two": [2]})


def test_a_plain_directory_here_is_no_folder(user, twin):
    twin.sync()
    os.makedirs(os.path.join(twin.root, "Notes", "sub"))
    with open(os.path.join(twin.root, "Notes", "file"), "w", encoding="ascii") as file:
        file.write("not mail")
    twin.sync()
    assert folders_there(user) == ["INBOX"]
    deliver(twin, "Notes/Real", 1)
    twin.sync()
    assert_settled(user, twin, expected={"Notes/Real": [1]})
    assert os.path.exists(os.path.join(twin.root, "Notes", "file"))


def test_what_is_not_mail_in_a_removed_folder_is_kept(user, twin):
    """A folder that the server drops takes mail with it, and nothing else."""
    fill(user, "A", 1)
    twin.sync()
    with open(os.path.join(twin.tree.path("A"), "notes.txt"), "w", encoding="ascii") as file:
        file.write("precious")
    with user.client() as client:
        client.delete("A")
    twin.run("sync")
    assert os.path.exists(os.path.join(twin.tree.path("A"), "notes.txt"))
    assert there(user) == {}


# ---- names ----

NFC = unicodedata.normalize("NFC", "Café")
NFD = unicodedata.normalize("NFD", "Café")
NAMES = ["a.b", "dog.food.me@example.org", "Some Stuff...", ".hidden", "...", "R&D", "&", "&-",
         "Grüße", "日本語", "😀 fun", NFC, NFD, "Lists", "lists", "LISTS", "cur", "new", "tmp",
         "Work/cur", "Work/new/tmp", "~", "~/x", "%41", "%2F", "50%", "100% sure", "a%b", "a*b",
         "a\"b", "a\\b", "dovecot-keywords", "mailtwin", " lead", "trail ", "tab", "x" * 200,
         "A" * 254, "-", "-n", "$(date)", "a;b", "é" * 60, "INBOX/x", "Inbox2", "NIL", "{5}", "(x)"]


def create_all(user, names):
    """{name: [number]} of those that Dovecot takes, each with a message."""
    made = {}
    with user.client() as client:
        for number, name in enumerate(names):
            try:
                client.create(name)
            except imaplib.IMAP4.error:
                continue
            client.append(mail.plain(number), name, ["\\Seen"])
            made[name] = [number]
    return made


@LAYOUTS
def test_names_of_all_kinds(dovecot, make_twin, layout):
    """They come here, a change goes there, and a server that has none of them yet gets each under
    its own name again."""
    user, empty = (dovecot.new_user(format="sdbox") for _ in range(2))
    twin = make_twin(user, layout=layout)
    twin.tree = FoundTree(twin.root, layout)
    expected = create_all(user, NAMES)
    assert len(expected) > 40
    twin.sync()
    assert_settled(user, twin, expected=expected)
    with user.client() as client:
        for name in list(expected)[::2]:
            client.store(1, "+FLAGS", ["\\Flagged"], name)
    for name in list(expected)[1::2]:
        (file,) = twin.tree.read(name)
        twin.tree.add_letters(file, "R")
    twin.sync()
    assert_settled(user, twin, expected=expected)
    other = make_twin(empty, "second", layout=layout, account="second")
    other.tree = FoundTree(other.root, layout)
    shutil.copytree(twin.root, other.root)
    os.unlink(os.path.join(other.root, ".mailtwin"))
    other.sync()
    assert_settled(empty, other, expected=expected)


@LAYOUTS
def test_names_longer_than_a_directory_entry(dovecot, make_twin, layout):
    """Escaping makes them longer still; the record knows the way back."""
    user = dovecot.new_user(format="sdbox")
    twin = make_twin(user, layout=layout)
    twin.tree = FoundTree(twin.root, layout)
    made = create_all(user, ["a." * 100, "a." * 100 + "b", "%41" * 80, "." + "é" * 40])
    twin.sync()
    assert sorted(sum(here(twin).values(), [])) == sorted(sum(made.values(), []))
    for path, _, _ in os.walk(twin.root):
        assert all(len(os.fsencode(level)) <= 255 for level in path.split("/"))
    name, (number,) = list(made.items())[0]
    store_there(user, number, "+FLAGS", ["\\Flagged"], name)
    twin.sync()
    assert [file.letters for files in twin.tree.everything().values() for file in files
            if mail.token(number) in file.data] == ["FS"]
    assert_silent(user, twin)


@pytest.mark.parametrize("name", [b"../../evil", b"..", b".", b"/etc/evil", b"a/../b", b"a//b", b"/",
                                  b"a/", b"new/../../x", b"&&&", b"&AGE", b"\xff\xfe", b"x\x01y"])
@LAYOUTS
def test_a_name_that_would_leave_the_root(user, make_twin, tmp_path, name, layout):
    twin = make_twin(user, layout=layout)
    fill(user, "INBOX", 1)
    fill(user, "evil", 2)
    line = b"\\1 " + b'"' + name.replace(b"\\", b"\\\\\\\\") + b'"\r\n'
    with Proxy(("127.0.0.1", user.server.plain),
               replace=[(rb'^(\* LIST .*) "?evil"?\r\n$', line),
                        (rb'^(\* STATUS) "?evil"?', b"\\1 " + b'"' + name + b'"')]) as proxy:
        twin.set(port=proxy.port)
        before = set(os.listdir(tmp_path))
        result = twin.run("sync", "--json")
        assert result.exit in (0, 1), result
        assert set(os.listdir(tmp_path)) == before and not os.path.exists("/etc/evil")
        assert sorted(os.listdir(twin.directory)) == sorted(
            set(os.listdir(twin.directory)) & {"Mail", "state", "mailtwin.conf", "strace"})
        assert here(twin)["INBOX"] == [1], "the others are synced"


@pytest.mark.parametrize("local", ["Inbox", "inbox"])
def test_inbox_in_another_case_is_not_a_second_one(user, make_twin, local):
    twin = make_twin(user)
    fill(user, "INBOX", 1)
    twin.sync()
    deliver(twin, local, 2)
    result = twin.run("sync", "--json")
    assert result.exit == 1 and result.problems("folder"), result
    assert there(user) == {"INBOX": [1]} and here(twin) == {"INBOX": [1], local: [2]}
    assert_silent(user, twin, exit=1)


@pytest.mark.parametrize("listed", [b"Inbox", b"inbox"])
def test_a_name_that_is_listed_twice(user, twin, listed):
    """F21: INBOX in two spellings, and a folder in two lines."""
    fill(user, "INBOX", 1)
    fill(user, "A", 2)
    with Proxy(("127.0.0.1", user.server.plain), replace=[
            (rb'^(\* LIST .*"/" )"?INBOX"?\r\n', rb"\g<0>\1" + listed + b"\r\n"),
            (rb'^\* LIST .*"/" "?A"?\r\n', rb"\g<0>\g<0>")]) as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        assert here(twin) == {"INBOX": [1], "A": [2]}
        deliver(twin, "INBOX", 3)
        twin.sync()
        assert_settled(user, twin, expected={"INBOX": [1, 3], "A": [2]})


@pytest.mark.restless("CREATE is tried again")
def test_two_names_that_the_server_takes_for_one(user, twin):
    """CREATE says that it is there already, and LIST does not: another spelling, not to be merged."""
    fill(user, "Lists", 1)
    with FoldsCase(user, "Lists") as proxy:
        twin.set(port=proxy.port)
        twin.sync()
        deliver(twin, "lists", 2)
        for _ in range(2):
            result = twin.sync(expect=1)
            assert result.problems("folder"), result
        assert there(user) == {"Lists": [1]} and here(twin) == {"Lists": [1], "lists": [2]}
        user.forget_log()
        twin.sync(expect=1)
        user.server.wait_idle()
        assert all("CREATE" in line for line in user.mutating()), user.mutating()


def test_a_local_name_with_the_servers_delimiter(dovecot, make_twin):
    """`a.b` cannot be a mailbox where `.` stands between levels: said, and not cut in two."""
    user = dovecot.new_user(separator=".")
    twin = make_twin(user)
    twin.sync()
    deliver(twin, "a.b", 1)
    result = twin.run("sync", "--json")
    assert result.exit == 1 and result.problems("folder"), result
    assert folders_there(user) == ["INBOX"] and here(twin) == {"a.b": [1]}
    assert_silent(user, twin, exit=1)


def test_two_folders_that_would_share_a_directory(user, twin):
    """A directory that another tool named in modified UTF-7 is that folder's; a mailbox that bears
    that very name has no place then, and is refused, not merged."""
    fill(user, "Grün", 1)
    fill(user, "Gr&APw-n", 2)
    twin.tree.create("Gr&APw-n")
    for _ in range(2):
        result = twin.run("sync", "--json")
        numbers = [numbers for numbers in here(twin).values()]
        assert [1, 2] not in numbers, "merged"
        assert there(user) == {"Grün": [1], "Gr&APw-n": [2]}
    assert (result.exit, len(result.problems("folder"))) in ((1, 1), (0, 0)), result
    assert_silent(user, twin, exit=result.exit)


def test_a_directory_in_modified_utf7_is_that_folder(user, twin):
    fill(user, "Entwürfe/Äpfel", 1)
    fill(user, "R&D", 2)
    twin.tree.create("Entw&APw-rfe/&AMQ-pfel")
    twin.tree.create("R&-D")
    twin.sync()
    assert here(twin) == {"Entw&APw-rfe/&AMQ-pfel": [1], "R&-D": [2]}
    assert folders_there(user) == ["Entwürfe/Äpfel", "INBOX", "R&D"]
    assert_silent(user, twin)


def test_a_virtual_folder_is_left_out(dovecot, make_twin):
    user = dovecot.new_user()
    fill(user, "INBOX", 1)
    fill(user, "Everything", 1)
    with Proxy(("127.0.0.1", user.server.plain),
               replace=[(rb"^\* LIST \(([^)]*)\)(.* \"?Everything\"?\r\n)$",
                         rb"* LIST (\\All)\2")]) as proxy:
        twin = make_twin(user, port=proxy.port)
        twin.sync()
        assert here(twin) == {"INBOX": [1]}
        assert_silent(user, twin)
        twin.set(folders=["*", "Everything"])
        twin.sync()
        assert here(twin) == {"INBOX": [1], "Everything": [1]}


# ---- what the server refuses ----

def test_create_is_refused(user, twin):
    twin.sync()
    deliver(twin, "Bad", 1)
    deliver(twin, "Good", 2)
    with Proxy(("127.0.0.1", user.server.plain),
               refuse=[(rb"CREATE \"?Bad", b"NO [CANNOT] not this one")]) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        assert result.exit == 1 and result.problems(), result
        assert there(user) == {"Good": [2]} and here(twin) == {"Bad": [1], "Good": [2]}
    twin.set(port=user.server.plain)
    twin.sync()
    assert_settled(user, twin, expected={"Bad": [1], "Good": [2]})


def test_rename_is_refused(user, twin):
    fill(user, "Old", 1, 2)
    fill(user, "INBOX", 3)
    twin.sync()
    rename_folder(twin, "Old", "New")
    deliver(twin, "INBOX", 4)
    with Proxy(("127.0.0.1", user.server.plain),
               refuse=[(rb" RENAME ", b"NO [CANNOT] not here")]) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        assert result.exit == 1 and result.problems(), result
        assert there(user) == {"Old": [1, 2], "INBOX": [3, 4]}
        assert here(twin)["New"] == [1, 2]
    twin.set(port=user.server.plain)
    twin.sync()
    assert_settled(user, twin, expected={"New": [1, 2], "INBOX": [3, 4]})


def test_a_list_that_is_too_short_is_no_deletion(user, twin):
    """The namespace is away for a moment: LIST lacks folders, but SELECT still opens them."""
    for number, name in enumerate(["A", "B", "C"]):
        fill(user, name, number)
    twin.sync()
    with Proxy(("127.0.0.1", user.server.plain),
               drop_lines=[rb"^\* (LIST|STATUS) .*\b[ABC]\b"]) as proxy:
        twin.set(port=proxy.port)
        result = twin.run("sync", "--json")
        assert result.exit == 1 and len(result.problems("folder")) == 3, result
        assert here(twin) == there(user) == {"A": [0], "B": [1], "C": [2]}
    twin.set(port=user.server.plain)
    assert_settled(user, twin, expected={"A": [0], "B": [1], "C": [2]})
