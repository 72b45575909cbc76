"""Private instances of real servers other than Dovecot: Cyrus, Courier and GNU Mailutils, each an
ordinary process on a free loopback port, its files in one temporary directory. They are not
installed but unpacked: unpack.py.

Each user has a proxy of its own that keeps the commands, as none of these servers has a log that
tests could read.
"""
import contextlib
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import threading
import time

import pytest

from dovecot import CHANGES, Traits, free_ports
from imapclient import Client
from proxy import Proxy
from unpack import STORE

PASSWORD = "secret"
TRIPLET = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
MUTATING = re.compile(rf"^\S+ (?:UID )?(?:{CHANGES})\b", re.I)

# Makes servers quick: what is stored need not outlast the test; answers are sent as they are written
# (else each waits 40 ms for the acknowledgement of its first part); and Courier's libgamin tries for a
# second to find its daemon, in every session.
PRELOAD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
void sync(void) { }
int FAMOpen(void *fam) { (void)fam; return -1; }
int accept(int fd, struct sockaddr *address, socklen_t *len)
{
    int (*real)(int, struct sockaddr *, socklen_t *) = dlsym(RTLD_NEXT, "accept"), on = 1;
    int got = real(fd, address, len);
    if (got >= 0)
        setsockopt(got, SOL_TCP, TCP_NODELAY, &on, sizeof(on));
    return got;
}
"""


class Missing(Exception):
    """The server cannot be run here; the text says why."""


class NamedClient(Client):
    """Takes and gives names as mailtwin writes them, whatever the server's separator and prefix;
    does in small steps what the server has no command for."""
    server = None

    def native(self, name):
        if self.server.separator != "/":
            name = name.replace("/", self.server.separator)
        return name if name == "INBOX" else self.server.prefix + name

    def select(self, mailbox="INBOX", readonly=False):
        return super().select(self.native(mailbox), readonly)

    def status(self, mailbox, item):
        return super().status(self.native(mailbox), item)

    def append(self, data, mailbox="INBOX", flags=(), date=None):
        uid = super().append(data, self.native(mailbox), flags, date)
        if flags and not self.server.append_flags:
            self.select(mailbox)
            self.store(self.uids()[-1], "+FLAGS", flags)
        return uid

    def append_many(self, messages, mailbox="INBOX"):
        for data, flags, date in messages:
            self.append(data, mailbox, flags, date)

    def expunge(self, uids, mailbox=None):
        if self.server.uidplus:
            return super().expunge(uids, mailbox)
        self.store(uids, "+FLAGS", ["\\Deleted"], mailbox)
        self._check(self.imap.expunge())

    def copy(self, uids, target, mailbox=None):
        super().copy(uids, self.native(target), mailbox)

    def move(self, uids, target, mailbox=None):
        if self.server.move:
            return super().move(uids, self.native(target), mailbox)
        self.copy(uids, target, mailbox)
        self.expunge(uids)

    def create(self, mailbox):
        super().create(self.native(mailbox))

    def rename(self, old, new):
        super().rename(self.native(old), self.native(new))

    def delete(self, mailbox):
        super().select("INBOX")
        self._check(self.imap.delete(self.quoted(mailbox)))

    def quoted(self, mailbox):
        return '"' + self.native(mailbox) + '"'

    def list(self, everything=False):
        return [self.plain(name) for name in super().list(everything)]

    def plain(self, name):
        name = name.removeprefix(self.server.prefix)
        if self.server.separator != "/":
            name = name.replace(self.server.separator, "/")
        return name


class User:
    """An account of a server, with the same interface as that of dovecot.py."""

    def __init__(self, server, name):
        self.server, self.name, self.password = server, name, PASSWORD
        self.proxy = Proxy(("127.0.0.1", server.plain)).__enter__()
        self.port = self.proxy.port

    def client(self):
        kind = type("NamedClient", (NamedClient,), {"server": self.server})
        return kind("127.0.0.1", self.server.plain, self.name, self.password)

    def commands(self):
        return [line for connection in self.proxy.connections for line in connection.commands]

    def mutating(self):
        return [line for line in self.commands() if MUTATING.match(line)]

    def forget_log(self):
        self.proxy.connections.clear()

    def close(self):
        self.proxy.__exit__()


class Server(Traits):
    """What the servers have in common; what differs is said in the members."""
    domain = ""

    def __init__(self):
        self.root = os.path.join(STORE, self.name)
        self.preload = None
        if not os.path.isdir(self.root):
            raise Missing(f"{self.title} is not unpacked; tests/e2e/unpack.py {self.name}")
        self._identity()
        self._check_programs()
        self.directory = tempfile.mkdtemp(prefix=f"mt-{self.name}-")
        os.chown(self.directory, self.uid, self.gid)
        os.chmod(self.directory, 0o755)
        self.preload = self._compile(PRELOAD)
        (self.plain,) = free_ports(1)
        self.process = None
        self.users = []
        self._number = itertools.count(1)

    def _identity(self):
        entry = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self.uid, self.gid, self.user = entry.pw_uid, entry.pw_gid, entry.pw_name

    def _check_programs(self):
        """As the user that runs them: a library may be missing, a directory not be readable."""
        for program in self.programs():
            try:
                shown = subprocess.run(["ldd", program], env=self.environment(), text=True,
                                       capture_output=True, **self.person()).stdout
            except OSError as error:
                raise Missing(f"{self.title}: {program} cannot be run: {error}") from error
            missing = re.findall(r"(\S+) => not found", shown)
            if missing or " => " not in shown:
                what = " ".join(missing) if missing else "not readable by " + self.user
                raise Missing(f"{self.title}: {program}: {what}")

    def person(self):
        if os.getuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def path(self, *names):
        return os.path.join(self.root, *names)

    def environment(self):
        places = ["usr/lib/" + TRIPLET, "lib/" + TRIPLET, "usr/lib"]
        return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent",
                "SASL_PATH": self.path("usr/lib", TRIPLET, "sasl2"),
                "LD_LIBRARY_PATH": ":".join(self.path(place) for place in places),
                **({"LD_PRELOAD": self.preload} if self.preload else {})}

    def _compile(self, text):
        source = self.write("preload.c", text)
        target = source.removesuffix(".c") + ".so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", target, source], check=True)
        os.chmod(target, 0o755)
        return target

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o644)
        return path

    def make_directory(self, *names):
        path = os.path.join(self.directory, *names)
        os.makedirs(path, exist_ok=True)
        os.chown(path, self.uid, self.gid)
        return path

    def __enter__(self):
        try:
            self.start()
            self._wait()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def spawn(self, *command):
        self.output = open(os.path.join(self.directory, "output"), "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        cwd=self.directory, env=self.environment(),
                                        **self.person())

    def _wait(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process and self.process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.plain), 1) as sock:
                    sock.settimeout(5)
                    if sock.recv(100).startswith(b"* "):
                        return
            except OSError:
                time.sleep(0.05)
        with open(os.path.join(self.directory, "output"), encoding="utf-8") as file:
            raise RuntimeError(f"{self.title} does not answer: {file.read()}")

    def wait_idle(self, seconds=None):
        """The twin logs out, and these servers do their work before they answer."""

    def close(self):
        for user in self.users:
            user.close()
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.output.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def new_user(self):
        name = f"user{next(self._number)}"
        self.add_user(name)
        user = User(self, name + self.domain)
        self.users.append(user)
        return user


class Cyrus(Server):
    name, title = "cyrus", "Cyrus"
    refuses = {"torture": 27}  # no or no valid header 21, NUL 5, empty 1
    IMAPD = """
configdirectory: {dir}/conf
partition-default: {dir}/mail
defaultpartition: default
cyrus_user: {user}
servername: localhost
admins: admin
allowplaintext: yes
munge8bit: no
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN
sasl_sasldb_path: {dir}/sasldb2
autocreate_quota: 0
"""
    MASTER = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {dir}/imapd.conf -r"
  idled cmd="{bin}/idled -C {dir}/imapd.conf"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {dir}/imapd.conf -U 50" listen="127.0.0.1:{plain}" proto=tcp4 prefork=1
}}
EVENTS {{
  checkpoint cmd="{bin}/ctl_cyrusdb -C {dir}/imapd.conf -c" period=300
}}
"""

    def programs(self):
        return [self.path("usr/lib/cyrus/bin", name) for name in ("master", "imapd")]

    def start(self):
        fields = {"dir": self.directory, "user": self.user, "plain": self.plain,
                  "bin": self.path("usr/lib/cyrus/bin")}
        for names in (("conf",), ("conf", "socket"), ("conf", "db"), ("conf", "proc"), ("mail",)):
            self.make_directory(*names)
        conf = self.write("imapd.conf", self.IMAPD.format(**fields))
        master = self.write("cyrus.conf", self.MASTER.format(**fields))
        self.spawn(self.path("usr/lib/cyrus/bin/master"), "-D", "-C", conf, "-M", master,
                   "-p", os.path.join(self.directory, "pid"))

    def add_user(self, name):
        subprocess.run([self.path("usr/sbin/saslpasswd2"), "-f",
                        os.path.join(self.directory, "sasldb2"), "-c", "-p", "-u", "localhost",
                        name], input=PASSWORD.encode(), check=True, env=self.environment(),
                       capture_output=True, **self.person())


class Courier(Server):
    """Courier's imapd with a small front of our own: the login of Courier needs its authentication
    daemon at fixed places of the system. After the login imapd has the socket to itself, as it has
    behind Courier's own front."""
    name, title = "courier", "Courier"
    separator, prefix = ".", "INBOX."
    move = False

    @staticmethod
    def alters(data):
        """No CR but in line ends, one of those at the end, and no parts within 150 others."""
        end = b"" if data.endswith(b"\n") else b"\r\n"
        data = re.sub(rb"\r(?!\n)", b"", data) + end
        headers = [match.end() for match in re.finditer(
            rb"^Content-Type: multipart/[^\r]*\r\n\r\n", data, re.M)]
        return data[:headers[150]] if len(headers) > 150 else data

    def programs(self):
        return [self.path("usr/bin/imapd")]

    def start(self):
        self.make_directory("home")
        self.output = open(os.path.join(self.directory, "output"), "wb")
        self._stopping = False
        self._children = []
        self._listener = socket.create_server(("127.0.0.1", self.plain))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                return
            threading.Thread(target=self._log_in, args=(connection,), daemon=True).start()

    def _log_in(self, connection):
        with connection, connection.makefile("rb", buffering=0) as lines:
            try:
                connection.sendall(b"* OK [CAPABILITY IMAP4rev1 UIDPLUS NAMESPACE IDLE] ready\r\n")
                while line := lines.readline():
                    tag, command, *rest = line.decode().split()
                    if command.upper() == "LOGIN":
                        return self._serve(connection, tag, rest[0].strip('"'))
                    if command.upper() == "LOGOUT":
                        return connection.sendall(f"* BYE now\r\n{tag} OK done\r\n".encode())
                    if command.upper() == "CAPABILITY":
                        connection.sendall(b"* CAPABILITY IMAP4rev1 UIDPLUS NAMESPACE IDLE\r\n")
                    connection.sendall(f"{tag} OK done\r\n".encode())
            except OSError:
                pass

    def _serve(self, connection, tag, user):
        home = os.path.join(self.directory, "home", user)
        variables = {**self.environment(), "HOME": home, "AUTHENTICATED": user, "AUTHADDR": user,
                     "AUTHFULLNAME": user, "AUTHOPTIONS": "", "IMAPLOGINTAG": tag,
                     "PROTOCOL": "IMAP", "TCPREMOTEIP": "127.0.0.1", "TCPREMOTEPORT": "1",
                     "TCPLOCALPORT": str(self.plain), "TCPLOCALIP": "127.0.0.1"}
        script = 'set -a; . "$1"; exec "$2" Maildir'
        child = subprocess.Popen(
            ["/bin/sh", "-c", script, "imapd", self.path("etc/courier/imapd"),
             self.path("usr/bin/imapd")], stdin=connection, stdout=connection, stderr=self.output,
            cwd=home, env=variables, **self.person())
        self._children.append(child)
        connection.close()
        child.wait()

    def add_user(self, name):
        self.make_directory("home", name)
        for part in ((), ("cur",), ("new",), ("tmp",)):
            self.make_directory("home", name, "Maildir", *part)

    def close(self):
        if hasattr(self, "_listener"):
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for child in self._children:
                if child.poll() is None:
                    child.kill()
            self.output.close()
        super().close()


class Mailutils(Server):
    name, title = "mailutils", "GNU Mailutils"
    domain = "@localhost"
    options = {"auth": "login"}  # it announces more than this instance can do
    keywords = move = uidplus = False
    append_flags = append_dates = False
    unable = {"medium": "it changes three messages in ways that alters() does not know",
              "torture": "what it changes and has no Message-ID is not recognised"}

    @staticmethod
    def alters(data):
        """Without its From_ line; one blank between name and value of a header field."""
        header, empty, body = re.sub(rb"\AFrom [^\n]*\n", b"", data).partition(b"\r\n\r\n")
        return re.sub(rb"^([!-9;-~]+):[ \t]*", rb"\1: ", header, flags=re.M) + empty + body
    CONFIG = """
mode daemon;
foreground yes;
port {plain};
server 127.0.0.1:{plain} {{ }};
pidfile {dir}/pid;
logging {{ syslog no; }};
auth {{
  authorization "virtdomain";
  authentication "generic";
}};
virtdomain {{ passwd-dir {dir}/passwd; }};
mailbox {{
  mailbox-pattern "maildir:{dir}/home/${{user}}/INBOX";
  mailbox-type maildir;
}};
tcp-wrappers {{ enable no; }};
"""

    def programs(self):
        return [self.path("usr/sbin/imap4d")]

    def start(self):
        for name in ("home", "passwd"):
            self.make_directory(name)
        config = self.write("imap4d.conf", self.CONFIG.format(dir=self.directory,
                                                              plain=self.plain))
        self.spawn(self.path("usr/sbin/imap4d"), "--no-config", "--config-file=" + config)

    def add_user(self, name):
        home = self.make_directory("home", name)
        for part in ((), ("cur",), ("new",), ("tmp",)):
            self.make_directory("home", name, "INBOX", *part)
        crypted = subprocess.run(["openssl", "passwd", "-6", PASSWORD], check=True, text=True,
                                 capture_output=True).stdout.strip()
        with open(os.path.join(self.directory, "passwd", "localhost"), "a",
                  encoding="ascii") as file:
            file.write(f"{name}:{crypted}:{self.uid}:{self.gid}::{home}:/bin/sh\n")


class OnDovecot(Traits):
    """The Dovecot of the session, for users with mailboxes of one format."""

    def __init__(self, dovecot, format):
        self.dovecot, self.format = dovecot, format
        self.refuses, self.alters = dovecot.refuses, dovecot.alters
        self.name, self.title = "dovecot-" + format, f"Dovecot ({format})"
        self.plain = dovecot.plain

    def new_user(self):
        return self.dovecot.new_user(format=self.format)


KINDS = {kind.name: kind for kind in (Cyrus, Courier, Mailutils)}
FORMATS = ("maildir", "mdbox")
ALL = [f"dovecot-{format}" for format in FORMATS] + list(KINDS)


@contextlib.contextmanager
def open_server(request):
    """The server of a fixture's parameter, one of ALL; or the test is skipped, with the reason."""
    name = request.param
    if name.startswith("dovecot-"):
        yield OnDovecot(request.getfixturevalue("dovecot"), name.removeprefix("dovecot-"))
        return
    try:
        server = KINDS[name]()
    except Missing as error:
        pytest.skip(str(error))
    with server:
        yield server
