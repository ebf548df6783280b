"""The values that travel from a terminal's bytes to the door. Pure; no Django."""

from __future__ import annotations

import json
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
    # What only some units tell, which look at a face: whether it wore a mask (255: they didn't look), and its warmth.
    is_mask: int | None = None
    temperature: float | None = None


_ALWAYS: Final = Punch._fields.index("is_mask")
_NOT_TOLD: Final = (None, None)


class Reject(NamedTuple):
    """A record that can't be a punch: its bytes, and why in a sentence."""

    raw: bytes
    reason: str


class Decoded(NamedTuple):
    """What a record says: a punch, or why it is none.

    Both, where all but the person can be read: the punch's ``emp_code`` is then not to be used.
    """

    punch: Punch | None
    fault: str = ""


def punch_to_bytes(punch: Punch) -> bytes:
    """A decoded punch as a line of JSON, for when the bytes that it came from are not at hand.

    The same bytes for the same punch, for ever: what was not always told stands there only where it is.
    """
    fields = [punch.emp_code, punch.punch_time.isoformat(), *punch[2:]]
    return json.dumps({"punch": fields if punch[_ALWAYS:] != _NOT_TOLD else fields[:_ALWAYS]}).encode()


def punch_from_bytes(raw: bytes) -> Punch | None:
    """The punch behind `punch_to_bytes`; None for bytes of another origin."""
    try:
        code, wall, state, verify, work, *seen = json.loads(raw)["punch"]
        punch = Punch(code, datetime.fromisoformat(wall), state, verify, work, *seen)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    sound = isinstance(code, str) and isinstance(work, str | None) and type(state) is type(verify) is int
    sound = sound and type(punch.is_mask) in {int, type(None)} and type(punch.temperature) in {float, int, type(None)}
    return punch if sound else None
