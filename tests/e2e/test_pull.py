"""What the server has comes to the disk, byte for byte, with flags, keywords and dates."""
import os

import pytest

import mail
from maildirs import Tree
from mailtwin import assert_equal, assert_quiet, canonical, localhost

FOLDERS = ["INBOX", "Archive", "Archive/2024", "Entwürfe", "Lists/C & co", "Trash"]


def fill(user, folders, each):
    with user.client() as client:
        for index, folder in enumerate(folders):
            if folder != "INBOX":
                client.create(folder)
            client.append_many(mail.batch(index * each, each), folder)


@pytest.mark.parametrize("layout", ["nested", "maildir++"])
def test_2000_messages_in_six_folders(user, make_twin, layout):
    fill(user, FOLDERS, 334)
    twin = make_twin(user, layout=layout)
    result = twin.sync()
    assert result.summary["downloaded"] == 6 * 334
    assert result.summary["folders"] == 6
    assert result.summary["messages"] == 6 * 334
    assert_equal(user, twin, dates=True)
    assert twin.tree.temporaries() == []
    assert_quiet(user, twin)


def test_bytes_are_those_of_the_server(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(0, 60))
        wanted = sorted(message.data.replace(b"\r\n", b"\n")
                        for message in client.fetch_all().values())
    twin.sync()
    assert sorted(file.data for file in twin.tree.read()) == wanted


def test_unseen_goes_to_new_the_rest_to_cur_and_modes_are_private(user, twin):
    with user.client() as client:
        client.append(mail.plain(1))
        client.append(mail.plain(2), flags=["\\Seen", "\\Flagged"])
        client.append(mail.plain(3), flags=["todo"])
    twin.sync()
    where = {number: twin.tree.find(mail.token(number)) for number in (1, 2, 3)}
    assert where[1].where == "new" and ":" not in where[1].name
    assert where[2].where == "cur" and where[2].letters == "FS"
    assert where[3].where == "cur" and where[3].keywords == {"todo"}
    for file in where.values():
        assert file.mode == 0o600
        assert f",S={len(file.data)}" in file.name
    for folder in (twin.root, twin.tree.path("INBOX")):
        assert os.stat(folder).st_mode & 0o777 == 0o700


def test_a_second_look_takes_only_what_is_new(user, twin):
    with user.client() as client:
        client.append_many(mail.batch(0, 30))
    twin.sync()
    inodes = {file.inode for file in twin.tree.read()}
    with user.client() as client:
        client.append_many(mail.batch(30, 5))
    assert twin.sync().summary["downloaded"] == 5
    assert inodes <= {file.inode for file in twin.tree.read()}
    assert_equal(user, twin, dates=True)


def test_a_message_of_25_megabytes(user, twin):
    big = mail.plain(1, size=25_000_000)
    with user.client() as client:
        client.append(big, date=mail.FIRST_DATE)
    twin.sync()
    (file,) = twin.tree.read()
    assert file.data == big


@pytest.mark.parametrize("hide", [["QRESYNC"], ["QRESYNC", "CONDSTORE"],
                                  ["QRESYNC", "CONDSTORE", "UIDPLUS", "MOVE", "ESEARCH"],
                                  ["LIST-STATUS", "LIST-EXTENDED", "SPECIAL-USE", "NAMESPACE"]],
                         ids=lambda hide: "no-" + hide[-1])
def test_servers_that_can_less(dovecot, make_twin, hide):
    user = dovecot.new_user(hide=hide)
    fill(user, FOLDERS[:3], 20)
    twin = make_twin(user)
    twin.sync()
    assert_equal(user, twin, dates=True)
    with user.client() as client:
        client.store([2, 3], "FLAGS", ["\\Seen", "todo"], "Archive")
        client.expunge([5, 6], "Archive")
        client.append(mail.plain(999), "Archive")
    twin.sync()
    assert_equal(user, twin, dates=True)
    assert_quiet(user, twin)


@pytest.mark.parametrize("format", ["sdbox", "mdbox", "mbox"])
def test_other_stores(dovecot, make_twin, format):
    user = dovecot.new_user(format=format)
    fill(user, ["INBOX", "Archive"], 20)
    twin = make_twin(user)
    twin.sync()
    assert_equal(user, twin, dates=True)
    assert_quiet(user, twin)


def test_a_personal_namespace_with_a_prefix(dovecot, make_twin):
    user = dovecot.new_user(separator=".", prefix="INBOX.")
    with user.client() as client:
        client.append(mail.plain(1))
        client.create("INBOX.Archive.2024")
        client.append(mail.plain(2), "INBOX.Archive.2024")
    twin = make_twin(user)
    twin.sync()

    def translate(name):
        return name.removeprefix("INBOX.").replace(".", "/")

    assert "Archive/2024" in twin.tree.folders()
    assert_equal(user, twin, translate=translate)
    twin.tree.deliver(mail.plain(3), "Local/fresh")
    twin.sync()
    assert_equal(user, twin, translate=translate)


def test_over_tls_and_with_starttls(user, make_twin):
    fill(user, ["INBOX"], 20)
    for name, options in (("tls", {}), ("starttls", {"tls": "starttls",
                                                     "port": user.server.plain})):
        twin = make_twin(user, name)
        twin.set(host=localhost(), port=user.server.tls, tls="implicit", ca_file=user.server.ca)
        twin.set(**options)
        twin.sync()
        assert_equal(user, twin)


@pytest.mark.parametrize("compress", ["auto", "yes", "no"])
def test_with_and_without_compression(user, make_twin, compress):
    fill(user, ["INBOX"], 50)
    twin = make_twin(user, compress=compress)
    first = twin.run("sync")
    assert first.exit == 0, first
    assert_equal(user, twin, dates=True)


def test_only_the_chosen_folders(user, make_twin):
    fill(user, FOLDERS, 2)
    twin = make_twin(user, folders=["*", "!Archive*"])
    twin.sync()
    assert twin.tree.folders() == sorted({*FOLDERS} - {"Archive", "Archive/2024"})


def test_larger_messages_than_max_size_stay_on_the_server_and_are_named(user, make_twin):
    with user.client() as client:
        client.append(mail.plain(1))
        client.append(mail.plain(2, size=50_000))
    twin = make_twin(user, max_size=10_000)
    result = twin.run("sync", "--json")
    assert result.problems("skipped"), result
    assert [mail.token(1) in file.data for file in twin.tree.read()] == [True]


@pytest.mark.parametrize("name", ["small", "torture"])
def test_real_mail(user, make_twin, corpus, name):
    source = Tree(corpus(name), "maildir++")
    sent = 0
    with user.client() as client:
        for folder, files in source.everything().items():
            if folder != "INBOX":
                client.create(folder)
            for file in files:
                if canonical(file.data):  # the server refuses an empty message
                    client.append(file.data, folder, flags=sorted(file.flags), date=file.mtime)
                    sent += 1
    assert sent > 200
    twin = make_twin(user)
    assert twin.sync().summary["downloaded"] == sent
    assert_equal(user, twin, dates=True)
    assert_quiet(user, twin)
