"""What only so many requests of a process do at once: whoever comes then is told to try again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from zkbio.api.errors import Unavailable


@contextmanager
def a_place(places: BoundedSemaphore, sentence: str) -> Iterator[None]:
    """One of ``places``, without waiting for it. Raises Unavailable with the sentence when all are taken."""
    if not places.acquire(blocking=False):
        raise Unavailable(sentence)
    try:
        yield
    finally:
        places.release()
