"""Every row of docs/sync-rules.md is reached by the tests before this one: conftest.py puts it last.
The rows are those of the tables; the counts are what the runs said at -v."""
import glob
import os
import re

from mailtwin import HERE, REACHED, TOP

# Not decisions of a run, so no counter sees them: a test with the row's number shows each.
SHOWN = re.compile(r"L\d+|F17|F21")


def documented():
    with open(os.path.join(TOP, "docs", "sync-rules.md"), encoding="utf-8") as file:
        return set(re.findall(r"^\| ([A-Z]?\d+) \|", file.read(), re.M))


def counted():
    return {row for row in documented() if not SHOWN.fullmatch(row)}


def in_order(rows):
    return sorted(rows, key=lambda row: (row.rstrip("0123456789"), int(row.lstrip("ABCDEFGLMR"))))


def test_every_row_is_reached(whole_suite):
    assert in_order(counted() - set(REACHED)) == [], "rows that no test leads to"
    assert in_order(set(REACHED) - counted()) == [], "answers that have no row"


def test_rows_that_are_not_counted_are_named():
    named = set()
    for path in glob.glob(os.path.join(HERE, "test_*.py")):
        with open(path, encoding="utf-8") as file:
            named.update(re.findall(r'^    """((?:[LF]\d+(?:, )?)+):', file.read(), re.M))
    named = {row for rows in named for row in rows.split(", ")}
    assert in_order(documented() - counted() - named) == [], "rows that no test names"
