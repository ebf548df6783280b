"""Decoding the rows of a log, of which some may be stored although nothing is remembered of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from devices.driver.tables import Log, Rows, decode_punches
from iclock.models import Transaction
from iclock.punch import Punch, Reject

# A row of this width names only the unit's own number of a person, which is another person's later on.
_NUMBERED: Final = 8
_BATCH: Final = 5_000
_REASON: Final = (
    "a punch of {} with this time is stored, and number {} of the terminal is {}'s now: if it is another punch, say"
    " whose it was"
)

# What a row of 8 bytes says beside the number.
_Stamp = tuple[datetime, int, int]


def decode_rows(terminal_sn: str, rows: Rows, *, known: int, user_ids: Mapping[int, str]) -> Log:
    """The punches of these rows, which come behind ``known`` ones that were recognised.

    Where nothing was recognised (the device was entered anew, its unit replaced and put back, its log restored) old
    rows of 8 bytes are among them, and today's user table would give them to whoever has the number now. An old row is
    found by what is stored of the terminal: a punch with its time, state and verification. Is that the same person's,
    it is a duplicate. Is it only somebody else's, the row goes to the quarantine, with its bytes: it is hardly another
    punch, because a unit takes one finger at a time, but where clocks are reset it might be one. So nothing is stored
    twice, nobody gets another's punch, and nothing is lost.
    """
    log = decode_punches(rows, user_ids=user_ids)
    if rows.width != _NUMBERED or known:
        return log
    stored = _stored(terminal_sn, log.punches)
    if not any(_is_of_another(punch, stored) for punch in log.punches):
        return log
    return _apart(rows, user_ids, stored)


def _apart(rows: Rows, user_ids: Mapping[int, str], stored: Mapping[_Stamp, set[str]]) -> Log:
    told = Log([], [])
    for at in range(0, len(rows.data), rows.width):
        raw = rows.data[at : at + rows.width]
        punches, rejects = decode_punches(Rows(rows.width, raw), user_ids=user_ids)
        others = [punch for punch in punches if _is_of_another(punch, stored)]
        told.punches.extend(punch for punch in punches if punch not in others)
        told.rejects.extend(rejects)
        told.rejects.extend(Reject(raw, _reason(raw, punch, stored)) for punch in others)
    return told


def _reason(raw: bytes, punch: Punch, stored: Mapping[_Stamp, set[str]]) -> str:
    number = int.from_bytes(raw[:2], "little")
    return _REASON.format(min(stored[_stamp(punch)]), number, punch.emp_code)


def _stored(terminal_sn: str, punches: list[Punch]) -> dict[_Stamp, set[str]]:
    """Whose punches of these moments are stored."""
    moments = sorted({punch.punch_time for punch in punches})
    known: dict[_Stamp, set[str]] = {}
    for start in range(0, len(moments), _BATCH):
        batch = moments[start : start + _BATCH]
        there = Transaction.objects.filter(terminal_sn=terminal_sn, punch_time__in=batch)
        for punch in there.only("emp_code", "punch_time", "punch_state", "verify_type"):
            known.setdefault((punch.punch_time, punch.punch_state, punch.verify_type), set()).add(punch.emp_code)
    return known


def _is_of_another(punch: Punch, stored: Mapping[_Stamp, set[str]]) -> bool:
    codes = stored.get(_stamp(punch))
    return codes is not None and punch.emp_code not in codes


def _stamp(punch: Punch) -> _Stamp:
    return punch.punch_time, punch.punch_state, punch.verify_type
