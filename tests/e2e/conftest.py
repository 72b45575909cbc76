"""Fixtures of the end-to-end tests: one private Dovecot a session, fresh users each test."""
import glob
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "tools"))

pytest.register_assert_rewrite("acts", "mailtwin", "dovecot", "maildirs")

from dovecot import Dovecot  # noqa: E402
from mailtwin import BINARY, REACHED, TOP, Twin, assert_silent, remove_tools  # noqa: E402


def pytest_sessionstart(session):
    if not os.access(BINARY, os.X_OK) and not session.config.option.collectonly:
        pytest.exit(f"{BINARY} is missing: build it, or set MAILTWIN", returncode=2)


# What the coverage of the rules does without: kills show nothing of what a run decided, and the
# other servers are not everywhere.
APART = "test_corpus", "test_crash", "test_harness", "test_memory", "test_servers"
LEFT_OUT = set()  # files of which this session runs a part, or nothing


def file_of(item):
    return os.path.basename(item.path)


def leave_out(files):
    LEFT_OUT.update(file for file in files if not file.startswith(APART))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What all tests have shown is looked at last."""
    items.sort(key=lambda item: file_of(item) == "test_rules.py")
    here = os.path.dirname(os.path.abspath(__file__))
    leave_out(set(map(os.path.basename, glob.glob(os.path.join(here, "test_*.py"))))
              - set(map(file_of, items)))


def pytest_deselected(items):
    leave_out(map(file_of, items))


# Whatever a case of the sync rules was about, the run after its last writes nothing.
RULES = {"test_delete_guard.py", "test_devices.py", "test_edits.py", "test_flags.py",
         "test_folders.py", "test_keywords.py", "test_modes.py", "test_moves.py", "test_repair.py"}
MADE = []  # twins of this test


def pytest_configure(config):
    config.addinivalue_line("markers", "restless(why): the run after the last one tries something again")


def pytest_runtest_setup():
    MADE.clear()


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    outcome = yield
    outcome.get_result()
    if file_of(pyfuncitem) not in RULES or pyfuncitem.get_closest_marker("restless"):
        return
    for twin in MADE:
        if not twin.silent:
            assert_silent(twin.user, twin, exit=None)


@pytest.fixture
def whole_suite():
    """Skips what only the whole suite can show."""
    if LEFT_OUT:
        pytest.skip("only a part of the tests ran: not all of " + ", ".join(sorted(LEFT_OUT)))


def pytest_terminal_summary(terminalreporter):
    from test_rules import counted, in_order
    never = in_order(counted() - set(REACHED))
    terminalreporter.write_line(f"rules reached: {len(counted()) - len(never)} of {len(counted())}"
                                + ("; never: " if never else "") + ", ".join(never))


def pytest_sessionfinish(session, exitstatus):
    remove_tools()


@pytest.fixture(scope="session")
def dovecot():
    with Dovecot() as server:
        yield server


@pytest.fixture
def user(dovecot):
    return dovecot.new_user()


@pytest.fixture
def twin(make_twin, user):
    return make_twin(user, "twin")


@pytest.fixture
def make_twin(tmp_path):
    """make_twin(user, name='b', **options): further devices."""
    def make(user, name="other", **options):
        MADE.append(Twin(tmp_path / name, user, **options))
        return MADE[-1]
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
