"""The CPU of one page of punches against a plain ModelSerializer viewset, PostgreSQL's share counted in."""

from __future__ import annotations

import time
from functools import partial

import psutil
from django.db import connection
from django.test import Client, override_settings

from bench.measure import Row, best_of
from bench.readers import PAGE, PLAIN, fetch, reader
from bench.tables import TRANSACTION, a_terminal, count, execute, punches
from iclock.domain.ingest import record_punches
from iclock.punch import Source

ROWS = 10_000
PAGES = 200


def run() -> list[Row]:
    if count(TRANSACTION) < ROWS:
        record_punches(a_terminal(), punches(ROWS), source=Source.PULL)
    execute("ANALYZE")  # as autovacuum does within a minute
    client, _token = reader()
    with override_settings(ROOT_URLCONF="bench.readers"):
        best = best_of({"ours": partial(_cpu, client, PAGE), "plain": partial(_cpu, client, PLAIN)})
    return [
        Row("CPU of a page by a plain viewset", best["plain"] * 1000, "ms"),
        Row("CPU of a page of ours", best["ours"] * 1000, "ms"),
        Row("ours of the plain one", best["ours"] / best["plain"], at_most=0.25),
    ]


def _cpu(client: Client, url: str) -> float:
    """Seconds of CPU for one page, of this process and of its PostgreSQL backend."""
    fetch(client, url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = psutil.Process(cursor.fetchone()[0])
    began, spent = time.process_time(), sum(backend.cpu_times()[:2])
    for _ in range(PAGES):
        fetch(client, url)
    return (time.process_time() - began + sum(backend.cpu_times()[:2]) - spent) / PAGES
