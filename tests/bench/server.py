"""The benchmark's server: a private Dovecot on memory, mail in mdbox, nothing synced to disk and
COMPRESS not offered, so that what is measured is the tools and not the server's disk or deflate.
A corpus is built once and copied for each user."""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))

import corpus as corpora
import dovecot
from wire import Wire

SETTINGS = """
mail_plugins =
mail_always_cache_fields =
protocol imap {
  mail_plugins =
  mail_max_userip_connections = 200
  rawlog_dir =
}
imap_logout_format = in=%i out=%o
service imap {
  vsz_limit = 2G
}
service imap-login {
  process_min_avail = 2
}
"""
LOGGED_OUT = re.compile(r" imap\(([^)]+)\).* in=(\d+) out=(\d+)")


class Server:
    def __init__(self, directory):
        self.directory = directory
        self.dovecot = dovecot.Dovecot(os.path.join(directory, "server"), extra=SETTINGS,
                                       hide=["COMPRESS=DEFLATE"])
        self.seeds = os.path.join(directory, "seeds")
        os.makedirs(self.seeds)
        os.chmod(directory, 0o755)
        self.number = 0
        self.place = 0

    def __enter__(self):
        self.dovecot.start()
        return self

    def __exit__(self, *_):
        self.dovecot.close()

    @property
    def port(self):
        return self.dovecot.plain

    @property
    def tls_port(self):
        return self.dovecot.tls

    @property
    def ca(self):
        return self.dovecot.ca

    def _new_user(self):
        self.number += 1
        user = self.dovecot.new_user(f"u{self.number}", format="mdbox")
        shutil.rmtree(os.path.join(user.home, "rawlog"))
        return user

    def wire(self, user, port=None, ca=None, login=True):
        return Wire(port or self.port, user.name, user.password, ca, login)

    def build(self, name):
        """The seed of a corpus, if it is not there yet."""
        seed = os.path.join(self.seeds, name)
        if os.path.isdir(seed):
            return
        corpus, user = corpora.CORPORA[name], self._new_user()
        with self.wire(user) as wire:
            for folder in corpus.folders + corpus.spare:
                if folder != "INBOX":
                    wire.run(b"CREATE " + folder.encode())
            for index, folder in enumerate(corpus.folders):
                wire.append(folder, ((corpora.flags(number), corpora.internal_date(number), data)
                                     for number, data in corpus.messages(index)))
        self.dovecot.wait_idle()
        os.rename(user.home, seed)

    def forget(self, name):
        shutil.rmtree(os.path.join(self.seeds, name), ignore_errors=True)

    def new_user(self, name):
        """A user who has the corpus, untouched."""
        self.build(name)
        user = self._new_user()
        os.rmdir(user.home)
        subprocess.run(["cp", "-a", os.path.join(self.seeds, name), user.home], check=True)
        return user

    def remove(self, user):
        self.dovecot.wait_idle()
        shutil.rmtree(user.home, ignore_errors=True)

    def traffic(self, user):
        """Bytes (to the server, from it) of the sessions that ended since the last question,
        as the server counts them: inside of TLS."""
        self.dovecot.wait_idle()
        up = down = 0
        with open(os.path.join(self.dovecot.directory, "log"), encoding="utf-8",
                  errors="replace") as file:
            file.seek(self.place)
            for line in file:
                match = LOGGED_OUT.search(line)
                if match and match.group(1) == user.name:
                    up += int(match.group(2))
                    down += int(match.group(3))
            self.place = file.tell()
        return up, down

    def cpu(self):
        """CPU seconds of all that the server has waited for, children that ended included."""
        with open(f"/proc/{self.dovecot.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def problems(self):
        """What the server complained of: a benchmark on a sick server is none."""
        return [line for path in glob.glob(os.path.join(self.dovecot.directory, "log"))
                for line in open(path, encoding="utf-8", errors="replace")
                if re.search(r"(Error|Fatal|Panic):", line)]
