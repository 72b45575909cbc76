"""A private Dovecot for tests: an ordinary process on free loopback ports, its files in one
temporary directory. Works as root (mail is then handled as nobody) and as an ordinary user.

One instance serves all tests of a session. Each test makes users of its own, and what differs
between tests (mailbox format, separator, prefix, quota) is set for the user, so that no restart
is needed. Capabilities cannot be set so: a user with some hidden is put on a further instance.
"""
import glob
import grp
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from certs import Certs
from imapclient import Client

PASSWORD = "secret word'\"$"

CAPABILITY = ("IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES "
              "THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT "
              "CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH "
              "ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY "
              "PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE "
              "COMPRESS=DEFLATE QUOTA")

# A line of the raw log that starts a command; tags have digits, which the words of the tests'
# message bodies do not.
START = r"^\d+\.\d+ \S*\d\S* "
CHANGES = ("STORE|APPEND|COPY|MOVE|EXPUNGE|CREATE|DELETE|RENAME|CLOSE|SUBSCRIBE|UNSUBSCRIBE|"
           "SETMETADATA|REPLACE")
MUTATING = re.compile(START + f"(?:UID )?(?:{CHANGES})\\b", re.I)
COMMAND = re.compile(START + f"((?:(?:UID )?(?:{CHANGES}|FETCH|SEARCH)|CAPABILITY|NOOP|CHECK|"
                     "ENABLE|SELECT|EXAMINE|LIST|LSUB|NAMESPACE|STATUS|IDLE|UNSELECT|ID|COMPRESS|"
                     "GETMETADATA|GETQUOTA|GETQUOTAROOT|NOTIFY|LOGOUT)\\b[^\\r\\n]*)", re.I)

CONFIG = """
base_dir = {run}
state_dir = {run}
log_path = {dir}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
auth_cache_size = 0
ssl = yes
ssl_cert = <{certs}/good.pem
ssl_key = <{certs}/good.key
ssl_dh =
local 127.0.0.2 {{
  ssl_cert = <{certs}/expired.pem
  ssl_key = <{certs}/expired.key
}}
local 127.0.0.3 {{
  ssl_cert = <{certs}/wrong.pem
  ssl_key = <{certs}/wrong.key
}}
local 127.0.0.4 {{
  ssl_cert = <{certs}/untrusted.pem
  ssl_key = <{certs}/untrusted.key
}}
mail_fsync = never
mail_plugins = zlib quota
mail_max_keyword_length = 100
mail_always_cache_fields = hdr.message-id hdr.date imap.envelope
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_grace = 0
}}
protocol imap {{
  mail_plugins = zlib quota imap_zlib imap_quota
  mail_max_userip_connections = 200
  rawlog_dir = %h/rawlog
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/users/%u
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {dir}/users/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  prefix =
  mailbox Trash {{
    special_use = \\Trash
  }}
  mailbox Junk {{
    special_use = \\Junk
  }}
  mailbox Drafts {{
    special_use = \\Drafts
  }}
  mailbox Sent {{
    special_use = \\Sent
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  user = {owner}
  unix_listener auth-userdb {{
    mode = 0666
  }}
}}
service auth-worker {{
  user = {owner}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    address = 127.0.0.1
    port = {plain}
  }}
  inet_listener imaps {{
    address = 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4
    port = {tls}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 400
  client_limit = 1
}}
{extra}
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


class Traits:
    """What a server can and does; tests/e2e/servers.py has others."""
    name, title = "dovecot", "Dovecot"
    separator, prefix = "/", ""
    keywords = move = uidplus = True
    append_flags = append_dates = True
    options = {}  # of mailtwin's configuration
    refuses = {}  # messages of a corpus: how many
    unable = {}  # corpora that are not tried: why

    @staticmethod
    def alters(data):
        """What the server makes of a message, both as on the wire."""
        return data


class User:
    """An account of the server."""

    def __init__(self, server, name, home):
        self.server = server
        self.name = name
        self.password = PASSWORD
        self.home = home
        self.port = server.plain

    def client(self):
        return Client("127.0.0.1", self.server.plain, self.name, self.password)

    def _log(self, suffix):
        for path in sorted(glob.glob(os.path.join(self.home, "rawlog", "*" + suffix))):
            with open(path, encoding="utf-8", errors="replace") as file:
                yield from file

    def forget_log(self):
        for path in glob.glob(os.path.join(self.home, "rawlog", "*")):
            os.unlink(path)

    def commands(self):
        """All commands since forget_log, of all connections, without tags."""
        found = (COMMAND.match(line) for line in self._log(".in"))
        return [match.group(1) for match in found if match]

    def mutating(self):
        assert not any("COMPRESS" in line for line in self.commands()), "the log is unreadable"
        return [line.strip() for line in self._log(".in") if MUTATING.match(line)]

    def doveadm(self, *args):
        return self.server.doveadm(*args[:1], "-u", self.name, *args[1:])

    def new_uidvalidity(self, mailbox="INBOX"):
        """What a server does that lost its index: other UIDVALIDITY, same mail."""
        folder = os.path.join(self.home, "Maildir")
        if mailbox != "INBOX":
            folder = os.path.join(folder, "." + mailbox.replace("/", "."))
        for path in glob.glob(os.path.join(folder, "dovecot*")):
            if not path.endswith("dovecot-keywords"):
                os.unlink(path)


class Dovecot(Traits):
    refuses = {"torture": 1}  # the empty one

    @staticmethod
    def alters(data):
        return re.sub(rb"\r\r\n|\r\Z", lambda match: match.group(0)[1:],
                      data.replace(b"\0", b"\x80"))

    def __init__(self, directory=None, extra="", hide=()):
        self._own = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="mt-dove-")
        self.hide = frozenset(item.upper() for item in hide)
        self._plain_extra = extra
        self.extra = extra + self._capability()
        self._siblings = {}
        self.process = None
        self._number = itertools.count(1)
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o755)
        self.certs = Certs(os.path.join(self.directory, "certs"))
        self.ca = self.certs.ca
        self._identity()
        self.home = os.path.join(self.directory, "home")
        os.makedirs(self.home, exist_ok=True)
        os.chown(self.home, self.uid, self.gid)
        self.plain, self.tls = free_ports(2)
        os.makedirs(os.path.join(self.directory, "users"))

    def _capability(self):
        if not self.hide:
            return ""
        kept = [item for item in CAPABILITY.split() if item not in self.hide]
        return "\nimap_capability = " + " ".join(kept) + "\n"

    def _identity(self):
        if os.getuid() == 0:
            entry = pwd.getpwnam("nobody")
            self.owner = "root"
        else:
            entry = pwd.getpwuid(os.getuid())
            self.owner = entry.pw_name
        self.uid, self.gid, self.user = entry.pw_uid, entry.pw_gid, entry.pw_name
        self.group = grp.getgrgid(self.gid).gr_name

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def start(self):
        run = os.path.join(self.directory, "run")
        os.makedirs(run, exist_ok=True)
        config = os.path.join(self.directory, "dovecot.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(dir=self.directory, run=run, user=self.user, group=self.group,
                                     owner=self.owner, certs=self.certs.directory,
                                     plain=self.plain, tls=self.tls, extra=self.extra))
        program = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if program is None:
            raise RuntimeError("dovecot not found; on Debian: apt-get install dovecot-imapd")
        self.process = subprocess.Popen([program, "-F", "-c", config], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        start_new_session=True)
        self._wait()
        return self

    def _wait(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError("dovecot: " + self.process.stderr.read().decode() + self.log())
            try:
                with socket.create_connection(("127.0.0.1", self.plain), 1) as sock:
                    sock.settimeout(5)
                    if sock.recv(100).startswith(b"* OK"):
                        return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise RuntimeError("dovecot does not answer: " + self.log())

    def wait_idle(self, seconds=10):
        """Until no session is left, so that a killed client's last command is done or dropped."""
        deadline = time.monotonic() + seconds
        while self._sessions():
            if time.monotonic() > deadline:
                raise RuntimeError("a session does not end")
            time.sleep(0.005)

    def _sessions(self):
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path, encoding="ascii") as file:
            children = file.read().split()
        for child in children:
            try:
                with open(f"/proc/{child}/stat", encoding="utf-8", errors="replace") as file:
                    name, state = re.match(r"\d+ \((.*)\) (\S)", file.read()).groups()
            except OSError:
                continue
            if name == "imap" and state != "Z":
                return True
        return False

    def log(self):
        try:
            with open(os.path.join(self.directory, "log"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # what a killed master left behind
        except ProcessLookupError:
            pass
        self.process.stderr.close()
        self.process = None

    def close(self):
        for sibling in self._siblings.values():  # they take a second each to end, all in the same
            if sibling.process:
                sibling.process.terminate()
        for sibling in self._siblings.values():
            sibling.close()
        self.stop()
        if self._own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def doveadm(self, *args):
        return subprocess.run(["doveadm", "-c", os.path.join(self.directory, "dovecot.conf"),
                               *args], check=True, capture_output=True, text=True).stdout

    def new_user(self, name=None, format=None, separator="/", prefix="", hide=(), quota=None,
                 settings=()):
        """A user with an empty mail store. format: maildir sdbox mdbox mbox, where a test does not
        say as DOVECOT_FORMAT does, or maildir; hide: capabilities
        that are not advertised after login; quota: such as '200K'; settings: 'name=value' of
        the server's configuration, for this user only."""
        format = format or os.environ.get("DOVECOT_FORMAT", "maildir")
        hide = frozenset(item.upper() for item in hide)
        if hide - self.hide:
            if hide not in self._siblings:
                self._siblings[hide] = Dovecot(hide=hide, extra=self._plain_extra).start()
            return self._siblings[hide].new_user(name, format, separator, prefix, (), quota,
                                                 settings)
        name = name or f"user{next(self._number)}"
        home = os.path.join(self.home, name)
        os.makedirs(os.path.join(home, "rawlog"))
        for path in (home, os.path.join(home, "rawlog")):
            os.chown(path, self.uid, self.gid)
        place = {"maildir": "Maildir", "sdbox": "sdbox", "mdbox": "mdbox",
                 "mbox": f"mbox:INBOX={home}/inbox"}[format]
        fields = [f"userdb_mail={format}:{home}/{place}"]
        if separator != "/":
            fields.append(f"userdb_namespace/inbox/separator={separator}")
        if prefix:
            fields.append(f"userdb_namespace/inbox/prefix={prefix}")
        if quota:
            fields.append(f"userdb_quota_rule=*:storage={quota}")
        fields.extend("userdb_" + setting for setting in settings)
        line = f"{name}:{{PLAIN}}{PASSWORD}:{self.uid}:{self.gid}::{home}::{' '.join(fields)}"
        path = os.path.join(self.directory, "users", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(line + "\n")
        return User(self, name, home)
