"""The CPU of a page of 100 people against that of a page of 100 punches, PostgreSQL's share counted in."""

from __future__ import annotations

import tempfile
from functools import partial
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from bench.cpu import cpu_seconds
from bench.measure import Row, best_of
from bench.people import csv_text, furnish, remove_people
from bench.readers import PAGE, fetch, reader
from bench.tables import TRANSACTION, a_terminal, count, execute, punches
from iclock.domain.ingest import record_punches
from iclock.punch import Source

PEOPLE = 5_000
PUNCHES = 10_000
PAGES = 100
EMPLOYEES = "/personnel/api/employees/?page_size=100"


def run() -> list[Row]:
    _fill()
    client, _token = reader()
    works = {url: partial(cpu_seconds, partial(fetch, client, url), times=PAGES) for url in (EMPLOYEES, PAGE)}
    for url in works:
        fetch(client, url)
    best = best_of(works)
    return [
        Row("CPU of a page of 100 punches", best[PAGE] * 1000, "ms"),
        Row("CPU of a page of 100 people", best[EMPLOYEES] * 1000, "ms"),
        Row("people of punches", best[EMPLOYEES] / best[PAGE], at_most=8),
    ]


def _fill() -> None:
    if count(TRANSACTION) < PUNCHES:
        record_punches(a_terminal(), punches(PUNCHES), source=Source.PULL)
    furnish()
    remove_people()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "people.csv"
        file.write_text(csv_text(PEOPLE))
        call_command("import_employees", str(file), stdout=StringIO())
    execute("ANALYZE")
