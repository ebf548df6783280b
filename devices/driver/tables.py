"""The terminals' tables, decoded once and in linear time. Pure: bytes in, values out, nothing guessed.

A table is ``<total u32><rows>``. The width of a row isn't told: it is accepted only where total / width lies between
the counters that the terminal gave before and after the transfer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from devices import protocol
from devices.driver.errors import MiscountError
from iclock.punch import Punch, Reject

PUNCH_WIDTHS: Final = (40, 16, 8)
# Some firmware puts this in front of the rows.
_JUNK: Final = bytes.fromhex("ff3235350000000000")
_SECONDS_A_DAY: Final = 86_400


class Rows(NamedTuple):
    """The rows of a table, end to end, each ``width`` bytes. An empty table has width 0."""

    width: int
    data: bytes

    def __len__(self) -> int:
        return len(self.data) // self.width if self.width else 0

    def head(self, count: int) -> Rows:
        """The first ``count`` rows."""
        return Rows(self.width, self.data[: count * self.width])

    def tail(self, known_bytes: int) -> Rows:
        """The rows behind the first ``known_bytes`` bytes."""
        return Rows(self.width, self.data[known_bytes:])


class Log(NamedTuple):
    """A decoded punch log."""

    punches: list[Punch]
    rejects: list[Reject]


def split_rows(table: bytes, *, widths: tuple[int, ...], between: tuple[int, int]) -> Rows:
    """Find the rows of a table whose row count lies within ``between``, inclusive. Raises MiscountError."""
    low, high = min(between), max(between)
    for rows in _candidates(table):
        if not rows:
            fitting = [0] if low == 0 else []
        else:
            fitting = [w for w in widths if len(rows) % w == 0 and low <= len(rows) // w <= high]
        if len(fitting) == 1:
            return Rows(fitting[0], rows)
    counted = f"{low}" if low == high else f"{low} to {high}"
    raise MiscountError(
        f"the terminal counts {counted} rows but delivered {len(table)} bytes, which is no such number of rows of"
        f" {', '.join(map(str, widths))} bytes; it will be read again"
    )


def decode_punches(rows: Rows, *, user_ids: Mapping[int, str]) -> Log:
    """The punches of a log; a row that can't be one is rejected with its bytes and the reason.

    ``user_ids`` maps the unit's uid to the user id; only rows of 8 bytes need it.
    """
    log = Log([], [])
    days = _Days()
    for index, (code, moment, state, verify, work_code) in enumerate(_punch_fields(rows, user_ids)):
        day, seconds = divmod(moment, _SECONDS_A_DAY)
        date = days[day]
        if code and date:
            wall = datetime(*date, seconds // 3600, seconds // 60 % 60, seconds % 60)  # noqa: DTZ001 - a wall clock
            log.punches.append(Punch(code, wall, state, verify, work_code))
        else:
            raw = rows.data[index * rows.width : (index + 1) * rows.width]
            log.rejects.append(
                Reject(raw, _reason(rows, raw) if date else f"no calendar has the date of time {moment}")
            )
    return log


def decode_row(raw: bytes) -> Punch | None:
    """A row by itself; its ``emp_code`` is "" where it names nobody. None where it tells no date, or is no row."""
    if len(raw) not in PUNCH_WIDTHS:
        return None
    ((code, moment, state, verify, work_code),) = _punch_fields(Rows(len(raw), raw), {})
    try:
        return Punch(code, protocol.decode_time(moment), state, verify, work_code)
    except ValueError:
        return None


_Fields = tuple[str, int, int, int, str | None]


def _reason(rows: Rows, raw: bytes) -> str:
    """Why a row names nobody."""
    if rows.width == 8:
        return f"uid {int.from_bytes(raw[:2], 'little')} is not in the terminal's user table"
    return "the user id is empty, zero or no text"


def _punch_fields(rows: Rows, user_ids: Mapping[int, str]) -> Iterator[_Fields]:
    """User id ("" when it is none), time, state, verification and work code of each row."""
    if rows.width == 40:
        codes = _Codes()
        for _uid, code, verify, moment, state, _reserved in protocol.PUNCH_40.iter_unpack(rows.data):
            yield codes[code], moment, state, verify, None
    elif rows.width == 16:
        for number, moment, verify, state, work_code in protocol.PUNCH_16.iter_unpack(rows.data):
            yield str(number or ""), moment, state, verify, str(work_code) if work_code else None
    elif rows.width == 8:
        for uid, verify, moment, state in protocol.PUNCH_8.iter_unpack(rows.data):
            yield user_ids.get(uid, ""), moment, state, verify, None


class _Codes(dict[bytes, str]):
    """User ids by their padded bytes, each decoded once; "" for what is none."""

    def __missing__(self, padded: bytes) -> str:
        self[padded] = code = read_user_id(padded)
        return code


class _Days(dict[int, tuple[int, int, int] | None]):
    """Dates by the protocol's day number, each decoded once; None for a day that no calendar has."""

    def __missing__(self, day: int) -> tuple[int, int, int] | None:
        try:
            moment = protocol.decode_time(day * _SECONDS_A_DAY)
            self[day] = (moment.year, moment.month, moment.day)
        except ValueError:
            self[day] = None
        return self[day]


def read_user_id(padded: bytes) -> str:
    """The user id in its padded field; "" for what is none."""
    try:
        code = padded.split(b"\0", 1)[0].decode("utf-8").strip()
    except UnicodeDecodeError:
        return ""
    return code if code.isprintable() and code != "0" else ""


def _candidates(table: bytes) -> Iterator[bytes]:
    """What may be the rows: as the total says, or behind the junk that some firmware puts before or after it."""
    for start in (0, len(_JUNK)):
        if start and not table.startswith(_JUNK):
            return
        body = table[start:]
        total = int.from_bytes(body[:4], "little")
        if len(body) >= 4 and len(body) == 4 + total:
            yield body[4:]
        if body[4:].startswith(_JUNK) and len(body) in (4 + total, 4 + total + len(_JUNK)):
            yield body[4 + len(_JUNK) :]
