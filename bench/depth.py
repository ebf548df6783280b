"""Pages of ten million punches against the first page of ten thousand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlencode

from django.db import connection
from django.test import Client

from bench.measure import Row, best_of, median_seconds
from bench.readers import PAGE, fetch, reader
from bench.tables import COUNTERS, TRANSACTION, execute, fill, recount

FEW, MANY = 10_000, 10_000_000
TIMES = 30
_TABLES = (TRANSACTION, *COUNTERS)


def run() -> list[Row]:
    _make_small()
    fill(TRANSACTION, MANY)
    recount()
    client, _token = reader()
    works = {"small": partial(_on_small, client)} | {
        what: partial(_page, client, query) for what, query in _queries().items()
    }
    best = best_of(works)
    small = best.pop("small")
    bars = {what: 3.0 if what.endswith("page") else 1.5 for what in best}
    return [Row("page 1 of 10 thousand", small * 1000, "ms")] + [
        Row(f"{what} of 10 million, of that", seconds / small, at_most=bars[what]) for what, seconds in best.items()
    ]


def _queries() -> dict[str, dict[str, object]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT max(id), (SELECT sum(live) FROM {_TABLES[1]}) FROM {TRANSACTION}")
        last_id, total = cursor.fetchone()
        cursor.execute(f"SELECT max(punch_time) - interval '1 hour' FROM {TRANSACTION} WHERE deleted_at IS NULL")
        (an_hour_ago,) = cursor.fetchone()
    pages = int(total) // 100
    return {
        "first page": {},
        "middle page": {"page": pages // 2},
        "last page": {"page": pages},
        "middle, newest first, page": {"page": pages // 2, "ordering": "-id"},
        "since_id near the beginning": {"since_id": 1_000},
        "since_id in the middle": {"since_id": last_id // 2},
        "since_id near the end": {"since_id": last_id - 1_000},
        "one person": {"emp_code": "P1"},
        "one terminal": {"terminal_sn": "T1"},
        "one period": {"start_time": "2024-06-01 00:00:00", "end_time": "2024-06-01 01:30:00"},
        "the last hour": {"start_time": an_hour_ago},
        "newest uploads": {"ordering": "-upload_time"},
    }


def _page(client: Client, query: dict[str, object]) -> float:
    url = f"{PAGE}&{urlencode(query)}"
    return median_seconds(lambda: fetch(client, url), times=TIMES)


def _on_small(client: Client) -> float:
    with _small_instead():
        return _page(client, {})


def _make_small() -> None:
    """A second set of tables with ten thousand rows, and a thousand findable ones in the big table."""
    for table in _TABLES:
        execute(f"DROP TABLE IF EXISTS small_{table}")
        execute(f"CREATE TABLE small_{table} (LIKE {table} INCLUDING ALL)")
    with _small_instead():
        fill(TRANSACTION, FEW)
        recount()
    fill(TRANSACTION, MANY)
    # Other rows each: no punch of the platform changes its person or terminal, least of all twice.
    for column, value, before in (("emp_code", "P1", 0), ("terminal_sn", "T1", 900)):
        execute(
            f"UPDATE {TRANSACTION} SET {column} = %s WHERE id IN"
            f" (SELECT id FROM {TRANSACTION} WHERE {column} LIKE 'F%%' ORDER BY id OFFSET {before} LIMIT 900)"
            f" AND NOT EXISTS (SELECT FROM {TRANSACTION} WHERE {column} = %s)",
            value,
            value,
        )


@contextmanager
def _small_instead() -> Iterator[None]:
    """The small tables under the platform's names for a while."""
    _rename("", "big_")
    _rename("small_", "")
    try:
        yield
    finally:
        _rename("", "small_")
        _rename("big_", "")


def _rename(before: str, after: str) -> None:
    for table in _TABLES:
        execute(f"ALTER TABLE {before}{table} RENAME TO {after}{table}")
