"""Three clocks: the terminal's, the database's, and this server's.

The database's is the one by which a terminal's is judged, because all workers share it. A terminal's clock is set only
while the server's agrees with it: of two clocks that differ nobody knows which is right.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from devices.driver.errors import TerminalError
from devices.driver.session import TerminalSession
from devices.models import Device, SyncRun
from iclock.domain.ingest import WallRange
from zkbio.accounts.domain.audit import record
from zkbio.accounts.models import AuditEntry
from zkbio.clock import zone

ACTOR: Final = "sync"
SET_CLOCK: Final = "devices.set_clock"
# How far the server's clock and the database's may be apart for either to be believed.
AGREEMENT: Final = timedelta(seconds=5)
# A unit that doesn't take the time, or doesn't keep it, is not asked again for so long.
REFUSED_FOR: Final = timedelta(days=1)
# Punches of a terminal that was never heard of before are doubted for so long back, when its clock is wrong.
_FIRST_DOUBT: Final = timedelta(days=1)
# What is remembered of a clock is rounded, and so is what it shows.
_WHOLE_SECONDS: Final = timedelta(seconds=2)
_MOST_DRIFT: Final = 2**31 - 1

_log = logging.getLogger(__name__)


class DatabaseClock(NamedTuple):
    """The database's clock as it was read once, carried on by the monotonic one: it needs no connection."""

    read: datetime
    at: float

    def now(self) -> datetime:
        return self.read + timedelta(seconds=time.monotonic() - self.at)


class Correction(NamedTuple):
    """What came of setting a clock that was ``drift`` ahead: what it then showed and when, or why it wasn't set."""

    drift: timedelta
    shown: datetime | None = None
    at: datetime | None = None
    error: TerminalError | None = None


def read_clock() -> DatabaseClock:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (moment,) = cursor.fetchone()
    return DatabaseClock(moment, time.monotonic())


def zone_of(device: Device) -> tzinfo:
    """Where the device's terminal hangs, as far as that is known."""
    name = device.terminal.time_zone if device.terminal else device.time_zone
    return zone(name or settings.ZKBIO_TIME_ZONE)


def wall_at(moment: datetime, where: tzinfo) -> datetime:
    """The naive local time there, to the second."""
    return moment.astimezone(where).replace(tzinfo=None, microsecond=0)


def drift_of(wall: datetime, heard_at: datetime, where: tzinfo) -> timedelta:
    """How far a clock that showed ``wall`` was ahead of the local time there.

    Local times are compared: in the hour that a change of clocks leaves out or repeats, an instant behind ``wall``
    would be a guess, and hide that the terminal doesn't know of the change.
    """
    return wall - heard_at.astimezone(where).replace(tzinfo=None)


def seconds_of(drift: timedelta | None) -> int | None:
    """Bounded to what a column holds: clocks say anything."""
    return None if drift is None else max(-_MOST_DRIFT, min(_MOST_DRIFT, round(drift.total_seconds())))


def tolerance() -> timedelta:
    """A clock that is off by more is wrong: an alarm."""
    return timedelta(seconds=settings.CLOCK_ALARM_SECONDS)


def doubtful(
    wall: datetime,
    drift: timedelta,
    *,
    before: timedelta = timedelta(0),
    since_last: timedelta | None,
    reading: timedelta,
) -> WallRange | None:
    """The stamps that a wrong clock may have given from when it was heard last until the log was read; else None.

    ``wall`` is what it showed, ``since_last`` how long before then it was heard last, ``reading`` how long the visit
    took from then on. ``before`` is how far it was ahead when it was heard last: one that was wrong then and is right
    now was set in between, nobody knows when, and stamped as wrongly until then.
    """
    wrong = [ahead for ahead in (before, drift) if abs(ahead) > tolerance()]
    if not wrong:
        return None
    right = wall - drift
    since = right - (_FIRST_DOUBT if since_last is None else since_last)
    slack = _WHOLE_SECONDS if before in wrong else timedelta(0)
    return since + min(wrong) - slack, right + max(wrong) + reading + slack


def correct_clock(session: TerminalSession, device: Device, drift: timedelta | None) -> Correction | None:
    """Set the terminal's clock if it is off and is to be corrected. Raises TerminalError. Keeps no connection."""
    terminal = device.terminal
    if drift is None or terminal is None or not terminal.corrects_clock:
        return None
    if abs(drift) <= timedelta(seconds=settings.CLOCK_TOLERANCE_SECONDS):
        return None
    try:
        right = None if _refused_lately(device) else agreed_time(device)
    finally:
        connection.close()
    if right is None:
        return None
    shown = session.set_clock(wall_at(right.now(), zone_of(device)))
    return Correction(drift, shown=shown, at=right.now())


def record_correction(device: Device, correction: Correction) -> None:
    """For the trail, in the transaction that ends the visit."""
    told = {"id": device.key, "was_ahead_seconds": seconds_of(correction.drift)}
    if correction.shown is not None:
        told["shows"] = correction.shown.isoformat(" ")
        _log.info("The clock of device %s was off by %s s and was set.", device.key, told["was_ahead_seconds"])
    else:
        told["error"] = str(correction.error)
        _log.warning("The clock of device %s could not be set: %s", device.key, correction.error)
    record(actor=ACTOR, action=SET_CLOCK, subject=str(device), detail=told)


def agreed_time(device: Device) -> DatabaseClock | None:
    """The time, where the server's clock and the database's agree on it; else None, and a warning is logged."""
    clock = read_clock()
    apart = abs(timezone.now() - clock.read)
    if apart <= AGREEMENT:
        return clock
    _log.warning(
        "The clock of device %s is not set: this server's clock and the database's are %.0f s apart.",
        device.key,
        apart.total_seconds(),
    )
    return None


def was_set_before(device: Device, correction: Correction) -> bool:
    """Whether the clock, which was wrong now, was as wrong at the last visit that succeeded, and set then.

    One that doesn't stay as it was set is set by something else too, or its zone here is wrong.
    """
    if correction.shown is None or abs(correction.drift) <= tolerance():
        return False
    last = device.runs.exclude(outcome=SyncRun.Outcome.FAILED).exclude(trigger=SyncRun.Trigger.LIVE).first()
    if last is None or last.drift is None or abs(last.drift) <= tolerance().total_seconds():
        return False
    told = _last_correction(device)
    return told is not None and "shows" in told and told["was_ahead_seconds"] == last.drift


def _refused_lately(device: Device) -> bool:
    told = _last_correction(device)
    return told is not None and "error" in told


def _last_correction(device: Device) -> dict[str, Any] | None:
    """What the trail tells of the last time that a visit set the clock, or tried to, within a day."""
    tried = AuditEntry.objects.filter(actor=ACTOR, action=SET_CLOCK, at__gt=Now() - REFUSED_FOR, detail__id=device.key)
    return tried.order_by("-id").values_list("detail", flat=True).first()
