"""gunicorn's configuration (``--config python:zkbio.launcher.leaving``): a web process that stops keeps no terminal.

A request that talks to a slow terminal would hold up the stop until the terminal has answered, or the launcher's
patience is at an end.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import gevent


def post_worker_init(_worker: Any) -> None:
    """On SIGTERM the process stops as gunicorn says, and breaks off its conversations."""
    from devices.driver.guarded import stop_all  # noqa: PLC0415 - after the worker has patched its locks

    leave: Any = signal.getsignal(signal.SIGTERM)

    def hang_up(number: int, frame: FrameType | None) -> None:
        gevent.spawn(stop_all)  # whoever was interrupted by the signal may hold the lock that it takes
        leave(number, frame)

    signal.signal(signal.SIGTERM, hang_up)
