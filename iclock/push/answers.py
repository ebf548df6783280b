"""What terminals that dial us are answered, to the byte. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from iclock.push.text import encode_time

OK: Final = b"OK"
PUSH_VERSION: Final = "2.4.1"
PUSH3_VERSION: Final = "3.1.2"
# "Continue behind what you last sent"; a stamp of 0 asks for everything.
CONTINUE: Final = "None"
CONTINUE_OLD: Final = "9999"
STAMPED: Final = ("ATTLOG", "OPERLOG", "ATTPHOTO", "BIODATA")
# Pictures of fingers ("FPImag") aren't asked for: nobody here has a use for them.
UPLOADED: Final = (
    *("AttLog", "OpLog", "AttPhoto", "EnrollUser", "ChgUser", "EnrollFP", "ChgFP"),
    *("FACE", "UserPic", "FVEIN", "BioPhoto"),
)
TABLES_3: Final = ("User", "Transaction")

_OLD_STAMPS: Final = (("Stamp", "ATTLOG"), ("OpStamp", "OPERLOG"), ("PhotoStamp", "ATTPHOTO"))
_OLD_BELOW: Final = (2, 2)
_VERSION: Final = re.compile(r"(\d{1,3})\.(\d{1,3})")
_HOURS: Final = 12
_REGISTRY_CODE: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_MOST_OPTION: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a unit is to behave; times in seconds, of ``trans_interval`` in minutes.

    ``stamps`` are by table; a table without one continues. ``push_version`` is what the unit says it speaks.
    """

    serial: str
    offset_minutes: int
    stamps: Mapping[str, str] = field(default_factory=dict)
    error_delay: int = 30
    delay: int = 10
    trans_times: str = "00:00;14:05"
    trans_interval: int = 1
    realtime: bool = True
    server_version: str = PUSH_VERSION
    push_version: str = ""


def option_block(options: Options) -> bytes:
    """The answer to a unit's first request. Raises ValueError for a control character in a value."""
    old = is_old(options.push_version)
    stamps = {table: options.stamps.get(table, CONTINUE) for table in STAMPED}
    return _lines(
        f"GET OPTION FROM: {options.serial}",
        *(f"{table}Stamp={stamp}" for table, stamp in stamps.items()),
        *(f"{key}={options.stamps.get(table, CONTINUE_OLD)}" for key, table in _OLD_STAMPS if old),
        f"ErrorDelay={options.error_delay}",
        f"Delay={options.delay}",
        f"TransTimes={options.trans_times}",
        f"TransInterval={options.trans_interval}",
        # In words: the digits mean different tables on different generations.
        "TransFlag=TransData " + "\t".join(UPLOADED),
        f"TimeZone={time_zone_value(options.offset_minutes)}",
        f"Realtime={options.realtime:d}",
        "Encrypt=None",
        f"ServerVer={options.server_version}",
        f"PushProtVer={PUSH_VERSION}",
    )


def is_old(push_version: str) -> bool:
    """Whether the unit may know only the old names of the stamps: it tells no version, or one below 2.2."""
    match = _VERSION.match(push_version)
    return match is None or (int(match[1]), int(match[2])) < _OLD_BELOW


def time_zone_value(offset_minutes: int) -> str:
    """Whole hours within 12 as hours, everything else as minutes.

    A unit takes what is within 12 for hours, so an offset of so few minutes, which no place has, can't be told.
    """
    hours, minutes = divmod(abs(offset_minutes), 60)
    sign = "-" if offset_minutes < 0 else ""
    if minutes == 0 and hours <= _HOURS:
        return f"{sign if hours else ''}{hours}"
    return str(offset_minutes) if abs(offset_minutes) > _HOURS else "0"


def time_answer(moment: datetime) -> bytes:
    """``Time=2026-11-22T10:00:00+01:00``. Raises ValueError for a naive moment."""
    return b"Time=" + _aware(moment).isoformat(timespec="seconds").encode()


def rttime_answer(moment: datetime) -> bytes:
    """For 3.x units: the moment by Greenwich, as they count seconds, and the zone that they add to it.

    Raises ValueError for a naive moment.
    """
    return f"DateTime={encode_time(_aware(moment).astimezone(UTC))},ServerTZ={moment:%z}".encode()


def push_config(
    *,
    session: str,
    server_name: str = "ZKBio",
    error_delay: int = 30,
    request_delay: int = 10,
    trans_interval: int = 1,
    tables: Sequence[str] = TABLES_3,
    timeout: int = 10,
) -> bytes:
    """How a 3.x unit is to behave. Raises ValueError for a control character in a value."""
    return _lines(
        f"ServerVersion={PUSH3_VERSION}",
        f"ServerName={server_name}",
        f"PushProtVer={PUSH3_VERSION}",
        f"ErrorDelay={error_delay}",
        f"RequestDelay={request_delay}",
        f"TransInterval={trans_interval}",
        f"TransTables={' '.join(tables)}",
        "Realtime=1",
        f"SessionID={session}",
        f"TimeoutSec={timeout}",
    )


def registry_answer(code: str) -> bytes:
    """The code that a 3.x unit is registered by, always the same. Raises ValueError for what can't be one."""
    if not _REGISTRY_CODE.fullmatch(code):
        raise ValueError("A registry code has 1 to 32 letters and digits.")
    return f"RegistryCode={code}".encode()


def acknowledged(count: int) -> bytes:
    """So many lines are safe here."""
    return b"OK: %d" % count


def _lines(*lines: str) -> bytes:
    return "".join(_checked(lines)).encode()


def _checked(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if len(line) > _MOST_OPTION or not line.replace("\t", "").isprintable():
            raise ValueError("An option holds a line end or another control character, or is too long.")
        yield f"{line}\n"


def _aware(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError("A moment that a unit sets its clock by has a time zone.")
    return moment
