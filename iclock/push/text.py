"""From a unit's bytes to lines and fields, and what of a bad line may be kept. Pure.

A unit's line ends with LF, CR LF or NUL, its fields stand between TABs, and its text is UTF-8 or the unit's code page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from iclock.punch import Reject

MOST_RAW: Final = 64 * 1024
MOST_REASON: Final = 200
MOST_PIN: Final = 24

# The shortest line that tells something, a time or a person, and how many of a post may be shorter.
_SHORTEST: Final = 16
_MOST_SHORT: Final = 20_000
_LINE: Final = re.compile(rb"[^\r\n\0]+")
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_ODD_MOMENT: Final = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[ T]{1,2}(\d{1,2}):(\d{1,2}):(\d{1,2})", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,5}", re.ASCII)
_ZK_MOMENT: Final = re.compile(r"\d{1,10}", re.ASCII)

# Of lines about people a reject keeps these, and of everything else only how long it was: a password, template or photo
# may stand anywhere in a line that can't be read.
_HARMLESS: Final = frozenset(
    b"uid pin name pri privilege card cardno grp group tz verify disable fid fingerid size valid no index duress type"
    b" majorver minorver format filename starttime endtime time event eventtype eventaddr inoutstatus inoutstate"
    b" verifytype verified doorid time_second errcode cmdid".split()
)
_SECRET: Final = frozenset(b"passwd password tmp template content photo photojpg additional".split())
_SECRET_KEY: Final = re.compile(rb"(passw\w{0,20}|tmp|template\w{0,20}|content|photo\w{0,20})\s{0,5}=", re.IGNORECASE)
_KINDS: Final = frozenset(
    b"user fp face fvein biodata userpic biophoto oplog idcard errorlog template templatev10 facev7 transaction".split()
)
_MOST_FIELDS: Final = 100
_MOST_PARTS: Final = 40
_MOST_HARMLESS: Final = 100


class RefusalError(ValueError):
    """What was sent can't be read; the sentence says why and holds nothing of a password or template."""


def is_rubble(body: bytes) -> bool:
    """Whether these are more and shorter lines than any unit sends; reading millions of them takes half a minute."""
    ends = sum(map(body.count, (b"\n", b"\r", b"\0"))) - body.count(b"\r\n")
    return ends > _MOST_SHORT and ends * _SHORTEST > len(body)


def lines_of(body: bytes, most: int) -> Iterator[bytes]:
    """The lines that say something; of one that is longer than ``most``, its beginning, which is too long too."""
    for match in _LINE.finditer(body):
        start, end = match.span()
        line = body[start : min(end, start + most + 1)]
        if len(line) > most or line.strip():
            yield line


def text_of(line: bytes, most: int, encoding: str) -> str:
    """In UTF-8, else in the unit's code page. Raises RefusalError."""
    require_length(line, most)
    try:
        return line.decode()
    except UnicodeDecodeError:
        pass
    try:
        return line.decode(encoding)
    except (LookupError, ValueError) as error:
        raise RefusalError(f"it is text neither in UTF-8 nor in {encoding[:30]!a}") from error


def require_length(line: bytes, most: int) -> None:
    """Raises RefusalError."""
    if len(line) > most:
        raise RefusalError(f"the line is longer than {most} bytes; its beginning is kept")


def fields_of(text: str) -> dict[str, str]:
    """``PIN=1\\tName=Ana`` by keys in small letters; a value may hold a further ``=``."""
    found: dict[str, str] = {}
    for part in text.split("\t", _MOST_FIELDS):
        key, equals, value = part.partition("=")
        if equals:
            found[key.strip().lower()] = value.strip()
    return found


def number_of(text: str, what: str) -> int:
    """A small number as it was told; 0 where nothing is, as the unit itself has it. Raises RefusalError."""
    if not text:
        return 0
    if _NUMBER.fullmatch(text) is None:
        raise RefusalError(f"its {what} is no number")
    return int(text)


def moment_of(text: str) -> datetime:
    """The unit's wall clock, ``2026-03-02 08:00:00``. Raises RefusalError."""
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text)
        if match := _ODD_MOMENT.fullmatch(text):
            return datetime(*map(int, match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError as error:
        raise RefusalError(f"no calendar has the time {text}") from error
    raise RefusalError("no time such as 2026-03-02 08:00:00 stands where one is expected")


def zk_moment_of(text: str) -> datetime:
    """A wall clock in words, or as the units count it in months of 31 days. Raises RefusalError."""
    return decode_time(int(text)) if _ZK_MOMENT.fullmatch(text) else moment_of(text)


def decode_time(value: int) -> datetime:
    """The moment behind the units' own count of seconds. Raises RefusalError for one like 31 February."""
    days, seconds = divmod(value, 86_400)
    months, day = divmod(days, 31)
    year, month = divmod(months, 12)
    try:
        return datetime(2000 + year, month + 1, day + 1) + timedelta(seconds=seconds)  # noqa: DTZ001
    except (ValueError, OverflowError) as error:
        raise RefusalError("no calendar has its time") from error


def encode_time(moment: datetime) -> int:
    """The units' own count of seconds since 2000, with months of 31 days."""
    days = ((moment.year - 2000) * 12 + moment.month - 1) * 31 + moment.day - 1
    return ((days * 24 + moment.hour) * 60 + moment.minute) * 60 + moment.second


def pin_of(fields: Mapping[str, str]) -> str:
    """Whose line it is. Raises RefusalError for nobody's."""
    pin = fields.get("pin", "")
    if fault := fault_of_pin(pin):
        raise RefusalError(fault)
    # Where blanks stand between the fields, the next ones would be taken for a part of this one.
    if "=" in pin or " " in pin:
        raise RefusalError("its fields aren't separated by TABs")
    return pin


def fault_of_pin(pin: str) -> str:
    """Why this is nobody's user id; "" when it may be somebody's."""
    if not pin.strip("0"):
        return "the user id is empty or zero"
    if len(pin) > MOST_PIN:
        return f"the user id has {len(pin)} characters; up to {MOST_PIN} are possible"
    return "" if pin.isprintable() else "the user id is no text, or holds characters that can't be printed"


def reject_of(line: bytes, reason: str) -> Reject:
    """A bad line as it is kept: as it was sent, unless it may hold a password, a template or a photo."""
    raw = line[:MOST_RAW]
    return Reject(without_secrets(raw) if _SECRET_KEY.search(raw) else raw, reason[:MOST_REASON])


def without_secrets(raw: bytes) -> bytes:
    """The line with nothing in it but what is known to be harmless; of the rest, how long it was."""
    word, *parts = re.split(rb"[ \t]", raw, maxsplit=1)
    named = word.lower() in _KINDS and bool(parts)
    head, rest = (word + b" ", parts[0]) if named else (b"", raw)
    kept = b"\t".join(_harmless(part) for part in rest.split(b"\t", _MOST_PARTS))
    return (head + kept)[:MOST_RAW]


def _harmless(part: bytes) -> bytes:
    key, equals, value = part.partition(b"=")
    name = key.strip().lower()
    told = bool(equals) and name in _HARMLESS | _SECRET
    if told and name in _HARMLESS and b"=" not in value and len(value) <= _MOST_HARMLESS:
        return part
    return (key + equals if told else b"") + b"<%d bytes>" % len(value if told else part)
