"""Lists whose rows PostgreSQL writes as JSON: Python only passes the text on.

A long list is read from a cursor that PostgreSQL holds into a file of its own, and sent from there: the process keeps
one batch of rows at a time, and a slow client holds neither a transaction nor a connection.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import count
from typing import IO, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import orjson
from django.db import NotSupportedError, connection
from django.db.backends.utils import CursorWrapper
from django.http import FileResponse, HttpResponse, HttpResponseBase

from zkbio.api.pagination import Links, envelope

BATCH_ROWS: Final = 2000
_SPOOL_BYTES: Final = 2 * 1024 * 1024
# Statements kept prepared per connection: more than the filters and orders that clients use, and a limit all the same.
_MOST_PREPARED: Final = 100

Row = tuple[Any, ...]


class Statement(NamedTuple):
    """A query and its parameters, named ``%(name)s``."""

    sql: str
    params: dict[str, Any]


def read_batches(statement: Statement, *, most: int) -> Iterator[list[Row]]:
    """The rows in batches; ``most`` is how many there can be."""
    if most <= BATCH_ROWS:
        with connection.cursor() as cursor:
            _execute_prepared(cursor, statement)
            if rows := cursor.fetchall():
                yield rows
        return
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement.sql, statement.params)
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield batch


def list_answer(rows: Iterable[Iterable[str]], *, count: int, links: Links, streamed: bool) -> HttpResponseBase:
    """The envelope around rows that are JSON text already, in batches; there is at least one."""
    # The envelope of a list of one, cut open where its row stands.
    head, tail = orjson.dumps(envelope([0], count=count, links=links)).rsplit(b"0", 1)
    chunks = _join(head, rows, tail)
    if streamed:
        return FileResponse(_spool(chunks), content_type="application/json")
    return HttpResponse(b"".join(chunks), content_type="application/json")


def _join(head: bytes, batches: Iterable[Iterable[str]], tail: bytes) -> Iterator[bytes]:
    before = head
    for batch in batches:
        yield before + ",".join(batch).encode()
        before = b","
    yield tail


def _spool(chunks: Iterable[bytes]) -> IO[bytes]:
    """The answer in a nameless file (in memory while it is small), and the connection free for others."""
    spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - the response closes it
    for chunk in chunks:
        spool.write(chunk)
    spool.seek(0)
    let_connection_go()
    return spool


def let_connection_go() -> None:
    """Before a file is sent, which takes as long as its reader likes. Not out of somebody's transaction."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


# The statements that each connection has met; those of twice and more are prepared, under the name beside them.
_statements: Final[WeakKeyDictionary[Any, dict[str, str]]] = WeakKeyDictionary()
# A name is never used again: after an error nobody knows whether it was taken.
_numbers: Final = count()


def _execute_prepared(cursor: CursorWrapper, statement: Statement) -> None:
    """Execute; from its second time on a connection without parsing and planning, which take longer than a page."""
    known = _statements.setdefault(connection.connection, {})
    if statement.sql not in known:
        if len(known) < _MOST_PREPARED:
            known[statement.sql] = ""
        cursor.execute(statement.sql, statement.params)
        return
    names = [name for name in statement.params if f"%({name})s" in statement.sql]
    prepared = known[statement.sql] or f"zkbio_{next(_numbers)}"
    prepare = "" if known[statement.sql] else _prepare(prepared, statement, names)
    arguments = f"({', '.join(['%s'] * len(names))})" if names else ""
    call = cursor.mogrify(f"EXECUTE {prepared}{arguments}", [statement.params[name] for name in names])
    # Without parameters: all of it has its final form, and a percent sign is one.
    try:
        cursor.execute(prepare + call.decode())
    except NotSupportedError:
        # A migration gave its columns other types, and PostgreSQL refuses the old plan for ever.
        known.pop(statement.sql)
        raise
    known[statement.sql] = prepared


def _prepare(name: str, statement: Statement, names: list[str]) -> str:
    """Types follow from where a parameter stands, except of numbers, which may stand in a sum of two."""
    types = ["bigint" if isinstance(statement.params[parameter], int) else "unknown" for parameter in names]
    numbered = statement.sql % {parameter: f"${number}" for number, parameter in enumerate(names, start=1)}
    listed = f"({', '.join(types)})" if types else ""
    return f"PREPARE {name}{listed} AS {numbered};"
