"""Storing without holding up a process of gevent's, where nobody else runs until psycopg2 has its answer.

There the statements that store, and the COMMIT, wait in native threads while the loop serves the others. What they
belong to stays in its greenlet, with its connection and its transaction. Few store at a time: writers take turns
anyway, and each that waits for its turn holds one of the process's connections. Because nobody is held up, they may
wait longer for locks than requests do: what was read from a terminal isn't given up for two seconds of others' turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import BoundedSemaphore
from typing import Any, Final, TypeVar

import gevent
from django.conf import settings
from django.db import OperationalError, connections
from gevent.monkey import is_module_patched

T = TypeVar("T")
MOST_STORING: Final = 2
_LOCK_SECONDS: Final = 30.0

# The threads are few, too, and whoever stores needs one for each statement.
_MOST_BESIDE: Final = 2
_BESIDE_SECONDS: Final = 20.0

_places = BoundedSemaphore(MOST_STORING)
_hands = BoundedSemaphore(_MOST_BESIDE)


@contextmanager
def storing(until: float, *, locks: float = _LOCK_SECONDS) -> Iterator[None]:
    """Statements in it wait beside the loop. Who waits for a place holds no connection: it is given back before.

    ``locks`` is for how many seconds each of them may wait for one. Raises OperationalError when there is no place
    ``until`` then, by the monotonic clock.
    """
    if not is_module_patched("threading"):
        yield
        return
    connection: Any = connections["default"]  # only pooled connections commit beside, and gevent's are pooled
    connection.close()
    if not _places.acquire(timeout=max(0.0, until - time.monotonic())):
        raise OperationalError("others were stored for as long as somebody waited")
    try:
        with connection.execute_wrapper(_beside):
            connection.beside, connection.begun = _beside, partial(_be_patient, until, locks)
            yield
    finally:
        connection.beside = connection.begun = None
        _places.release()


def beside(call: Callable[..., T], *arguments: Any) -> T:
    """Its outcome, of what takes long and is no statement: in a process of gevent's the loop serves the others.

    Raises OperationalError when others take as long as somebody waits.
    """
    if not is_module_patched("threading"):
        return call(*arguments)
    if not _hands.acquire(timeout=_BESIDE_SECONDS):
        raise OperationalError("others were read for as long as somebody waited")
    try:
        outcome: T = _beside(call, *arguments)
    finally:
        _hands.release()
    return outcome


def _be_patient(until: float, most: float, cursor: Any) -> None:
    """In this transaction wait for locks until then, within limits; a statement takes as long as ever besides."""
    locks = max(settings.DATABASE_LOCK_SECONDS, min(most, until - time.monotonic()))
    statement = settings.DATABASE_STATEMENT_SECONDS and settings.DATABASE_STATEMENT_SECONDS + locks
    sql = "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)"
    _beside(cursor.execute, sql, [f"{locks * 1000:.0f}", f"{statement * 1000:.0f}"])


def _beside(call: Callable[..., Any], *arguments: Any) -> Any:
    outcome, error = gevent.get_hub().threadpool.apply(_outcome, (call, arguments))
    if error is not None:
        raise error
    return outcome


def _outcome(call: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """An error as a value: gevent prints the traceback of each that such a thread raises, though it is handled."""
    try:
        return call(*arguments), None
    except Exception as error:  # noqa: BLE001 - raised again where it belongs
        return None, error
