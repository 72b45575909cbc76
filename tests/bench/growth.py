"""How cost grows with the size of a folder: the same scenarios at 1,000, 10,000, 100,000 and, with
--million, 1,000,000 messages of 600 octets in one mailbox, mailtwin alone. CPU time is plotted, not
seconds: it holds on a machine that does other things as well.

    growth [--million] [--state PROGRAM] [--output DIRECTORY]

Writes growth.json and growth.svg."""
import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import corpus as corpora
import local
import plot
from bench import describe, go_first
from scenarios import SCENARIOS, World
from server import Server
from tools import Line, Mailtwin

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = [1_000, 10_000, 100_000]
MESSAGE = 600
# What is changed is a share of the folder, or 1,000 messages whatever its size.
SHARES = ["pull", "no-op", "no-op again", "1% flags remote", "1% flags local",
          "10% expunged remote"]
FIXED = ["1,000 new remote", "1,000 new local", "1,000 moved remote", "1,000 moved local"]
ORDER = SHARES[:5] + FIXED + SHARES[5:]


def corpus_of(size):
    name = f"grow-{size}"
    corpora.CORPORA[name] = corpora.Corpus(name, ["INBOX"], size, **corpora.same(MESSAGE))
    return name


def database(tool):
    """Octets of the base on disk."""
    return os.path.getsize(os.path.join(tool.directory, "state", "mailtwin", "bench", "data.mdb"))


def grow(server, directory, measure, size):
    name = corpus_of(size)
    world = World(server, name, Mailtwin(os.path.join(directory, name), measure,
                                         server.new_user(name), Line("plain", server.port)))
    for scenario in ORDER:
        if size < 10_000 and "moved" in scenario:
            continue  # would leave nothing
        SCENARIOS[scenario](world)
        if scenario != "pull":
            local.settle([world.tool.root])
        found = world.tool.run(timeout=3600)
        differs = world.agree()
        if differs:
            sys.exit(f"{size}, {scenario}: the sides disagree: {differs}")
        yield {"size": size, "scenario": scenario, "wall": found["wall"],
               "cpu": found["user"] + found["system"], "rss_kib": found["rss_kib"],
               "database": database(world.tool)}
    world.tool.remove()
    server.remove(world.user)
    server.forget(name)


def state_cost(program, directory, size):
    """The base by itself: see state_cost.c."""
    place = os.path.join(directory, f"state-{size}")
    os.makedirs(place)
    out = subprocess.run([program, place, str(size)], check=True, capture_output=True, text=True)
    shutil.rmtree(place)
    return {"size": size, **json.loads(out.stdout)}


def lines(rows, scenarios, value):
    return [(scenario, [(row["size"], row[value]) for row in rows if row["scenario"] == scenario])
            for scenario in scenarios]


def draw(rows, state):
    mib = [{**row, "database": row["database"] / 2**20, "rss": row["rss_kib"] / 1024}
           for row in rows]
    memory = [(f"resident, {scenario}", points)
              for scenario, points in lines(mib, ["pull", "no-op", "1% flags local"], "rss")]
    memory.append(("database, after pull", lines(mib, ["pull"], "database")[0][1]))
    base = [(name, [(row["size"], row[key]) for row in state])
            for name, key in (("put, 128 a commit", "put"), ("walk", "walk"),
                              ("get, each by itself", "get"))]
    return plot.svg([
        ("a share of the folder: CPU seconds", lines(rows, SHARES, "cpu")),
        ("1,000 messages: CPU seconds", lines(rows, FIXED, "cpu")),
        ("memory and disk: MiB", memory),
        ("the base by itself: seconds", base),
    ], "messages in the folder")


def table(rows, state):
    out = ["| messages | scenario | s | CPU s | MiB | database MiB |", "|" + " --- |" * 6]
    out += [f"| {r['size']:,} | {r['scenario']} | {r['wall']:.3f} | {r['cpu']:.3f} "
            f"| {r['rss_kib'] / 1024:.1f} | {r['database'] / 2**20:.1f} |" for r in rows]
    out += ["", "| records | put s | walk s | get s | MiB |", "|" + " --- |" * 5]
    out += [f"| {r['size']:,} | {r['put']:.2f} | {r['walk']:.3f} | {r['get']:.2f} "
            f"| {r['octets'] / 2**20:.1f} |" for r in state]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--state", help="the program made of state_cost.c")
    parser.add_argument("--output", default=".")
    parser.add_argument("--place", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    options = parser.parse_args()
    sizes = SIZES + [1_000_000] * options.million
    go_first()
    directory = tempfile.mkdtemp(prefix="mt-growth-", dir=options.place)
    rows, state = [], []
    try:
        measure = os.path.join(directory, "measure")
        subprocess.run(["cc", "-O2", "-o", measure, os.path.join(HERE, "measure.c")], check=True)
        if options.state:
            state = [state_cost(options.state, directory, size) for size in sizes]
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(Server(directory))
            for size in sizes:
                for row in grow(server, directory, measure, size):
                    rows.append(row)
                    print(f"{size}, {row['scenario']}: {row['cpu']:.3f}", file=sys.stderr,
                          flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    with open(os.path.join(options.output, "growth.json"), "w", encoding="utf-8") as file:
        json.dump({"about": describe(), "rows": rows, "state": state}, file, indent=1)
    with open(os.path.join(options.output, "growth.svg"), "w", encoding="utf-8") as file:
        file.write(draw(rows, state))
    print(table(rows, state))


if __name__ == "__main__":
    main()
