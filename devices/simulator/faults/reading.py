"""Faults of what a unit tells: its counters and its tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from devices.protocol import CMD_GET_FREE_SIZES, CMD_PREPARE_BUFFER
from devices.simulator.faults.base import Fault
from devices.simulator.state import Counts, Table

JUNK: Final = b"\xff255\0\0\0\0\0"


@dataclass(frozen=True, kw_only=True)
class CountOff(Fault):
    """The sizes reply is wrong by that many rows."""

    of: Table = "punches"
    by: int = 1
    command: int | None = CMD_GET_FREE_SIZES
    times: int | None = None

    def counts(self, counts: Counts) -> Counts:
        wrong = {
            "users": replace(counts, users=counts.users + self.by),
            "templates": replace(counts, templates=counts.templates + self.by),
            "punches": replace(counts, punches=counts.punches + self.by),
        }
        return wrong[self.of]


@dataclass(frozen=True, kw_only=True)
class ShortSizes(Fault):
    """The sizes reply ends early."""

    length: int = 60
    command: int | None = CMD_GET_FREE_SIZES
    times: int | None = None

    def sizes(self, reply: bytes) -> bytes:
        return reply[: self.length]


@dataclass(frozen=True, kw_only=True)
class RowWidth(Fault):
    """Rows of another width: the unit's own, filled up with zeros or cut (49 and 22 bytes have been seen)."""

    width: int
    of: Table = "punches"
    command: int | None = CMD_PREPARE_BUFFER
    times: int | None = None

    def table(self, name: Table, rows: bytes, width: int) -> bytes:
        if name != self.of or not width:
            return rows
        cut = (rows[start : start + width] for start in range(0, len(rows), width))
        return b"".join(row[: self.width].ljust(self.width, b"\0") for row in cut)


@dataclass(frozen=True, kw_only=True)
class JunkPrefix(Fault):
    """Nine junk bytes stand between a table's total and its rows; the total counts them."""

    of: Table = "punches"
    command: int | None = CMD_PREPARE_BUFFER
    times: int | None = None

    def table(self, name: Table, rows: bytes, width: int) -> bytes:
        return JUNK + rows if name == self.of else rows


@dataclass(frozen=True, kw_only=True)
class PunchAfter(Fault):
    """Somebody punches right after the answer to ``command`` was made, even on a disabled unit.

    By default a punch lands between the counters and the table that should agree with them.
    """

    user_id: str
    command: int | None = CMD_GET_FREE_SIZES

    def punches_after(self) -> str | None:
        return self.user_id
