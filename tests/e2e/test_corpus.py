"""Real mail through a full circle on every server: uploaded from one Maildir, pulled into another.
It comes back with the bytes it had, but for what that server is known to do to mail (servers.py);
what a server refuses is named, counted, and stays here.

Medium goes to Cyrus and Courier only with CORPORA=all: that is minutes."""
import collections
import hashlib
import os
import shutil

import pytest

from acts import assert_silent
from maildirs import Tree
from test_servers import server, user  # noqa: F401: fixtures

EVERYTHING = os.environ.get("CORPORA") == "all"


def local_form(data):
    """Of what comes from the wire."""
    return data.replace(b"\r\n", b"\n")


def wire_form(data):
    """Of a file: every line end is CR LF."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def contents(tree, form, letters):
    """Of each message a hash of all, its beginning, and its flags; small enough to be shown."""
    found = collections.Counter()
    for folder, files in tree.everything().items():
        for file in files:
            data = form(file.data)
            found[folder, hashlib.sha256(data).hexdigest(), data[:60],
                  "".join(c for c in file.letters if c in letters)] += 1
    return found


def check_refused(server, name, result, tree):
    """Those that are named are as many as this server is known to refuse. Returns their base
    names."""
    told = " ".join(problem["message"] for problem in result.problems("refused"))
    refused = [file.base for files in tree.everything().values() for file in files
               if file.base in told]
    assert len(refused) == server.refuses.get(name, 0), result
    assert result.summary["refused"] == len(refused)
    assert result.exit == (1 if refused else 0), result
    return refused


def drop(tree, bases):
    for files in tree.everything().values():
        for file in files:
            if file.base in bases:
                os.unlink(file.path)


@pytest.mark.parametrize("name", ["small", "medium", "torture"])
def test_the_circle(server, user, make_twin, corpus, tmp_path, name):
    if name in server.unable:
        pytest.skip(f"{server.title}: {server.unable[name]}")
    if name == "medium" and not EVERYTHING and not server.name.startswith("dovecot"):
        pytest.skip("only with CORPORA=all")
    one, two = make_twin(user, "one", layout="maildir++"), make_twin(user, "two")
    shutil.copytree(corpus(name), one.root)
    count = sum(map(len, one.tree.everything().values()))
    result = one.run("sync", "--json", timeout=500)
    refused = check_refused(server, name, result, one.tree)
    assert result.summary["uploaded"] == count - len(refused)
    assert_silent(user, one, exit=result.exit)
    assert two.sync(timeout=500).summary["downloaded"] == count - len(refused)
    assert_silent(user, two)

    source = Tree(str(tmp_path / "source"), "maildir++")
    shutil.copytree(corpus(name), source.root)
    drop(source, refused)
    letters = "DFPRST" if server.keywords else "DFRST"
    came = contents(two.tree, lambda data: data, letters)
    expected = contents(source, lambda data: local_form(server.alters(wire_form(data))), letters)
    assert [*(expected - came)] == [] and [*(came - expected)] == []
