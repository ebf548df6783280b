"""What a server's answers mean to a unit: the option block, the configuration of 3.x, the time, and the commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from devices.protocol import decode_time

MOST_COMMANDS: Final = 1_000
_COMMAND: Final = re.compile(r"C:(\d{1,18}):(.+)", re.ASCII)
_SERVER_TZ: Final = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_MOST_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server asks of the unit; seconds, but ``trans_interval`` in minutes. ``stamps`` are as told."""

    delay: float = 10.0
    error_delay: float = 30.0
    trans_interval: float = 1.0
    realtime: bool = True
    time_zone: timedelta | None = None
    stamps: Mapping[str, str] | None = None

    def from_start(self, key: str) -> bool:
        """Whether the server wants everything of a table again."""
        return (self.stamps or {}).get(key) == "0"


def read_settings(text: str) -> Settings:
    """The lines ``key=value`` of an option block or of a 3.x configuration; what can't be read is as usual."""
    pairs = (line.strip().partition("=") for line in text.splitlines())
    told = {key.strip(): value.strip() for key, equals, value in pairs if equals}
    usual = Settings()
    return Settings(
        delay=_seconds(told.get("Delay", told.get("RequestDelay", "")), usual.delay),
        error_delay=_seconds(told.get("ErrorDelay", ""), usual.error_delay),
        trans_interval=_seconds(told.get("TransInterval", ""), usual.trans_interval),
        realtime=told.get("Realtime", "1") != "0",
        time_zone=_time_zone(told.get("TimeZone", "")),
        stamps=told,
    )


def _seconds(text: str, usual: float) -> float:
    return min(float(text), _MOST_SECONDS) if text.isascii() and text.isdecimal() else usual


def _time_zone(text: str) -> timedelta | None:
    """Hours within ±12, else minutes."""
    try:
        number = int(text)
    except ValueError:
        return None
    return timedelta(hours=number) if abs(number) <= 12 else timedelta(minutes=number)


def wall_time(date_header: str, time_zone: timedelta | None) -> datetime | None:
    """What a Date header and the server's TimeZone make the display show; None when one is missing or unreadable."""
    try:
        moment = parsedate_to_datetime(date_header)
    except ValueError:
        return None
    if time_zone is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(tzinfo=None) + time_zone


def wall_time_of_rttime(text: str) -> datetime | None:
    """``DateTime=<seconds of the protocol, Greenwich>,ServerTZ=+0530``; None when it can't be read."""
    told = dict(part.strip().partition("=")[::2] for part in text.split(","))
    zone = _SERVER_TZ.fullmatch(told.get("ServerTZ", ""))
    if zone is None or not told.get("DateTime", "").isdecimal():
        return None
    offset = timedelta(hours=int(zone[2]), minutes=int(zone[3]))
    try:
        return decode_time(int(told["DateTime"])) + (offset if zone[1] == "+" else -offset)
    except ValueError:
        return None


def read_commands(text: str) -> list[tuple[int, str]]:
    """The commands of a getrequest's answer with their ids; other lines are none."""
    found = (_COMMAND.fullmatch(line.rstrip("\r")) for line in text.split("\n"))
    return [(int(match[1]), match[2]) for match in found if match][:MOST_COMMANDS]
