"""Hashing a password takes 0.4 s of a core, and whoever can reach the login page can ask for it.

In the web role it would stop all clients of its process. There it runs in one native thread a process (OpenSSL lets go
of the interpreter's lock meanwhile), at a lower priority than requests; few may wait for it, the others are told so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Final

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.utils.translation import gettext as _
from gevent.lock import BoundedSemaphore
from gevent.monkey import is_module_patched
from gevent.threadpool import ThreadPool

from zkbio.api.errors import Unavailable

MOST_WAITING: Final = 8
_NICENESS: Final = 10


class HashingThread:
    """One native thread beside gevent's loop; at most ``MOST_WAITING`` greenlets hash or wait to."""

    def __init__(self) -> None:
        self._thread = ThreadPool(1)
        self._places = BoundedSemaphore(MOST_WAITING)

    def run(self, work: Callable[[], str]) -> str:
        """What ``work`` gives. Raises Unavailable at once where too many wait already."""
        if not self._places.acquire(blocking=False):
            raise Unavailable(_("Too many logins at the moment; please try again in a few seconds."))
        try:
            hashed: str = self._thread.apply(_at_low_priority, (work,))
        finally:
            self._places.release()
        return hashed


class ApartPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Django's hasher and its hashes, computed where they stop nobody."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        work = partial(super().encode, password, salt, iterations)
        return _hashing_thread().run(work) if is_module_patched("threading") else work()


@cache
def _hashing_thread() -> HashingThread:
    return HashingThread()


def _at_low_priority(work: Callable[[], str]) -> str:
    if sys.platform == "linux":  # elsewhere this would be the whole process
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    return work()
