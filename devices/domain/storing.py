"""Storing without holding up a process of gevent's, where nobody else runs until psycopg2 has its answer.

There the statements that store, and the COMMIT, wait in native threads while the loop serves the others. What they
belong to stays in its greenlet, with its connection and its transaction. Few store at a time: writers take turns
anyway, and each that waits for its turn holds one of the process's connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any, Final

import gevent
from django.db import connections
from gevent.monkey import is_module_patched

MOST_STORING: Final = 2

_places = BoundedSemaphore(MOST_STORING)


@contextmanager
def storing() -> Iterator[None]:
    """Enter it before a database connection is used: who waits for a place holds none."""
    if not is_module_patched("threading"):
        yield
        return
    connection: Any = connections["default"]  # only pooled connections commit beside, and gevent's are pooled
    with _places, connection.execute_wrapper(_beside):
        connection.beside = _beside
        try:
            yield
        finally:
            connection.beside = None


def _beside(call: Callable[..., Any], *arguments: Any) -> Any:
    return gevent.get_hub().threadpool.apply(call, arguments)
