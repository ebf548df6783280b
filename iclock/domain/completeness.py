"""Up to which moment every punch of a terminal is known to be here, so that nobody is called absent before that."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Final

from django.db import connection

from iclock.models import Terminal
from zkbio.clock import repeated_for

# Never back: what was known to be here stays here. A terminal that nobody has heard of yet gets its row with it.
_MOVE: Final = """
INSERT INTO iclock_terminalpresence AS known (terminal_id, online, since, complete_until)
VALUES (%s, false, now(), %s)
ON CONFLICT (terminal_id) DO UPDATE SET complete_until = excluded.complete_until
WHERE known.complete_until IS NULL OR known.complete_until < excluded.complete_until"""


def complete_until(
    heard_at: datetime, drift: timedelta | None, *, tolerance: timedelta, where: tzinfo
) -> datetime | None:
    """The moment before which nothing is missing of a log that was read whole after the clock was heard, ``heard_at``.

    A punch made before then is in the log; on a clock that is behind it is stamped earlier, so the stamps are complete
    only up to what the clock showed. None when nobody knows at which stamps the punches of now lie: the clock tells
    nothing, or is off by more than ``tolerance``.

    While an hour happens twice in the terminal's zone ``where``, punches still to come may be stamped as of its very
    beginning, which is at most two such hours ago: in effect the moment stands still until the hour is over.
    """
    if drift is None or abs(drift) > tolerance:
        return None
    until = min(heard_at, heard_at + drift)
    return until - 2 * repeated_for(until, where)


def move_complete_until(terminal: Terminal, moment: datetime) -> None:
    """To be called in the transaction that stores the punches, or that finds there are none. Never moves back."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [terminal.pk, moment])
