"""The tools under measurement. Each has a user with a copy of the corpus, a Maildir and a state,
on memory; all are run by the same few lines and measured from outside."""
import os
import shutil
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get("MAILTWIN") or os.path.join(TOP, "build", "mailtwin"))


class Failed(Exception):
    pass


class Line:
    """How the tool reaches the server: a port, perhaps TLS, perhaps through a relay."""

    def __init__(self, name, port, ca=None, relay=None, delay=0.0):
        self.name, self.port, self.ca, self.relay, self.delay = name, port, ca, relay, delay


class Tool:
    def __init__(self, directory, measure, user, line):
        self.directory, self.measure, self.user, self.line = directory, measure, user, line
        self.root = os.path.join(directory, "Mail")
        self.report = os.path.join(directory, "report")
        os.makedirs(directory)
        self.prepare()

    def config(self, name, lines):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        os.chmod(path, 0o600)
        return path

    def run(self, timeout=900):
        """{wall, cpu, rss}"""
        environment = {"PATH": os.environ["PATH"], "HOME": self.directory,
                       "XDG_STATE_HOME": os.path.join(self.directory, "state")}
        process = subprocess.run([self.measure, self.report, *self.command], env=environment,
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 errors="replace", timeout=timeout, check=False)
        if process.returncode != 0:
            raise Failed(f"{self.name}: exit {process.returncode}\n{process.stdout[-2000:]}"
                         f"\n{process.stderr[-2000:]}")
        with open(self.report, encoding="ascii") as file:
            wall, user, system, rss = map(float, file.read().split())
        return {"wall": wall, "user": user, "system": system, "rss_kib": int(rss)}

    def remove(self):
        shutil.rmtree(self.directory)


class Mailtwin(Tool):
    name = "mailtwin"

    def prepare(self):
        tls = [f"tls = 'implicit'", f"ca-file = '{self.line.ca}'"] if self.line.ca else \
            ["tls = 'none'"]
        host = "localhost" if self.line.ca else "127.0.0.1"
        config = self.config("mailtwin.conf", [
            "account bench {", f"host = '{host}'", f"port = {self.line.port}", *tls,
            f"user = '{self.user.name}'",
            "password = '" + self.user.password.replace("\\", "\\\\").replace("'", "\\'") + "'",
            "auth = 'plain'", f"maildir = '{self.root}'", "}"])
        self.command = [BINARY, "-c", config, "-q", "sync"]


class Mbsync(Tool):
    name = "mbsync"

    def prepare(self):
        os.makedirs(self.root)
        state = os.path.join(self.directory, "mbsync")
        os.makedirs(state)
        tls = ["SSLType IMAPS", f"CertificateFile {self.line.ca}"] if self.line.ca else \
            ["SSLType None"]
        host = "localhost" if self.line.ca else "127.0.0.1"
        password = self.user.password.replace("\\", "\\\\").replace('"', '\\"')
        config = self.config("mbsyncrc", [
            "IMAPAccount bench", f"Host {host}", f"Port {self.line.port}",
            f"User {self.user.name}", f'Pass "{password}"', *tls, "AuthMechs LOGIN", "",
            "IMAPStore far", "Account bench", "",
            "MaildirStore near", f"Path {self.root}/", f"Inbox {self.root}/INBOX",
            "SubFolders Verbatim", "",
            "Channel bench", "Far :far:", "Near :near:", "Patterns *", "Create Both",
            "Expunge Both", "Sync All", f"SyncState {state}/"])
        self.command = ["mbsync", "-c", config, "-q", "bench"]
