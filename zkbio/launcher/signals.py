"""Ctrl-C, SIGTERM and SIGHUP: one word to stop, however often it is said."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from zkbio.launcher.trouble import StopRequestedError


class StopSignals:
    """Only remembers that a stop was asked for, except inside `interruptible()`, which it leaves by an exception.

    So no signal can cut the moment between a program's start and its being recorded, nor the orderly stop.
    """

    def __init__(self) -> None:
        self.requested = False
        self._may_interrupt = False

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too where a script's "&" had it ignored
            signal.signal(number, self._arrived)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's wish is respected
            signal.signal(signal.SIGHUP, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._may_interrupt:
            self._may_interrupt = False
            raise StopRequestedError

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        self._may_interrupt = True
        try:
            if self.requested:
                raise StopRequestedError
            yield
        finally:
            self._may_interrupt = False
