"""Certificates for tests: a CA of our own and one certificate for each thing that can be wrong."""
import os
import subprocess

CONFIG = """
[ca]
default_ca = own
[own]
dir = {dir}
database = {dir}/index
new_certs_dir = {dir}/issued
serial = {dir}/serial
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
commonName = unused
[ca_ext]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
"""


class Certs:
    """In a directory: ca.pem (trusted), other-ca.pem (not), and NAME.pem/NAME.key of
    good    localhost, 127.0.0.1
    expired localhost, 127.0.0.2, ended in 2001
    wrong   another.example only
    untrusted  localhost, 127.0.0.4, by the other CA
    """

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self._authority("ca")
        self._authority("other-ca")
        self._issue("good", "DNS:localhost,IP:127.0.0.1", "ca")
        self._issue("expired", "DNS:localhost,IP:127.0.0.2", "ca", end="010101000000Z")
        self._issue("wrong", "DNS:another.example", "ca")
        self._issue("untrusted", "DNS:localhost,IP:127.0.0.4", "other-ca")
        self.ca = self.path("ca.pem")

    def path(self, name):
        return os.path.join(self.directory, name)

    def fingerprint(self, name):
        out = self._openssl("x509", "-in", self.path(name + ".pem"), "-noout", "-fingerprint",
                            "-sha256")
        return out.split("=", 1)[1].strip()

    def _openssl(self, *args):
        done = subprocess.run(["openssl", *args], capture_output=True, text=True,
                              cwd=self.directory)
        if done.returncode != 0:
            raise RuntimeError("openssl " + " ".join(args) + ": " + done.stderr)
        return done.stdout

    def _authority(self, name):
        own = self.path(name + ".d")
        os.makedirs(os.path.join(own, "issued"), exist_ok=True)
        with open(os.path.join(own, "index"), "w", encoding="ascii"):
            pass
        with open(os.path.join(own, "serial"), "w", encoding="ascii") as file:
            file.write("1000\n")
        with open(self.path(name + ".cnf"), "w", encoding="ascii") as file:
            file.write(CONFIG.format(dir=own))
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-config", self.path(name + ".cnf"), "-extensions", "ca_ext",
                      "-subj", f"/CN=mailtwin tests {name}", "-days", "30",
                      "-keyout", self.path(name + ".key"), "-out", self.path(name + ".pem"))

    def _issue(self, name, names, authority, end=None):
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-config", self.path(authority + ".cnf"),
                      "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
                      "-keyout", self.path(name + ".key"), "-out", self.path(name + ".csr"))
        dates = ["-startdate", "000101000000Z", "-enddate", end] if end else ["-days", "20"]
        self._openssl("ca", "-batch", "-notext", "-config", self.path(authority + ".cnf"),
                      "-cert", self.path(authority + ".pem"),
                      "-keyfile", self.path(authority + ".key"), *dates,
                      "-in", self.path(name + ".csr"), "-out", self.path(name + ".pem"))
