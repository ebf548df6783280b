"""The door against a raw COPY of the same rows into an equal table."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import count

import psycopg2
from django.db import connection

from bench.measure import Row, best_of, stopwatch
from bench.tables import (
    FIRST_DAY,
    TRANSACTION,
    TWIN,
    a_terminal,
    copy_sql,
    copy_text,
    execute,
    fill,
    make_twin,
    punches,
    recount,
)
from iclock.domain.ingest import record_punches
from iclock.models import Terminal
from iclock.punch import Punch, Source

ROWS = 100_000
MANY = 10_000_000
_SINGLES = 16 * 150
_days = count()


def run() -> list[Row]:
    terminal = a_terminal()
    make_twin()
    return [*_empty(terminal), *_full(terminal), *_single_rows(terminal)]


def _empty(terminal: Terminal) -> list[Row]:
    rows = punches(ROWS)
    best = best_of(
        {
            "raw": lambda: _raw(rows, clear=True),
            "new": lambda: _ours(terminal, rows, clear=True),
            "again": lambda: _ours(terminal, rows),
        }
    )
    return [
        Row("raw COPY of 100 000 rows", best["raw"], "s"),
        Row("100 000 new punches, of raw COPY", best["new"] / best["raw"], at_most=2.0),
        Row("the same again, of raw COPY", best["again"] / best["raw"], at_most=0.8),
    ]


def _full(terminal: Terminal) -> list[Row]:
    execute(f"TRUNCATE {TRANSACTION}, {TWIN}")
    for table in (TRANSACTION, TWIN):
        fill(table, MANY)
    recount()
    best = best_of({"raw": lambda: _raw(_fresh()), "new": lambda: _ours(terminal, _fresh())})
    return [
        Row("raw COPY into 10 million rows", best["raw"], "s"),
        Row("100 000 new punches into 10 million, of raw COPY", best["new"] / best["raw"], at_most=2.0),
    ]


def _single_rows(terminal: Terminal) -> list[Row]:
    """Reported, not judged: a global turn costs group commit, the more the slower the disk."""
    fast = best_of({"fast": lambda: _singles(terminal)}, runs=1)["fast"]
    _set_for_all("commit_delay = 2000", "commit_siblings = 0")
    slow = best_of({"slow": lambda: _singles(terminal)}, runs=1)["slow"]
    _set_for_all("commit_delay = DEFAULT", "commit_siblings = DEFAULT")
    return [
        Row("one-row calls from 16 threads", fast, "per s"),
        Row("the same with commit_delay=2000, commit_siblings=0", slow, "per s"),
    ]


def _raw(rows: list[Punch], *, clear: bool = False) -> float:
    if clear:
        execute(f"TRUNCATE {TWIN}")
    text = copy_text(rows, "BENCH1")
    with connection.cursor() as cursor, stopwatch() as elapsed:
        cursor.copy_expert(copy_sql(TWIN), io.StringIO(text))
    return elapsed()


def _ours(terminal: Terminal, rows: list[Punch], *, clear: bool = False) -> float:
    if clear:
        execute(f"TRUNCATE {TRANSACTION}")
    with stopwatch() as elapsed:
        record_punches(terminal, rows, source=Source.PULL)
    return elapsed()


def _singles(terminal: Terminal) -> float:
    """Calls per second."""
    rows = _fresh(_SINGLES)

    def record(punch: Punch) -> None:
        record_punches(terminal, [punch], source=Source.PUSH)

    with ThreadPoolExecutor(16, initializer=connection.connect) as pool, stopwatch() as elapsed:
        list(pool.map(record, rows))
        seconds = elapsed()
    return _SINGLES / seconds


def _fresh(rows: int = ROWS) -> list[Punch]:
    """Punches that no earlier turn has stored."""
    return punches(rows, first=FIRST_DAY + timedelta(days=20 * next(_days) + 1_000))


def _set_for_all(*settings: str) -> None:
    with closing(psycopg2.connect(os.environ["BENCH_SUPERUSER_URL"])) as superuser:
        superuser.autocommit = True
        with superuser.cursor() as cursor:
            for setting in settings:
                cursor.execute(f"ALTER SYSTEM SET {setting}")
            cursor.execute("SELECT pg_reload_conf()")
