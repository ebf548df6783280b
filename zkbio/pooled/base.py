"""Django's PostgreSQL engine with connections that outlive a request.

A greenlet per client means a connection per client for Django, opened and closed at every request: five times the cost
of the page that is read over it. Here a closed connection goes back to the process's pool if it is sound. The pool
never holds more than ``POOL_SIZE`` connections; who finds none waits, bounded, and then is told so. While the database
is away, a process knocks every other second at most, however many requests come.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper, OperationalError
from django.utils.functional import cached_property
from psycopg2 import DatabaseError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 writes the class in small letters

_WAIT_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 2.0
# A connection that answered this recently is not asked whether its server is still there: asking costs a turn of
# gevent's loop, and whoever is unlucky gets the 503 that a server's end means anyway.
_FRESH_SECONDS: Final = 1.0


class Pool:
    """At most ``size`` connections; the one used last is used next, so that a quiet server keeps few."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._idle: list[tuple[Connection, float]] = []
        self._places = threading.BoundedSemaphore(size)
        self._shut_until = 0.0

    def take(self) -> Connection | None:
        """An idle connection, or None with a place for a new one. Raises OperationalError."""
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            raise OperationalError(f"all {self.size} database connections of this process are busy")
        while self._idle:
            connection, since = self._idle.pop()
            if time.monotonic() - since < _FRESH_SECONDS or _is_silent(connection):
                return connection
            connection.close()
        if time.monotonic() < self._shut_until:
            self.free_place()
            raise OperationalError("the database could not be reached a moment ago")
        return None

    def give_back(self, connection: Connection) -> None:
        """End the use of a connection, and keep it if nothing is wrong with it."""
        if not connection.closed and connection.info.transaction_status == TRANSACTION_STATUS_IDLE:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()
        self.free_place()

    def free_place(self) -> None:
        """The place was taken for a connection that could not be made."""
        self._places.release()

    def pause(self, seconds: float) -> None:
        """Nobody tries to connect for that long: they are told at once."""
        self._shut_until = time.monotonic() + seconds


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL, with ``POOL_SIZE`` connections per process and database."""

    _pools: Final[dict[str, Pool]] = {}
    _pools_lock: Final = threading.Lock()
    # Makes the call where its wait holds up nobody else (zkbio.pooled.storing sets it while it stores).
    beside: Callable[[Callable[[], None]], None] | None = None
    # Called with psycopg2's cursor at the beginning of each transaction.
    begun: Callable[[Any], None] | None = None

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return _Errors(self)

    @property
    def pool_of_process(self) -> Pool:
        name = str(self.settings_dict["NAME"])
        with self._pools_lock:
            return self._pools.setdefault(name, Pool(int(self.settings_dict["POOL_SIZE"])))

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        pool = self.pool_of_process
        kept = pool.take()
        if kept is not None:
            return kept
        began = time.monotonic()
        try:
            return super().get_new_connection(conn_params)
        except BaseException:
            # As long again as the attempt took: a connection that times out holds up the whole process meanwhile.
            pool.pause(_PAUSE_SECONDS + time.monotonic() - began)
            pool.free_place()
            raise

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc]
        if self.begun is not None and not autocommit:
            with self.wrap_database_errors, self.connection.cursor() as cursor:
                self.begun(cursor)

    def _commit(self) -> None:
        if self.beside is None or self.connection is None:
            super()._commit()  # type: ignore[misc]
            return
        with self.wrap_database_errors:
            self.beside(self.connection.commit)

    def _close(self) -> None:
        if self.connection is not None:
            self.pool_of_process.give_back(self.connection)


class _Errors(DatabaseErrorWrapper):
    """psycopg2 has no kind for a server that ends in the middle of a statement: it is the one that all are of."""

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is DatabaseError and error.pgcode is None:
            self.wrapper.errors_occurred = True  # type: ignore[attr-defined]
            raise OperationalError(*error.args).with_traceback(traceback) from error
        super().__exit__(kind, error, traceback)


def _is_silent(connection: Connection) -> bool:
    """A server that went away makes the socket readable."""
    silence = select.poll()  # not select(): a server with slow clients has more than 1024 descriptors
    silence.register(connection.fileno(), select.POLLIN)
    return not silence.poll(0)
