#!/usr/bin/env python3
"""Unpacks the Debian packages of mail servers, for tests/e2e/servers.py.

They conflict with each other and with Dovecot, so they are never installed but unpacked side by
side, together with the libraries that the system lacks:

    tests/e2e/unpack.py [--missing] [cyrus] [courier] [mailutils]

into build/servers, or where MAILTWIN_SERVERS says. No rights are needed, but a network; where
apt has no lists, or old ones, they are fetched too, beside the servers. --missing leaves those
alone that are there.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
STORE = os.environ.get("MAILTWIN_SERVERS") or os.path.join(
    os.path.dirname(os.path.dirname(HERE)), "build", "servers")

PACKAGES = {
    "cyrus": ["cyrus-imapd", "cyrus-common", "sasl2-bin", "libsasl2-2", "libsasl2-modules",
              "libsasl2-modules-db"],
    "courier": ["courier-imap", "courier-base", "courier-authlib"],
    "mailutils": ["mailutils-imap4d", "mailutils-common"],
}
# Packages are verified by apt itself; a mirror that does not answer is given up soon.
APT = ["-qq", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1",
       "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"]


class Failed(Exception):
    """A command of apt's or dpkg's failed; the text says how."""


def run(*command, **more):
    """Its output."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              **more)
    except OSError as error:
        raise Failed(str(error)) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failed(f"{command[0]}: {lines[-1]}")
    return done.stdout


def private_lists():
    """apt's options for lists of our own, which are fetched."""
    lists = os.path.join(STORE, "apt")
    for part in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(lists, part), exist_ok=True)
    options = ["-o", f"Dir::State::lists={lists}/lists", "-o", f"Dir::Cache={lists}/cache",
               "-o", "Debug::NoLocking=1"]
    run("apt-get", *APT, *options, "update")
    return options


def installed():
    shown = run("dpkg-query", "-W", "-f", "${Package} ${Status}\\n")
    return {line.split()[0] for line in shown.splitlines() if line.endswith(" ok installed")}


def libraries_of(packages, options):
    """Of alternatives the first."""
    shown = run("apt-cache", *options, "show", "--no-all-versions", *packages)
    fields = re.findall(r"^(?:Pre-)?Depends: (.*)$", shown, re.M)
    names = {re.match(r"[^\s:(|]+", item.strip()).group(0) for field in fields
             for item in field.split(",")}
    return {name for name in names if name.startswith("lib")}


def closure(packages, options):
    """The packages, and all libraries they need that are not installed."""
    wanted, present, fresh = set(), installed(), set(packages)
    while fresh:
        wanted |= fresh
        fresh = libraries_of(sorted(fresh), options) - wanted - present
    return sorted(wanted)


def unpack(name, options):
    """Complete or not at all."""
    target = os.path.join(STORE, name)
    with tempfile.TemporaryDirectory(dir=STORE) as work:
        os.chmod(work, 0o755)
        run("apt-get", *APT, *options, "download", *closure(PACKAGES[name], options), cwd=work)
        root = os.path.join(work, "root")
        for entry in sorted(os.listdir(work)):
            if entry.endswith(".deb"):
                run("dpkg", "-x", entry, root, cwd=work)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(root, target)
    os.chmod(target, 0o755)


def unpack_anyhow(name):
    try:
        unpack(name, [])
    except Failed:  # no lists, or older ones than the mirror
        unpack(name, private_lists())


def parse():
    parser = argparse.ArgumentParser(description="unpack servers for tests/e2e/test_servers.py")
    parser.add_argument("--missing", action="store_true", help="not those that are there")
    parser.add_argument("servers", nargs="*", metavar="SERVER",
                        help="cyrus courier mailutils; all of them by default")
    args = parser.parse_args()
    for name in args.servers:
        if name not in PACKAGES:
            parser.error(f"no such server: {name}")
    return args


def main():
    args, failed = parse(), False
    os.makedirs(STORE, exist_ok=True)
    for name in args.servers or sorted(PACKAGES):
        if args.missing and os.path.isdir(os.path.join(STORE, name)):
            continue
        try:
            unpack_anyhow(name)
            print(f"{name}: unpacked in {os.path.join(STORE, name)}", flush=True)
        except Failed as error:
            failed = True
            print(f"{name} cannot be unpacked: {error}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
