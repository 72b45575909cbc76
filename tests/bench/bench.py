"""mailtwin and mbsync over the same mail, in turn, and what the machine allows.

    bench [--quick] [--repeat N] [--corpus NAME]... [--line NAME]... [--only mailtwin|mbsync]
          [--output DIRECTORY]

Each corpus is on the server in a copy for each tool. A scenario changes both copies (or both
Maildirs) in the same way and runs the tools one after the other; then both sides of both must
agree. The table goes to stdout and to bench.md, every single measurement to bench.json. All of it
lives on /dev/shm: about 2 GB for the largest corpus.
"""
import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import local
import report
from limits import Limit, write_files
from relay import RelayProcess
from scenarios import ALL, QUIET, SCENARIOS, World
from server import Server
from tools import BINARY, Failed, Line, Mailtwin, Mbsync

HERE = os.path.dirname(os.path.abspath(__file__))
QUIET_RUNS = (5, 40)  # in turns, as many as fit: one run of a few milliseconds says little
QUIET_SECONDS = 0.5  # of the slowest
FIRST = ["pull", "no-op", "no-op again"]

# (corpus, line, scenarios, most repetitions, most repetitions of mbsync)
FULL = [
    ("small", "plain", ALL, 9, 9),
    ("small", "TLS", ALL, 9, 9),
    ("large", "plain", FIRST, 9, 9),
    ("many", "plain", ALL, 9, 9),
    ("mid", "plain", ALL, 9, 9),
    ("small", "50 ms", ALL, 9, 9),
    ("small", "50 ms TLS", ALL, 9, 9),
    ("many", "50 ms", ALL, 3, 1),
    ("many", "50 ms TLS", ALL, 3, 1),
    ("big", "plain", ALL, 9, 9),
    ("small", "counted", ALL, 1, 1),
    ("large", "counted", FIRST, 1, 1),
    ("many", "counted", ALL, 1, 1),
    ("mid", "counted", ALL, 1, 1),
]
QUICK = [
    ("small", "plain", ALL, 1, 1),
    ("many", "plain", ALL, 1, 1),
    ("mid", "plain", ALL, 1, 1),
    ("many", "50 ms", FIRST, 1, 0),
    ("small", "counted", ALL, 1, 1),
]
EXTRA = [("million", "plain",
          FIRST + ["1% flags remote", "1% flags local", "1,000 new remote"], 1, 0)]


class Bench:
    def __init__(self, directory, options):
        self.directory, self.options = directory, options
        self.server = Server(directory)
        self.records = []
        self.measure = os.path.join(directory, "measure")
        subprocess.run(["cc", "-O2", "-o", self.measure, os.path.join(HERE, "measure.c")],
                       check=True)
        self.number = 0

    @contextlib.contextmanager
    def line(self, name):
        tls = "TLS" in name
        port = self.server.tls_port if tls else self.server.port
        ca = self.server.ca if tls else None
        if name in ("plain", "TLS"):
            yield Line(name, port, ca)
            return
        delay = 0.0 if name == "counted" else 0.025
        relay = RelayProcess(port, delay)
        try:
            yield Line(name, relay.port, ca, relay, delay)
        finally:
            relay.close()

    def _world(self, kind, name, line):
        self.number += 1
        user = self.server.new_user(name)
        place = os.path.join(self.directory, f"tool{self.number}")
        return World(self.server, name, kind(place, self.measure, user, line))

    def run_plan(self, plan):
        for name, line_name, scenarios, most, most_mbsync in plan:
            if not self._wanted(name, line_name):
                continue
            self._note(f"{name}, {line_name}: building" )
            self.server.build(name)
            with self.line(line_name) as line:
                for repetition in range(min(self.options.repeat, most)):
                    kinds = [Mailtwin] + [Mbsync] * (repetition < most_mbsync)
                    kinds = [kind for kind in kinds
                             if self.options.only in (None, kind.name)]
                    if repetition % 2:
                        kinds.reverse()
                    self._repetition(name, line, scenarios, kinds, repetition)
            write(self.records, self.options)
            last = max(i for i, entry in enumerate(plan) if entry[0] == name)
            if plan[last] == (name, line_name, scenarios, most, most_mbsync):
                self.server.forget(name)

    def _wanted(self, name, line_name):
        return (not self.options.corpus or name in self.options.corpus) and \
            (not self.options.line or line_name in self.options.line)

    def _note(self, text):
        print(time.strftime("%H:%M:%S ") + text, file=sys.stderr, flush=True)

    def _repetition(self, name, line, scenarios, kinds, repetition):
        worlds = [self._world(kind, name, line) for kind in kinds]
        limit = None
        if line.name != "counted" and not self.options.no_limits:
            limit = World(self.server, name, Limit(self.server, name, line,
                                                   self.server.new_user(name)))
        if limit and "pull" in scenarios and not line.relay:
            self._record(name, line, "pull", "write", repetition,
                         {"wall": write_files(self.directory, name)})
        for scenario in scenarios:
            for world in worlds:
                SCENARIOS[scenario](world)
            if scenario != "pull":
                local.settle([world.tool.root for world in worlds])
            if scenario in QUIET and not line.relay:
                self._repeat(name, line, scenario, worlds, repetition)
            for world in worlds:
                self._measure(name, line, scenario, world, repetition)
            if limit:
                self._measure_limit(name, line, scenario, limit, repetition)
            self._note(f"{name}, {line.name}, {repetition + 1}: {scenario}: " + "  ".join(
                f"{r['tool']} {report.seconds(r.get('wall'))}{' !' if r.get('failed') else ''}"
                for r in self.records[-len(worlds) - bool(limit):]))
        for world in worlds:
            world.tool.remove()
        for world in worlds + ([limit] if limit else []):
            self.server.remove(world.user)

    def _repeat(self, name, line, scenario, worlds, repetition):
        """Nothing changes in them, so they can be run again; the last one is measured by the caller."""
        fewest, runs = QUIET_RUNS
        done = 1
        while done < runs:
            slowest = max(self._measure(name, line, scenario, world, repetition, check=False)
                          for world in worlds)
            runs = min(runs, max(fewest, round(QUIET_SECONDS / slowest)))
            done += 1
            worlds.reverse()
            for world in worlds:
                QUIET[scenario](world)

    def _measure(self, name, line, scenario, world, repetition, check=True):
        self.server.traffic(world.user)
        if line.relay:
            line.relay.passed()
        busy = self.server.cpu()
        try:
            found = world.tool.run()
        except (Failed, subprocess.TimeoutExpired, ValueError) as error:
            found = {"failed": str(error)}
        found["up"], found["down"] = self.server.traffic(world.user)
        found["server_cpu"] = self.server.cpu() - busy
        if line.relay:
            passed = line.relay.passed()
            found.setdefault("turns", passed["turns"])
            found["connections"], found["turns_seen"] = passed["connections"], passed["turns"]
        if check and not found.get("failed"):
            differs = world.agree()
            if differs:
                found["failed"] = "the sides disagree: " + differs[:400]
        self._record(name, line, scenario, world.tool.name, repetition, found)
        return found.get("wall", QUIET_SECONDS)

    def _measure_limit(self, name, line, scenario, limit, repetition):
        limit.tool.remember()
        if scenario.endswith("remote"):
            SCENARIOS[scenario](limit)
        self._record(name, line, scenario, "limit", repetition,
                     {"wall": limit.tool.measure(scenario)})

    def _record(self, name, line, scenario, tool, repetition, found):
        self.records.append({"corpus": name, "line": line.name, "scenario": scenario, "tool": tool,
                             "repetition": repetition, "load": os.getloadavg()[0], **found})


def describe():
    def first(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True,
                                  check=False).stdout.splitlines()[0]
        except (OSError, IndexError):
            return "?"
    return {"date": time.strftime("%Y-%m-%d"), "machine": platform.machine(),
            "kernel": platform.release(), "cpus": os.cpu_count(),
            "dovecot": first("/usr/sbin/dovecot", "--version"),
            "mbsync": first("mbsync", "--version"), "mailtwin": first(BINARY, "version")}


def write(records, options):
    rows = report.rows_of(records)
    text = report.table(rows)
    os.makedirs(options.output, exist_ok=True)
    with open(os.path.join(options.output, "bench.json"), "w", encoding="utf-8") as file:
        json.dump({"about": describe(), "repetitions": options.repeat, "rows": rows,
                   "records": records}, file, indent=1)
    with open(os.path.join(options.output, "bench.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return rows, text


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three corpora, once")
    parser.add_argument("--million", action="store_true", help="a million messages, once")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--corpus", action="append")
    parser.add_argument("--line", action="append")
    parser.add_argument("--only", choices=["mailtwin", "mbsync"])
    parser.add_argument("--no-limits", action="store_true")
    parser.add_argument("--output", default=".")
    parser.add_argument("--place", default="/dev/shm" if os.path.isdir("/dev/shm") else None,
                        help="where server, Maildirs and states live")
    return parser.parse_args(arguments)


def go_first():
    """Root may: other work on the machine then disturbs less. Where the kernel groups processes by
    session, the group must go first as well; the server has one of its own."""
    with contextlib.suppress(OSError):
        os.nice(-10)
    group_first(os.getpid())


def group_first(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
            file.write("-10")


def main(arguments=None):
    options = parse(arguments)
    go_first()
    plan = QUICK if options.quick else EXTRA if options.million else FULL
    directory = tempfile.mkdtemp(prefix="mt-bench-", dir=options.place)
    bench = None
    try:
        bench = Bench(directory, options)
        with bench.server:
            group_first(bench.server.dovecot.process.pid)
            bench.run_plan(plan)
            problems = bench.server.problems()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    rows, text = write(bench.records, options)
    print(text)
    for line in problems[:10]:
        print("server:", line.rstrip(), file=sys.stderr)
    bad = [row for row in rows if row.get("mailtwin", {}).get("failed")]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
