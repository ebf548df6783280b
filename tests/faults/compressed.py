"""Compressed time: Python's clock and PostgreSQL's run on together from a chosen moment, and jump on demand.

Nothing of the platform is replaced. PostgreSQL finds the functions that tell the time in a schema that stands before
its own; monotonic clocks, by which sessions are bounded, run as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine
from django.db import connection
from django.db.backends.utils import CursorWrapper

_FUNCTIONS = ("now", "clock_timestamp", "statement_timestamp", "transaction_timestamp")


class CompressedTime:
    """The moment that everybody believes in."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller

    def now(self) -> datetime:
        return datetime.now(UTC)

    def pass_by(self, span: timedelta) -> None:
        """Let so much time pass at once."""
        self._traveller.shift(span)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE compressed.clock SET ahead = ahead + make_interval(secs => %s)", [span.total_seconds()]
            )


@contextmanager
def compressed_time(start: datetime) -> Iterator[CompressedTime]:
    """From ``start`` (aware) on, for the threads of this process and for the sessions that they open."""
    ahead = start - datetime.now(UTC)
    _set_up(ahead)
    try:
        with time_machine.travel(start, tick=True) as traveller:
            yield CompressedTime(traveller)
    finally:
        _take_down()


def _set_up(ahead: timedelta) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA compressed")
        cursor.execute(
            "CREATE TABLE compressed.clock AS SELECT make_interval(secs => %s) AS ahead", [ahead.total_seconds()]
        )
        for name in _FUNCTIONS:
            cursor.execute(
                f"CREATE FUNCTION compressed.{name}() RETURNS timestamptz LANGUAGE sql VOLATILE"
                f" AS 'SELECT pg_catalog.{name}() + ahead FROM compressed.clock'"
            )
        _put_first(cursor, "compressed, public, pg_catalog")
    connection.close()  # the next session finds its functions there


def _take_down() -> None:
    connection.close()
    with connection.cursor() as cursor:
        _put_first(cursor, "DEFAULT")
        cursor.execute("DROP SCHEMA compressed CASCADE")
    connection.close()


def _put_first(cursor: CursorWrapper, path: str) -> None:
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    cursor.execute(f"ALTER DATABASE {database} SET search_path TO {path}")
