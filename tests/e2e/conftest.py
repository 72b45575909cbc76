"""Fixtures of the end-to-end tests: one private Dovecot a session, fresh users each test."""
import os
import re
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "tools"))

pytest.register_assert_rewrite("mailtwin", "dovecot", "maildirs")

from dovecot import Dovecot  # noqa: E402
import mailtwin  # noqa: E402
from mailtwin import BINARY, TOP, Twin, remove_tools  # noqa: E402


def pytest_sessionstart(session):
    if not os.access(BINARY, os.X_OK) and not session.config.option.collectonly:
        pytest.exit(f"{BINARY} is missing: build it, or set MAILTWIN", returncode=2)
    handle, mailtwin.RULES = tempfile.mkstemp(prefix="mailtwin-rules.")
    os.chmod(mailtwin.RULES, 0o666)
    os.close(handle)


def rules_asked():
    """Rule numbers that the programs of this session were asked for, and all that there are."""
    with open(mailtwin.RULES, encoding="ascii") as file:
        asked = {int(number) for number in re.findall(r" (\d+)=", file.read())}
    with open(os.path.join(TOP, "src", "core", "decide.c"), encoding="utf-8") as file:
        known = {int(number) for number in re.findall(r"\brule\((\d+),", file.read())}
    return asked, known - {0}


def pytest_terminal_summary(terminalreporter):
    """Which rows of docs/sync-rules.md this session reached."""
    asked, known = rules_asked()
    never = sorted(known - asked)
    terminalreporter.write_line(f"rules asked for: {len(known & asked)} of {len(known)}"
                                + (f"; never: {', '.join(map(str, never))}" if never else ""))


def pytest_sessionfinish(session, exitstatus):
    remove_tools()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    if mailtwin.RULES:
        os.unlink(mailtwin.RULES)


@pytest.fixture(scope="session")
def dovecot():
    with Dovecot() as server:
        yield server


@pytest.fixture
def user(dovecot):
    return dovecot.new_user()


@pytest.fixture
def twin(tmp_path, user):
    return Twin(tmp_path / "twin", user)


@pytest.fixture
def make_twin(tmp_path):
    """make_twin(user, name='b', **options): further devices."""
    def make(user, name="other", **options):
        return Twin(tmp_path / name, user, **options)
    return make


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """corpus('small'): the root of an unpacked corpus of real mail, or the test is skipped."""
    places = [os.environ.get("CORPUS", ""), os.path.join(TOP, "tests", "corpus"),
              os.path.join(TOP, "..", "shared", "corpus")]

    def unpack(name):
        for place in places:
            archive = os.path.join(place, name + ".tar.xz")
            if place and os.path.exists(archive):
                target = tmp_path_factory.getbasetemp() / "corpus"
                if not (target / name).exists():
                    import tarfile
                    target.mkdir(exist_ok=True)
                    with tarfile.open(archive) as tar:
                        tar.extractall(target)
                return str(target / name)
        pytest.skip(f"the corpus {name} is not here; CORPUS can name its directory")
    return unpack


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 4 MB; only root can have it."""
    import subprocess
    target = tmp_path / "disk"
    target.mkdir()
    if os.getuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "mailtwin-test", str(target)],
            capture_output=True).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here")
    yield target
    subprocess.run(["umount", str(target)], check=True)
