"""What is remembered of a terminal's log, so that it is downloaded and decoded only as far as it may hold news."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from django.db.models.functions import Now

from devices.driver.session import Sizes
from devices.driver.tables import Rows
from devices.models import Device

# A log that was cleared and refilled to the same count looks unchanged: it is downloaded once a day anyway.
FULL_READ_EVERY: Final = timedelta(days=1)
# By so many of its last rows a log is recognised after it dropped its oldest ones.
_TAIL_ROWS: Final = 32
# What says whose punch a row is and when it was made: the uid before it is the unit's own, and changes.
_PUNCH: Final = {40: slice(2, 31), 16: slice(0, 8)}
# What to write to a device's row to forget its log.
FORGOTTEN: Final[dict[str, Any]] = {
    "log_width": 0,
    "log_bytes": 0,
    "log_digest": b"",
    "log_tail": b"",
    "log_read_at": None,
}


class Loss(Enum):
    """How what a terminal held came to be there no more."""

    CLEARED = auto()
    OVERRUN = auto()


def needs_download(device: Device, sizes: Sizes, now: datetime) -> bool:
    """Whether the log may hold anything that is not here yet, going by its counter and what was read last.

    ``now`` is the database's, as ``log_read_at`` is; a moment in the future is one from before it was set back.
    """
    if device.log_read_at is None or not timedelta(0) <= now - device.log_read_at < FULL_READ_EVERY:
        return True
    return sizes.punches != rows_held(device) or (sizes.punches > 0 and sizes.log_may_be_full)


def known_bytes(device: Device, rows: Rows) -> int:
    """How many leading bytes were read before: they are stored, and not to be decoded again.

    Usually the whole log as it was, by its digest. A full log has dropped its oldest rows meanwhile: then the rows
    that were its last stand further ahead, and what is before them was before them already. Decoding those again
    would cost ids for nothing, and on units whose rows carry only a uid it would give them to whoever has it now.
    """
    size = device.log_bytes
    if not size or rows.width != device.log_width:
        return 0
    if len(rows.data) >= size and hashlib.sha256(memoryview(rows.data)[:size]).digest() == bytes(device.log_digest):
        return size
    tail = bytes(device.log_tail)
    at = rows.data.find(tail)
    while at % rows.width and at >= 0:
        at = rows.data.find(tail, at + 1)
    # Further behind than it was, something that nobody has read came before it: a log that was cleared and restored,
    # or a clock that gives the same stamps again.
    return at + len(tail) if 0 <= at <= size - len(tail) else 0


def rows_held(device: Device) -> int:
    """How many rows the log had when it was read last."""
    return device.log_bytes // device.log_width if device.log_width else 0


def loss_of(device: Device, sizes: Sizes, rows: Rows) -> Loss | None:
    """What happened to the log since it was read last, if that may have cost punches that nobody has read.

    As long as any of its last punches is there, nothing that came after it is gone. A full log in which none is has
    dropped more than was read; any other one was cleared. Rows in another width come of another firmware, which is
    free to write everything anew.
    """
    if not device.log_bytes or known_bytes(device, rows) or _holds_any(rows, bytes(device.log_tail)):
        return None
    if len(rows) < rows_held(device):
        return Loss.CLEARED
    if rows.width != device.log_width:
        return None
    return Loss.OVERRUN if sizes.log_may_be_full else Loss.CLEARED


def _holds_any(rows: Rows, tail: bytes) -> bool:
    width = rows.width
    if not width or len(tail) % width:
        return False
    part = _PUNCH.get(width, slice(None))
    return any(tail[at : at + width][part] in rows.data for at in range(0, len(tail), width))


def remember(rows: Rows) -> dict[str, Any]:
    return {
        "log_width": rows.width,
        "log_bytes": len(rows.data),
        "log_digest": hashlib.sha256(rows.data).digest(),
        "log_tail": rows.data[-_TAIL_ROWS * rows.width :] if rows.width else b"",
        "log_read_at": Now(),
    }
