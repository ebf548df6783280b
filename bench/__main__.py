"""python -m bench NAME … | all: tables of measurements; exit code 1 when a bar is missed."""

from __future__ import annotations

import sys
from importlib import import_module

import django

from bench.measure import Row, table

# Those that empty the table of punches come before those that fill it with ten million.
NAMES = (
    "decode",
    "pull",
    "page",
    "api_list",
    "api_import",
    "rps",
    "ingest",
    "attendance_all",
    "depth",
    "fleet",
    "fanout",
    "push",
)


def main(arguments: list[str]) -> int:
    unknown = set(arguments) - {*NAMES, "all"}
    if unknown or not arguments:
        print(f"Usage: ./script/bench all | {' | '.join(NAMES)}", file=sys.stderr)
        return 2
    django.setup()
    missed: list[Row] = []
    for name in NAMES if "all" in arguments else arguments:
        rows: list[Row] = import_module(f"bench.{name}").run()
        print(table(name, rows), end="\n\n", flush=True)
        missed += [row for row in rows if not row.passed]
    print(f"{len(missed)} bars missed." if missed else "Every bar is met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
