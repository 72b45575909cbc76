"""The story that contrib/demo tells: a server with mail, two syncs, and proof that both sides
agree. Built from the parts of the end-to-end tests; what it compares with knows nothing of
mailtwin."""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))

import mail  # noqa: E402
from dovecot import Dovecot  # noqa: E402
from mailtwin import BINARY, Twin, difference  # noqa: E402

TEMPLATE = """\
   account home {
       host = 'imap.example.org'
       user = 'you@example.org'
       password-command = 'pass show mail/home'    # its first line is the password
       maildir = '~/Mail/home'
       # mode = 'archive'                          # to look first: never writes the server
   }
"""


def say(text=""):
    print(text, flush=True)


def fill(user):
    """About 60 messages in folders of all kinds."""
    folders = {"INBOX": 24, "Archive": 10, "Archive/2024": 10, "Entwürfe": 3, "Sent": 8,
               "Lists/C & co": 5}
    number = 0
    with user.client() as client:
        for folder, count in folders.items():
            if folder != "INBOX":
                client.create(folder)
            messages = []
            for _ in range(count):
                number += 1
                data = mail.attachment(number) if number == 7 else mail.plain(number, 400)
                messages.append((data, mail.flags(number), mail.FIRST_DATE + number * 86400))
            client.append_many(messages, folder)
            say(f"   {folder}: {count} messages")
    return number


def run(twin, *arguments):
    """In the foreground, so that progress is seen on a terminal."""
    say("   $ " + " ".join(["mailtwin", *arguments]))
    done = subprocess.run(twin.command(*arguments), env=twin.environment(),
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise SystemExit(f"demo: mailtwin ended with {done.returncode}")


def compare(user, twin):
    lines = difference(user, twin, dates=True)
    if lines:
        raise SystemExit("demo: the sides differ:\n   " + "\n   ".join(lines))
    with user.client() as client:
        folders = {name: messages for name, messages in client.everything().items()}
    total = sum(len(messages) for messages in folders.values())
    say(f"   equal: {total} messages in {len(folders)} folders, with contents, flags, keywords "
        "and dates")


def change(user, twin):
    tree = twin.tree
    tree.deliver(mail.plain(901), "Entwürfe", "DS", mail.FIRST_DATE)
    say("   here:   a new draft in Entwürfe")
    tree.delete(tree.read("Sent")[0])
    say("   here:   a message in Sent removed")
    tree.create("Projekte/Äpfel")
    say("   here:   a new folder Projekte/Äpfel")
    with user.client() as client:
        client.store([1, 2], "+FLAGS", ["\\Flagged", "urgent"], "INBOX")
        say("   server: two messages in INBOX flagged, with the keyword urgent")
        client.append(mail.plain(902), "INBOX", date=mail.FIRST_DATE)
        say("   server: a new message in INBOX")
        client.move([1], "Archive", "Lists/C & co")
        say("   server: a message moved from 'Lists/C & co' to Archive")


def story(directory, server):
    user = server.new_user("alice")
    twin = Twin(os.path.join(directory, "alice"), user, tls=True, account="demo")
    say("== 3. A private Dovecot on loopback, with TLS by a CA made just now, and sample mail")
    fill(user)
    say("== 4. The first sync brings everything here")
    run(twin, "sync")
    compare(user, twin)
    say("== 5. Something changes on both sides")
    change(user, twin)
    say("== 6. The second sync brings both together; a dry run shows what it will do")
    run(twin, "sync", "--dry-run")
    run(twin, "sync")
    compare(user, twin)
    run(twin, "status")
    return twin


def finish(directory, twin, keep):
    say("== 7. How to go on")
    if keep:
        say(f"   The Maildir stays in {twin.root}")
        say(f"   When done: rm -r {directory}")
    else:
        say("   Server and Maildir are gone; `contrib/demo --keep' leaves the Maildir for a look.")
    say("   For an account of your own, put this, with your words, in "
        "~/.config/mailtwin/mailtwin.conf:")
    say()
    say(TEMPLATE)
    say("   Then try")
    say()
    say(f"       {os.path.relpath(BINARY, TOP)} sync --dry-run")
    say()
    say("   README goes on from here; docs/mailtwin.conf.5 explains every option "
        "(man -l FILE shows it).")


def main():
    keep = "--keep" in sys.argv[1:]
    directory = tempfile.mkdtemp(prefix="mailtwin-demo-")
    try:
        with Dovecot() as server:
            twin = story(directory, server)
        finish(directory, twin, keep)
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
