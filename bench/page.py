"""The CPU of one page of punches against a plain ModelSerializer viewset, PostgreSQL's share counted in."""

from __future__ import annotations

from functools import partial

from django.test import Client, override_settings

from bench.cpu import cpu_seconds
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
    fetch(client, url)
    return cpu_seconds(partial(fetch, client, url), times=PAGES)
