"""Fingers as rows of a table, and as the upload that brings them. Pure: a row that can't be one is never guessed."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from devices.driver.errors import MiscountError, UnfitError, UnreadableError
from devices.driver.users import USER_WIDTHS
from iclock.punch import Reject

FINGERS: Final = range(10)
# A finger's template has 0.8 to 1.6 KB; above this the unit would hold no finger.
MAX_TEMPLATE: Final = 16 * 1024
_VALIDITIES: Final = {0, 1, 3}
_ROW_HEAD: Final = struct.Struct("<HHBB")
_UPLOAD_HEAD: Final = struct.Struct("<III")
_UPLOAD_ROW: Final = struct.Struct("<bHbI")
_UPLOADED_FINGER: Final = 0x10


@dataclass(frozen=True, slots=True)
class Template:
    """A finger as one unit has it: ``finger`` 0 to 9, ``valid`` 0 invalid, 1 valid, 3 duress."""

    uid: int
    finger: int
    valid: int
    data: bytes = field(repr=False)


class Templates(NamedTuple):
    """The fingers of a unit, and the rows that can't be fingers with the reason."""

    templates: list[Template]
    rejects: list[Reject]

    def doubtful(self) -> set[int]:
        """Whom the rejects name, by uid."""
        return {_ROW_HEAD.unpack_from(reject.raw)[1] for reject in self.rejects}


def decode_templates(table: bytes, *, between: tuple[int, int]) -> Templates:
    """The fingers in a table whose row count lies within ``between``, inclusive.

    Raises UnreadableError when the rows' own lengths don't fill the table, MiscountError when there are more or fewer
    than the terminal counts.
    """
    found = Templates([], [])
    seen: set[tuple[int, int]] = set()
    for row in _rows(table):
        _size, uid, finger, valid = _ROW_HEAD.unpack_from(row)
        reason = "comes twice" if (uid, finger) in seen else _doubt(uid, finger, valid, len(row))
        if reason:
            found.rejects.append(Reject(row, f"finger {finger} of uid {uid} {reason}"))
        else:
            seen.add((uid, finger))
            found.templates.append(Template(uid, finger, valid, row[_ROW_HEAD.size :]))
    count = len(found.templates) + len(found.rejects)
    if not min(between) <= count <= max(between):
        raise MiscountError(f"the terminal counts {between[0]} to {between[1]} fingers but delivered {count}")
    return found


def encode_upload(people: Iterable[tuple[bytes, Mapping[int, bytes]]]) -> bytes:
    """What brings people to a unit: each one's own row, with the fingers (index 0 to 9 to template) that they get.

    Raises UnfitError for what is no finger.
    """
    users, rows, blobs = bytearray(), bytearray(), bytearray()
    for user_row, fingers in people:
        users += b"\x02" + user_row
        uid = int.from_bytes(user_row[:2], "little")
        for finger, data in fingers.items():
            require_template(finger, data)
            rows += _UPLOAD_ROW.pack(2, uid, _UPLOADED_FINGER + finger, len(blobs))
            blobs += struct.pack("<H", len(data)) + data
    return _UPLOAD_HEAD.pack(len(users), len(rows), len(blobs)) + users + rows + blobs


def upload_bytes(fingers: Mapping[int, bytes]) -> int:
    """What a person with these fingers adds to an upload, at most."""
    return 1 + max(USER_WIDTHS) + sum(_UPLOAD_ROW.size + 2 + len(data) for data in fingers.values())


def require_template(finger: int, data: bytes) -> None:
    """Raises UnfitError for what is no finger."""
    require_finger(finger)
    if not 0 < len(data) <= MAX_TEMPLATE:
        raise UnfitError(f"A template has 1 to {MAX_TEMPLATE} bytes; that of finger {finger} has {len(data)}.")


def require_finger(finger: int) -> None:
    """Raises UnfitError for an index that no hand has."""
    if finger not in FINGERS:
        raise UnfitError(f"Fingers are numbered 0 to 9; there is no finger {finger}.")


def _rows(table: bytes) -> Iterator[bytes]:
    """The rows, each announcing its own length."""
    if len(table) < 4 or len(table) != 4 + int.from_bytes(table[:4], "little"):
        raise UnreadableError(f"a table of fingers came with {len(table)} bytes, which is not what it announces")
    start = 4
    while start < len(table):
        size = int.from_bytes(table[start : start + 2], "little")
        if size < _ROW_HEAD.size or start + size > len(table):
            raise UnreadableError(f"a finger of {size} bytes can't stand at byte {start} of {len(table)}")
        yield table[start : start + size]
        start += size


def _doubt(uid: int, finger: int, valid: int, size: int) -> str:
    if uid == 0:
        return "belongs to nobody"
    if finger not in FINGERS:
        return "is on no hand"
    if valid not in _VALIDITIES:
        return f"is marked {valid}, which means nothing"
    return "" if size > _ROW_HEAD.size else "is empty"
