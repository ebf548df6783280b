"""Parts of a unit's log, by its own wall clock, as orders keep them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from iclock.models import Terminal
from zkbio.clock import zone

# No unit's clock shows less.
EARLIEST: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - a wall clock


def span(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": start.isoformat(), "end": end.isoformat()}


def tomorrow(terminal: Terminal) -> datetime:
    """By the unit's clock, so that what is stamped a little ahead is in it."""
    return wall(terminal, timezone.now()) + timedelta(days=1)


def wall(terminal: Terminal, moment: datetime) -> datetime:
    """What a right clock of the unit shows then, in whole seconds."""
    return moment.astimezone(zone(terminal.time_zone)).replace(tzinfo=None, microsecond=0)
