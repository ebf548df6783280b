"""Wall clocks of terminals and the instants behind them. Pure: the zone and the reading are arguments."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError

_MAX_OFFSET_MINUTES = 14 * 60


class ClockNote(IntEnum):
    """What is odd about a wall-clock time: in its zone (1, 2), or in itself (3 to 5)."""

    PLAIN = 0
    AMBIGUOUS = 1  # the clock was set back: the hour happened twice, the first occurrence is taken
    MISSING = 2  # the clock was set forward: the hour never happened, the offset before the change is taken
    FUTURE = 3  # later than the moment when the punch arrived
    RESET = 4  # of the year at which a terminal's clock begins when its battery is flat
    OFF = 5  # punched while the clock was known to be wrong


class Reading(NamedTuple):
    """How far a wall-clock time is from UTC (minutes east) and whether that is certain."""

    offset_minutes: int
    note: ClockNote

    def instant(self, wall: datetime) -> datetime:
        """The aware UTC instant of the naive ``wall``."""
        return (wall - timedelta(minutes=self.offset_minutes)).replace(tzinfo=UTC)


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """The zone behind an IANA name ("Europe/Madrid") or a fixed offset ("UTC+05:30"). Raises ValueError."""
    if name.startswith(("UTC+", "UTC-")):
        return timezone(timedelta(minutes=_fixed_offset(name)))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is neither an IANA time zone nor an offset such as UTC+05:30") from error


def fixed_zone_name(offset_minutes: int) -> str:
    """The name of the zone that is always ``offset_minutes`` east of UTC: 330 -> "UTC+05:30"."""
    if abs(offset_minutes) > _MAX_OFFSET_MINUTES:
        raise ValueError(f"an offset lies within 14 hours of UTC, got {offset_minutes} minutes")
    hours, minutes = divmod(abs(offset_minutes), 60)
    return f"UTC{'-' if offset_minutes < 0 else '+'}{hours:02}:{minutes:02}"


def validate_zone(name: str) -> None:
    """A model field's validator for zone names."""
    try:
        zone(name)
    except ValueError as error:
        raise ValidationError(f"{error}.", code="time_zone") from error


def read_wall(wall: datetime, where: tzinfo) -> Reading:
    """Place the naive ``wall`` in its zone (PEP 495: fold 0 is the first occurrence)."""
    first, second = (_offset(wall.replace(tzinfo=where, fold=fold)) for fold in (0, 1))
    if first == second:
        return Reading(first, ClockNote.PLAIN)
    return Reading(first, ClockNote.AMBIGUOUS if first > second else ClockNote.MISSING)


def repeated_for(instant: datetime, where: tzinfo) -> timedelta:
    """How long the stretch is that the clocks of the zone show twice, if the instant is in it; nothing if it isn't."""
    wall = instant.astimezone(where).replace(tzinfo=None)
    first, second = (_offset(wall.replace(tzinfo=where, fold=fold)) for fold in (0, 1))
    return timedelta(minutes=max(first - second, 0))


class DayOffsets:
    """Readings of many wall-clock times in one zone: a day without a clock change is looked up once."""

    def __init__(self, where: tzinfo) -> None:
        self._where = where
        self._days: dict[date, Reading | None] = {}

    def read(self, wall: datetime) -> Reading:
        """The same as :func:`read_wall`."""
        day = wall.date()
        try:
            steady = self._days[day]
        except KeyError:
            steady = self._days[day] = self._steady(day)
        return steady or read_wall(wall, self._where)

    def _steady(self, day: date) -> Reading | None:
        """The day's one reading, or None when the clock is changed on it."""
        readings = {read_wall(datetime.combine(day, edge), self._where) for edge in (time.min, time.max)}
        return readings.pop() if len(readings) == 1 else None


def _offset(moment: datetime) -> int:
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("the zone gives no offset")
    return round(offset.total_seconds() / 60)


def _fixed_offset(name: str) -> int:
    sign, hours, colon, minutes = name[3], name[4:6], name[6:7], name[7:]
    if len(name) != 9 or colon != ":" or not (hours.isdecimal() and minutes.isdecimal()) or int(minutes) > 59:
        raise ValueError(f"{name!r} is no offset; write UTC+05:30")
    total = int(hours) * 60 + int(minutes)
    if total > _MAX_OFFSET_MINUTES:
        raise ValueError(f"{name!r} lies more than 14 hours from UTC")
    return -total if sign == "-" else total
