"""Runs mailtwin in tests: a configuration, a Maildir and a state directory of its own each."""
import collections
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from maildirs import Tree

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
REACHED = collections.Counter()  # rows of docs/sync-rules.md that runs of this session came to
BINARY = os.path.abspath(os.environ.get("MAILTWIN") or os.path.join(TOP, "build", "mailtwin"))
TOOLS = {}

CHANGING = re.compile(
    r"^(?:\d+ +)?(open|openat|openat2|creat|rename|renameat|renameat2|link|linkat|unlink|unlinkat|"
    r"mkdir|mkdirat|rmdir|symlink|symlinkat|mknod|mknodat|chmod|fchmod|fchmodat|chown|fchownat|"
    r"utime|utimes|utimensat|truncate|ftruncate|fallocate|write|pwrite64|writev|pwritev|pwritev2|"
    r"copy_file_range|sendfile|fsync|fdatasync|syncfs|sync)\(")
TRACED = ",".join("open openat openat2 creat rename renameat renameat2 link linkat unlink unlinkat "
                  "mkdir mkdirat rmdir symlink symlinkat mknod mknodat chmod fchmod fchmodat chown "
                  "fchownat utime utimes utimensat truncate ftruncate fallocate write pwrite64 "
                  "writev pwritev pwritev2 copy_file_range sendfile".split())


def tool(name):
    """A helper of tests/tools: where make built it (the environment says), or built here."""
    if name not in TOOLS:
        given = os.environ.get("CRASHAT") if name == "crashat" else None
        if not given:
            folder = tempfile.mkdtemp(prefix="mt-tools-")
            given = os.path.join(folder, name)
            shared = ["-shared", "-fPIC"] if name.endswith(".so") else []
            source = os.path.join(TOP, "tests", "tools", name.removesuffix(".so") + ".c")
            subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", *shared, "-o", given, source],
                           check=True)
        TOOLS[name] = given
    return TOOLS[name]


def remove_tools():
    for path in TOOLS.values():
        if os.path.basename(os.path.dirname(path)).startswith("mt-tools-"):
            shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    TOOLS.clear()


def sanitized():
    """Built with the address sanitizer: memory figures mean nothing, tracing hides leaks."""
    try:
        with open(BINARY, "rb") as file:
            return b"__asan_init" in file.read()
    except OSError:
        return False


def localhost():
    """The name if it is known: bare systems have no /etc/hosts. Certificates have both."""
    try:
        socket.getaddrinfo("localhost", 993)
        return "localhost"
    except OSError:
        return "127.0.0.1"


def whole_calls(lines):
    """strace splits a call that another thread interrupts: put the halves together."""
    begun = {}
    for line in lines:
        pid, _, call = line.rstrip().partition(" ")
        call = call.lstrip()
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)$", call)
        yield begun.pop(pid, "") + resumed.group(1) if resumed else call
    yield from begun.values()


def count_rules(log):
    """Of a run with -v: the line of how often each rule was the answer."""
    for line in re.findall(r"^\S+: rules of docs/sync-rules.md, and how often:(.*)$", log, re.M):
        for rule, count in re.findall(r"(\w+)=(\d+)", line):
            REACHED[rule] += int(count)


def canonical(data):
    """The form of a message that every server keeps: docs/sync-rules.md, content hash."""
    return data.replace(b"\r", b"").replace(b"\0", b"\x80").rstrip(b"\n")


class Result:
    def __init__(self, exit, stdout, stderr, peak=None):
        self.exit, self.stdout, self.stderr, self.peak = exit, stdout, stderr, peak

    @property
    def events(self):
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    @property
    def summary(self):
        found = [event for event in self.events if event["event"] == "summary"]
        assert len(found) == 1, self
        return found[0]

    def problems(self, kind=None):
        return [event for event in self.events
                if event["event"] == "problem" and kind in (None, event["kind"])]

    def error_lines(self):
        return [line for line in self.stderr.splitlines() if line.strip()]

    def __repr__(self):
        return f"exit {self.exit}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Twin:
    """One device: the twin of a user's account. Further options of the configuration are keyword
    arguments, with _ for - (password_command='...', expunge='yes', folders=['*', '!Spam'])."""

    def __init__(self, directory, user, tls=False, layout="nested", account="test", **options):
        self.silent = True  # no run since one that wrote nothing
        self.directory, self.user, self.account = str(directory), user, account
        os.makedirs(self.directory, exist_ok=True)
        self.root = os.path.join(self.directory, "Mail")
        self.state = os.path.join(self.directory, "state", "mailtwin", account)
        self.config = os.path.join(self.directory, "mailtwin.conf")
        self.layout = layout
        self.tree = Tree(self.root, layout)
        server = user.server
        self.options = {"user": user.name, "password": user.password, "maildir": self.root,
                        "layout": layout, "timeout": 20,
                        "compress": "no"}  # the server's log of commands would be unreadable
        if tls:
            self.options.update(host=localhost(), port=server.tls, tls="implicit",
                                ca_file=server.ca)
        else:
            self.options.update(host="127.0.0.1", port=user.port, tls="none")
        self.options.update(server.options)
        self.options.update(options)
        self.write_config()

    @staticmethod
    def _value(value):
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int):
            return str(value)
        if isinstance(value, (list, tuple)):
            return "{ " + ", ".join(Twin._value(item) for item in value) + " }"
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def set(self, **options):
        self.options.update(options)
        self.write_config()

    def write_config(self, text=None):
        if text is None:
            lines = [f"account {self.account} {{"]
            for key, value in self.options.items():
                if value is not None:
                    bare = key in ("expunge", "delete_folders", "allow_plaintext")
                    shown = value if bare and isinstance(value, str) else self._value(value)
                    lines.append(f"    {key.replace('_', '-')} = {shown}")
            text = "\n".join(lines + ["}"]) + "\n"
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.config, 0o600)

    def environment(self, extra=None, traced=False):
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(("LC_", "XDG_", "MAILTWIN")) and key not in ("LANG", "HOME")}
        env.update(HOME=self.directory, XDG_STATE_HOME=os.path.join(self.directory, "state"),
                   XDG_CONFIG_HOME=os.path.join(self.directory, "config"))
        env["LSAN_OPTIONS"] = f"suppressions={HERE}/leaks.supp:print_suppressions=0"
        if traced:  # the leak sanitizer cannot work under another tracer
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        env.update(extra or {})
        return env

    def command(self, *args):
        return [BINARY, "-c", self.config, *args]

    def run(self, *args, before=(), env=None, timeout=120, later=None, traced=False):
        """before: words in front of the command, such as strace and its options. later: seconds
        that the wall clock is ahead. A sync for a program is told to explain itself too: the log
        says which rules it came to, and why a test failed."""
        extra = dict(env or {})
        if args[:1] == ("sync",) and "--json" in args and not traced:
            args += ("-v",)
        if later:
            extra.update(LATER=str(later), LD_PRELOAD=tool("later.so"))
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen([*before, *self.command(*args)], stdout=out, stderr=err,
                                       stdin=subprocess.DEVNULL, start_new_session=True,
                                       env=self.environment(extra, traced))
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            out.seek(0)
            err.seek(0)
            result = Result(process.returncode, out.read().decode("utf-8", "replace"),
                            err.read().decode("utf-8", "replace"))
        assert "Sanitizer" not in result.stderr, result
        self.silent = result.exit >= 64  # refused, or cut short
        count_rules(result.stderr)
        return result

    def start(self, *args, env=None):
        """A run in the background: the Popen, with pipes."""
        return subprocess.Popen(self.command(*args), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                                env=self.environment(env))

    def sync(self, *args, expect=0, **more):
        """sync --json; the exit status must be the expected one."""
        result = self.run("sync", "--json", *args, **more)
        assert result.exit == expect, result
        return result

    def measured_sync(self, *args):
        """sync --json; peak in the result is the peak resident memory in KiB."""
        report = os.path.join(self.directory, "peak")
        result = self.run("sync", "--json", *args, before=[tool("peak"), report])
        with open(report, encoding="ascii") as file:
            result.peak = int(file.read())
        return result

    def crash(self, number, *args):
        """A sync that is killed at its number-th effect. exit is 137 if it came so far."""
        return self.run("sync", *args, before=[tool("crashat"), str(number)], traced=True)

    def hold(self, number, act, *args, mode="-s"):
        """A sync that is held at its number-th effect while act happens; act is not called if it
        does not come so far. Mode -l: at its number-th effect or look. Returns the exit status."""
        process = subprocess.Popen([tool("crashat"), mode, str(number), *self.command("sync", *args)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL, start_new_session=True,
                                   env=self.environment(traced=True))
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                process.returncode = os.waitstatus_to_exitcode(status)
                return process.returncode
            act()
            os.kill(process.pid, signal.SIGCONT)
            return process.wait(60)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()

    def count_effects(self, *args, mode=()):
        result = self.run("sync", *args, before=[tool("crashat"), *mode, "0"], traced=True)
        return int(re.search(r"^crashat: (\d+)$", result.stderr, re.M).group(1))

    def fail(self, number, error):
        """A sync --json whose number-th effect on a file fails with that errno, once."""
        return self.run("sync", "--json", traced=True,
                        before=[tool("crashat"), "-e", str(error), str(number)])

    def traced_sync(self, *args):
        """sync --json under strace: (result, lines of calls that change files outside the state
        directory)."""
        report = os.path.join(self.directory, "strace")
        result = self.run("sync", "--json", *args, traced=True,
                          before=["strace", "-f", "-qq", "-y", "-s", "0", "-e",
                                  "trace=" + TRACED, "-o", report])
        with open(report, encoding="utf-8", errors="replace") as file:
            lines = [line for line in whole_calls(file) if self._changes(line)]
        os.unlink(report)
        return result, lines

    def _changes(self, line):
        match = CHANGING.match(line)
        if not match or re.search(r" = -1 [A-Z]+ ", line):
            return False
        call = match.group(1)
        if os.path.join(self.directory, "state") in line:
            return False
        if call in ("open", "openat", "openat2"):
            return bool(re.search(r"O_CREAT|O_TRUNC", line))
        if re.search(r"\(\d+<(?:pipe|socket|TCP|UNIX|anon_inode|/dev/)", line):
            return False
        if call in ("write", "writev") and re.search(r"\([12]<", line):
            return False
        return True

    def forget_state(self):
        shutil.rmtree(self.state)


def server_view(user, dates=False):
    """{folder: Counter of messages}, names with / and without the personal namespace's prefix."""
    with user.client() as client:
        return {name: _count(((canonical(message.data), message.flags, message.date)
                              for message in messages.values()), dates)
                for name, messages in client.everything().items()}


def local_view(tree, dates=False):
    return {folder: _count(((canonical(file.data), file.flags | file.keywords, file.mtime)
                            for file in files), dates)
            for folder, files in tree.everything().items()}


def _count(messages, dates):
    return collections.Counter(
        (hashlib.sha256(data).hexdigest()[:16], data[:60], frozenset(flags), date if dates else 0)
        for data, flags, date in messages)


def difference(user, twin, dates=False, translate=lambda name: name):
    """What differs between server and Maildir, as lines; empty when they are equal."""
    remote = {translate(name): messages
              for name, messages in server_view(user, dates).items()}
    local = local_view(twin.tree, dates)
    lines = [f"only on the server: {name}" for name in sorted(remote.keys() - local.keys())]
    lines += [f"only on disk: {name}" for name in sorted(local.keys() - remote.keys())]
    for name in sorted(remote.keys() & local.keys()):
        for item, count in (remote[name] - local[name]).items():
            lines.append(f"{name}: {count} more on the server: {item[1]!r} {sorted(item[2])} {item[3]}")
        for item, count in (local[name] - remote[name]).items():
            lines.append(f"{name}: {count} more on disk: {item[1]!r} {sorted(item[2])} {item[3]}")
    return lines


def assert_equal(user, twin, **more):
    lines = difference(user, twin, **more)
    assert not lines, "\n" + "\n".join(lines[:40])


def assert_silent(user, *twins, exit=0):
    """A further run writes nothing on either side, whatever it has to report. What a run must do
    again and again (a message that is held) is not written either. exit: None for any."""
    for twin in twins:
        user.server.wait_idle()
        user.forget_log()
        result, files = twin.traced_sync()
        user.server.wait_idle()
        assert exit in (None, result.exit), result
        assert user.mutating() == [], result
        assert files == [], result
        twin.silent = True


def assert_quiet(user, twin):
    """One more run changes nothing, on neither side."""
    assert_silent(user, twin)
