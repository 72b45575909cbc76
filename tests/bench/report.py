"""The table: a row for each corpus, line and scenario."""
import statistics

from corpus import CORPORA

# Seconds, from the peers' best figures and the limits of the machine: docs/performance.md.
TARGETS = {
    ("small", "plain", "pull"): 0.22,
    ("large", "plain", "pull"): 0.50,
    ("many", "plain", "pull"): 1.0,
    ("big", "plain", "pull"): 2.0,
    ("small", "plain", "no-op again"): 0.012,
    ("many", "plain", "no-op again"): 0.03,
    ("big", "plain", "no-op again"): 0.06,
    ("big", "plain", "1% flags remote"): 0.08,
    ("small", "plain", "1,000 new remote"): 0.06,
    ("small", "plain", "1,000 new local"): 0.10,
    ("small", "plain", "1,000 moved remote"): 0.05,
    ("small", "plain", "1,000 moved local"): 0.08,
    ("small", "50 ms", "no-op again"): 0.22,
    ("small", "50 ms TLS", "no-op again"): 0.27,
    ("many", "50 ms", "no-op again"): 0.25,
    ("many", "50 ms", "pull"): 2.0,
    ("small", "50 ms", "pull"): 0.6,
    ("small", "50 ms", "1,000 new local"): 0.6,
}
for (_corpus, _line, _scenario), _seconds in list(TARGETS.items()):
    if _scenario == "no-op again":
        TARGETS[_corpus, _line, "no-op"] = _seconds

# Bytes over the line in both ways together.
BYTES = {("big", "plain", "no-op again"): 1700, ("small", "plain", "1,000 moved remote"): 250_000,
         ("small", "plain", "1,000 moved local"): 100_000}


def memory_target(corpus, line):
    """KiB of peak resident memory that any run may have."""
    return (12 if "TLS" in line else 9) * 1024 + 100 * CORPORA[corpus].each // 1024


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def rows_of(records):
    """One dictionary a row: the medians of its repetitions, for each tool."""
    keys = dict.fromkeys((r["corpus"], r["line"], r["scenario"]) for r in records
                         if r["line"] != "counted")
    rows = []
    for key in keys:
        row = {"corpus": key[0], "line": key[1], "scenario": key[2], "target": TARGETS.get(key),
               "target_rss_kib": memory_target(*key[:2]), "target_bytes": BYTES.get(key)}
        for tool in ("mailtwin", "mbsync", "limit", "write"):
            mine = [r for r in records if r["tool"] == tool and
                    (r["corpus"], r["line"], r["scenario"]) == key]
            if mine:
                row[tool] = summary(mine)
                if tool in ("mailtwin", "mbsync") and row[tool].get("turns") is None:
                    row[tool]["turns"] = median(
                        [r.get("turns") for r in records if r["tool"] == tool and
                         (r["corpus"], r["line"], r["scenario"]) == (key[0], "counted", key[2])])
        rows.append(judged(row))
    return rows


def summary(records):
    good = [r for r in records if not r.get("failed")]
    found = {"repetitions": len(records), "failed": len(records) - len(good),
             "why": next((r["failed"] for r in records if r.get("failed")), None)}
    for name in ("wall", "user", "system", "rss_kib", "up", "down", "turns", "server_cpu"):
        values = [r.get(name) for r in good]
        found[name] = median(values)
    found["wall_min"] = min((r["wall"] for r in good), default=None)
    return found


def judged(row):
    ours, theirs = row.get("mailtwin"), row.get("mbsync")
    wall = ours and ours["wall"]
    limit = row.get("limit", {}).get("wall")
    if row.get("write", {}).get("wall"):
        limit = max(limit or 0, row["write"]["wall"])
    row["limit_seconds"] = limit
    row["ratio"] = theirs["wall"] / wall if wall and theirs and theirs["wall"] else None
    row["to_limit"] = wall / limit if wall and limit else None
    row["missed"] = missed(row, ours) if wall else []
    has_target = row["target"] or row["target_rss_kib"] or row["target_bytes"]
    row["met"] = not row["missed"] if wall and has_target else None
    return row


def missed(row, ours):
    """Which of the row's targets are not reached."""
    crossed = (ours["up"] or 0) + (ours["down"] or 0)
    values = [("time", ours["wall"], row["target"]),
              ("memory", ours["rss_kib"], row["target_rss_kib"]),
              ("octets", crossed, row["target_bytes"])]
    return [name for name, value, target in values if target and value > target]


def seconds(value):
    if value is None:
        return "-"
    return f"{value:.3g}"


def times(value):
    if not value:
        return "-"
    return f"{value:.2f}x" if value < 2 else f"{value:.1f}x"


def size(value):
    if value is None:
        return "-"
    for unit in ("B", "kB", "MB"):
        if value < 1000 or unit == "MB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def tool_cells(found):
    if not found:
        return ["-"] * 5
    if found["wall"] is None:
        return ["failed"] + ["-"] * 4
    mark = "!" if found["failed"] else ""
    turns = "-" if found["turns"] is None else f"{found['turns']:.0f}"
    return [seconds(found["wall"]) + mark, seconds(found["user"] + found["system"]),
            f"{found['rss_kib'] / 1024:.1f}", f"{size(found['up'])} / {size(found['down'])}",
            turns]


HEAD = ["scenario", "mailtwin s", "CPU", "MiB", "up / down", "turns", "mbsync s", "CPU", "MiB",
        "up / down", "turns", "ratio", "limit s", "to limit", "target", ""]


def table(rows):
    out, place = [], None
    for row in rows:
        if (row["corpus"], row["line"]) != place:
            place = (row["corpus"], row["line"])
            out += ["", f"### {place[0]}, {place[1]}", "", "| " + " | ".join(HEAD) + " |",
                    "|" + " --- |" * len(HEAD)]
        met = {None: "", True: "met", False: "missed: " + ", ".join(row["missed"])}[row["met"]]
        if row["ratio"] and row["ratio"] < 1:
            met = (met + " BEHIND").strip()
        cells = [row["scenario"], *tool_cells(row.get("mailtwin")), *tool_cells(row.get("mbsync")),
                 times(row["ratio"]), seconds(row["limit_seconds"]), times(row["to_limit"]),
                 seconds(row["target"]), met]
        out.append("| " + " | ".join(cells) + " |")
    failures = [f"- {row['corpus']}, {row['line']}, {row['scenario']}, {tool}: {row[tool]['why']}"
                for row in rows for tool in ("mailtwin", "mbsync")
                if row.get(tool) and row[tool]["why"]]
    if failures:
        out += ["", "Failures:", ""] + failures
    return "\n".join(out).lstrip("\n")
