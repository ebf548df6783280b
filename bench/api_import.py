"""The CPU of 5 000 people from a CSV file, PostgreSQL's share counted in: new, and once more as changes."""

from __future__ import annotations

import tempfile
from functools import partial
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from bench.cpu import cpu_seconds
from bench.measure import Row, best_of
from bench.people import csv_text, furnish, remove_people

PEOPLE = 5_000


def run() -> list[Row]:
    furnish()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "people.csv"
        file.write_text(csv_text(PEOPLE))
        best = best_of({"new": partial(_new, file), "changed": partial(_changed, file)})
    return [
        Row("CPU of 5 000 new people", best["new"], "s", at_most=5),
        Row("CPU of the same 5 000 changed", best["changed"], "s"),
    ]


def _new(file: Path) -> float:
    remove_people()
    return cpu_seconds(partial(call_command, "import_employees", str(file), stdout=StringIO()))


def _changed(file: Path) -> float:
    return cpu_seconds(partial(call_command, "import_employees", str(file), "--update", stdout=StringIO()))
