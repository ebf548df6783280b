"""Faults of a unit that is written to: it says no, says yes and does something else, or leaves half-way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from devices.protocol import (
    CMD_ACK_ERROR,
    CMD_ACK_UNKNOWN,
    CMD_PREPARE_DATA,
    CMD_SAVE_USERTEMPS,
    CMD_STARTENROLL,
    USER_72,
)
from devices.simulator.faults.base import Fault, HangUp, Step
from devices.simulator.state import Table


@dataclass(frozen=True, kw_only=True)
class Refuse(Fault):
    """The unit answers ``code`` and does nothing."""

    code: int = CMD_ACK_ERROR

    def refuses(self) -> int | None:
        return self.code


@dataclass(frozen=True, kw_only=True)
class Full(Fault):
    """The unit has no room for another row of that table, and its sizes say so."""

    of: Table = "users"
    times: int | None = None

    def capacity(self, of: Table, capacity: int, held: int) -> int:
        return held if of == self.of else capacity


@dataclass(frozen=True, kw_only=True)
class FillsUp(Fault):
    """The unit has room for ``at`` rows of that table; its sizes don't say so before it holds them."""

    at: int
    of: Table = "users"
    times: int | None = None

    def capacity(self, of: Table, capacity: int, held: int) -> int:
        return held if of == self.of and held >= self.at else capacity


@dataclass(frozen=True, kw_only=True)
class RefuseUpload(Refuse):
    """Old firmware, which knows no upload."""

    code: int = CMD_ACK_UNKNOWN
    command: int | None = CMD_PREPARE_DATA
    times: int | None = None


@dataclass(frozen=True, kw_only=True)
class Capitals(Fault):
    """The unit acknowledges the people of an upload, and keeps their names in upper case."""

    command: int | None = CMD_SAVE_USERTEMPS
    times: int | None = None

    def keeps_user(self, row: bytes) -> bytes:
        name = slice(11, 35) if len(row) == USER_72.size else slice(8, 16)
        return row[: name.start] + row[name].upper() + row[name.stop :]


class Pretend(Fault):
    """The unit acknowledges and does nothing."""

    def received(self, data: bytes) -> bytes | None:
        return None


@dataclass(frozen=True, kw_only=True)
class Misread(Fault):
    """The unit acknowledges, and takes the byte at ``at`` of what came for ``byte``."""

    at: int
    byte: int

    def received(self, data: bytes) -> bytes | None:
        return data[: self.at] + bytes((self.byte,)) + data[self.at + 1 :]


@dataclass(frozen=True, kw_only=True)
class LostBetween(Fault):
    """The unit keeps the people of an upload; before it keeps their templates the connection breaks."""

    command: int | None = CMD_SAVE_USERTEMPS

    def keeps_templates(self) -> bool:
        return False

    def steps(self, steps: list[Step]) -> list[Step]:
        return [HangUp(reset=True)]


@dataclass(frozen=True, kw_only=True)
class EnrolmentEnds(Fault):
    """The enrolments that are started end with ``result``: 4 failed or timed out, 5 duplicate, 6 cancelled."""

    result: Literal[4, 5, 6] = 4
    command: int | None = CMD_STARTENROLL

    def enrolment_result(self) -> int | None:
        return self.result


@dataclass(frozen=True, kw_only=True)
class NobodyComes(Fault):
    """The unit waits for a finger, and nobody puts one on it."""

    command: int | None = CMD_STARTENROLL

    def enrolment_result(self) -> int | None:
        return -1
