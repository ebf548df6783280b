"""Lists whose rows PostgreSQL writes as JSON: Python only passes the text on.

A long list is read from a cursor that PostgreSQL holds, and sent while it is read: the process keeps one batch of rows
at a time, and no transaction stays open while a slow client reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import orjson
from django.db import connection
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from zkbio.api.pagination import Links, envelope

BATCH_ROWS: Final = 2000

Row = tuple[Any, ...]


class Statement(NamedTuple):
    """A query and its parameters."""

    sql: str
    params: dict[str, Any]


def read_batches(statement: Statement, *, most: int) -> Iterator[list[Row]]:
    """The rows in batches; ``most`` is how many there can be."""
    cursor = connection.cursor() if most <= BATCH_ROWS else connection.chunked_cursor()
    with cursor:
        cursor.execute(statement.sql, statement.params)
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield batch


def list_answer(rows: Iterable[Iterable[str]], *, count: int, links: Links, streamed: bool) -> HttpResponseBase:
    """The envelope around rows that are JSON text already, in batches; there is at least one."""
    # The envelope of a list of one, cut open where its row stands.
    head, tail = orjson.dumps(envelope([0], count=count, links=links)).rsplit(b"0", 1)
    chunks = _join(head, rows, tail)
    if streamed:
        return StreamingHttpResponse(chunks, content_type="application/json")
    return HttpResponse(b"".join(chunks), content_type="application/json")


def _join(head: bytes, batches: Iterable[Iterable[str]], tail: bytes) -> Iterator[bytes]:
    before = head
    for batch in batches:
        yield before + ",".join(batch).encode()
        before = b","
    yield tail
