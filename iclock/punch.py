"""The values that travel from a terminal's bytes to the door. Pure; no Django."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import Final, NamedTuple


class Source(IntEnum):
    """Who brought a punch. The API tells only terminal (1) from import or hand (0)."""

    IMPORT = 0
    PULL = 1
    PUSH = 2
    MANUAL = 3


# Exact English words whatever the caller's language; clients compare them.
PUNCH_STATES: Final[Mapping[int, str]] = {
    0: "Check In",
    1: "Check Out",
    2: "Break Out",
    3: "Break In",
    4: "Overtime In",
    5: "Overtime Out",
    255: "Unknown",
}
VERIFY_TYPES: Final[Mapping[int, str]] = {
    0: "Password",
    1: "Fingerprint",
    3: "Password",
    4: "Card",
    15: "Face",
    25: "Palm",
    101: "GPS",
    200: "Other",
}


class Punch(NamedTuple):
    """One punch as its terminal told it: ``punch_time`` is the terminal's naive wall clock, the codes are raw."""

    emp_code: str
    punch_time: datetime
    punch_state: int
    verify_type: int
    work_code: str | None = None


class Reject(NamedTuple):
    """A record that can't be a punch: its bytes, and why in a sentence."""

    raw: bytes
    reason: str
