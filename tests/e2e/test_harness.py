"""The harness itself: what the other tests rely on is seen to work, without mailtwin."""
import errno
import imaplib
import os
import signal
import subprocess

import pytest

from imapclient import Client, decode_name, encode_name
from maildirs import Tree
from mailtwin import localhost, tool
from proxy import Proxy


@pytest.mark.parametrize("format", ["maildir", "sdbox", "mdbox", "mbox"])
def test_server_keeps_a_message_in_every_format(dovecot, format):
    with dovecot.new_user(format=format).client() as client:
        uid = client.append(b"Subject: a\n\nbody\n", flags=["\\Seen", "$Foo"], date=1000000000)
        (message,) = client.fetch_all().values()
        assert (message.uid, message.date) == (uid, 1000000000)
        assert message.flags == {"\\Seen", "$Foo"}
        assert message.data == b"Subject: a\r\n\r\nbody\r\n"


def test_server_log_counts_changes(user):
    with user.client() as client:
        client.append(b"Subject: STORE\n\nx STORE y\n")
        client.select()
        user.forget_log()
        client.fetch_all()
    user.server.wait_idle()
    assert user.mutating() == []
    with user.client() as client:
        client.store(1, "+FLAGS", ["\\Seen"], "INBOX")
    user.server.wait_idle()
    assert len(user.mutating()) == 1


def test_server_hides_separates_and_limits(dovecot):
    with dovecot.new_user(hide=["MOVE", "QRESYNC"]).client() as client:
        listed = client.imap.capability()[1][-1]
        assert b"UIDPLUS" in listed and b" MOVE" not in listed and b"QRESYNC" not in listed
    with dovecot.new_user(separator=".", prefix="INBOX.").client() as client:
        client.create("INBOX.a.b")
        assert "INBOX.a.b" in client.list()
    with dovecot.new_user(quota="20K").client() as client:
        with pytest.raises(imaplib.IMAP4.error, match="OVERQUOTA"):
            client.append(b"Subject: a\n\n" + b"words\n" * 10000)


@pytest.mark.parametrize("name", ["Entwürfe", "a&b", "日本語/x", "Çöp Kutusu", "😀"])
def test_names_survive_modified_utf7(user, name):
    assert decode_name(encode_name(name)) == name
    with user.client() as client:
        client.create(name)
        assert name in client.list()


def test_maildir_of_the_server_reads_like_its_mailbox(user):
    with user.client() as client:
        client.append(b"Subject: a\n\nbody\n", flags=["\\Seen", "$Foo"], date=1000000000)
        client.fetch_all()
        client.create("Sub/folder")
    (file,) = Tree(os.path.join(user.home, "Maildir"), "maildir++").read()
    assert file.flags | file.keywords == {"\\Seen", "$Foo"}
    assert file.mtime == 1000000000


# Effects: mkdir, open b, open c (of a child), rename, unlink, unlink, rmdir.
SCRIPT = "mkdir a; echo x > a/b; (echo y > a/c) & wait; mv a/b a/d; rm a/c; rm a/d; rmdir a; exit 7"


@pytest.mark.parametrize("number, code, left", [
    (0, 7, None), (1, 137, None), (2, 137, ""), (3, 137, "b"), (4, 137, "b c"), (5, 137, "c d"),
    (6, 137, "d"), (7, 137, ""), (8, 7, None)])
def test_crashat_kills_before_the_effect(tmp_path, number, code, left):
    done = subprocess.run([tool("crashat"), str(number), "sh", "-c", SCRIPT], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr == ("crashat: 7\n" if number == 0 else "")
    folder = tmp_path / "a"
    assert (sorted(os.listdir(folder)) if folder.exists() else None) == (
        None if left is None else left.split())


def test_crashat_keeps_signals():
    done = subprocess.run([tool("crashat"), "0", "sh", "-c", "kill -TERM $$"], capture_output=True)
    assert done.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("mode", ["-s", "-l"])
def test_crashat_holds_before_the_effect(tmp_path, mode):
    """The fourth of the script: b and c are there, and nothing more happens."""
    run = subprocess.Popen([tool("crashat"), mode, "4", "sh", "-c", SCRIPT], cwd=tmp_path)
    _, status = os.waitpid(run.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    found = sorted(os.listdir(tmp_path / "a"))
    os.kill(run.pid, signal.SIGCONT)
    assert (found, run.wait(60)) == (["b", "c"], 7)


def test_crashat_lets_one_effect_fail(tmp_path):
    done = subprocess.run([tool("crashat"), "-e", str(errno.ENOSPC), "1", "mkdir", "a"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert "No space left" in done.stderr and done.returncode == 1
    assert not (tmp_path / "a").exists()


def test_later_moves_the_clock():
    env = dict(os.environ, LD_PRELOAD=tool("later.so"), LATER="100000")
    moved = int(subprocess.run(["date", "+%s"], env=env, capture_output=True, text=True).stdout)
    now = int(subprocess.run(["date", "+%s"], capture_output=True, text=True).stdout)
    assert 99_990 < moved - now < 100_010


def open_through(proxy, user):
    return Client("127.0.0.1", proxy.port, user.name, user.password)


def test_proxy_hides_adds_and_replaces(user):
    target = ("127.0.0.1", user.server.plain)
    with Proxy(target, hide=["MOVE"], add=["XTRA"],
               replace=[(rb"UIDVALIDITY \d+", b"UIDVALIDITY 77")]) as proxy:
        with open_through(proxy, user) as client:
            listed = client.imap.capability()[1][-1]
            assert b"XTRA" in listed and b" MOVE" not in listed
            assert client.uidvalidity("INBOX") == 77
    assert "STATUS" in " ".join(proxy.commands())


def test_proxy_drops_the_reply_of_an_append_that_was_done(user):
    with Proxy(("127.0.0.1", user.server.plain), drop_reply=rb"^\S+ OK \[APPENDUID",
               times=1) as proxy:
        client = open_through(proxy, user)
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            client.append(b"Subject: a\n\nx\n")
        assert proxy.faults() == ["drop_reply"]
        with open_through(proxy, user) as client:
            client.append(b"Subject: b\n\nx\n")
            assert len(client.fetch_all()) == 2


def test_proxy_cuts_inside_a_literal(user):
    with Proxy(("127.0.0.1", user.server.plain), cut_client=5000) as proxy:
        client = open_through(proxy, user)
        with pytest.raises((imaplib.IMAP4.error, OSError)):
            client.append(b"Subject: a\n\n" + b"words\n" * 10000)
            client.imap.noop()
        assert proxy.faults() == ["cut_client"]
    with user.client() as client:
        assert client.fetch_all() == {}


@pytest.mark.parametrize("literal", ["{%d}", "{%d+}"])
def test_proxy_refuses_a_command_with_its_literal(user, literal):
    with Proxy(("127.0.0.1", user.server.plain), refuse=[(rb" APPEND", b"OK not done")]) as proxy:
        with open_through(proxy, user) as client:
            client.imap.send(b"A1 APPEND INBOX " + (literal % 14).encode() + b"\r\n")
            if "+" not in literal:
                assert client.imap.readline().startswith(b"+")
            client.imap.send(b"Subject: a\r\n\r\n\r\n")
            assert client.imap.readline() == b"A1 OK not done\r\n"
            assert client.fetch_all() == {}


def test_proxy_speaks_tls_on_both_sides(user):
    server = user.server
    certificate = (server.certs.path("good.pem"), server.certs.path("good.key"))
    with Proxy((localhost(), server.tls), tls_target=server.ca, certificate=certificate,
               delay=0.02) as proxy:
        with Client(localhost(), proxy.port, user.name, user.password, ca=server.ca) as client:
            client.append(b"Subject: a\n\nx\n")
            assert len(client.fetch_all()) == 1
        assert proxy.connections[0].turns >= 4
