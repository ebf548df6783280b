"""Storing what a device told without holding up the others of the process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from devices.domain.dialling import Bounds
from zkbio.pooled import storing as aside


@contextmanager
def storing(bounds: Bounds | None = None) -> Iterator[None]:
    """For LIVE_SECONDS at most, or for as long as somebody waits. Raises OperationalError."""
    until = time.monotonic() + settings.LIVE_SECONDS
    if bounds is not None:
        until = min(until, bounds.until)
    with aside.storing(until):
        yield
