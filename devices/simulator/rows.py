"""The rows of a terminal's tables, from values to bytes and back, and the bad rows that real units have served."""

from __future__ import annotations

import struct
from typing import Final, Literal

from devices.protocol import PUNCH_8, PUNCH_16, PUNCH_40, USER_28, USER_72, encode_time
from devices.simulator.spec import SimPunch, SimTemplate, SimUser

TEMPLATE_HEAD: Final = struct.Struct("<HHBB")
# 31 February 2024, 08:00: the field can hold it, no calendar can.
IMPOSSIBLE_TIME: Final = (24 * 12 * 31 + 31 + 30) * 86_400 + 8 * 3600
FUTURE_TIME: Final = (99 * 12 * 31 + 11 * 31 + 30) * 86_400

BadRow = Literal[
    "impossible date",
    "zero date",
    "future date",
    "user id 0",
    "empty user id",
    "nul user id",
    "invalid utf-8",
    "full user id",
]

_BAD_TIMES: Final[dict[BadRow, int]] = {
    "impossible date": IMPOSSIBLE_TIME,
    "zero date": 0,
    "future date": FUTURE_TIME,
}
_BAD_USER_IDS: Final[dict[BadRow, bytes]] = {
    "user id 0": b"0",
    "empty user id": b"",
    "nul user id": b"\x007",
    "invalid utf-8": b"\xff\xfe\xc3\x28",
    "full user id": b"123456789012345678901234",
}


def encode_punch(punch: SimPunch, *, uid: int, width: int) -> bytes:
    """The row of ``punch``; 16-byte rows need a numeric user id, 8-byte rows carry the uid alone."""
    time = encode_time(punch.time)
    if width == PUNCH_8.size:
        return PUNCH_8.pack(uid, punch.verify, time, punch.state)
    if width == PUNCH_16.size:
        return PUNCH_16.pack(int(punch.user_id), time, punch.verify, punch.state, 0)
    return PUNCH_40.pack(uid, punch.user_id.encode(), punch.verify, time, punch.state, b"")


def bad_punch_row(
    kind: BadRow, *, user_id: str = "1", uid: int = 1, time: int = FUTURE_TIME // 2, width: int = PUNCH_40.size
) -> bytes:
    """A row that no reader should believe; what ``kind`` does not spoil is taken from the other arguments.

    Raises ValueError for a user id that rows with numbers can't hold.
    """
    raw_id, raw_time = _BAD_USER_IDS.get(kind, user_id.encode()), _BAD_TIMES.get(kind, time)
    if width == PUNCH_40.size:
        return PUNCH_40.pack(uid, raw_id, 1, raw_time, 0, b"")
    if kind in _BAD_USER_IDS and kind != "user id 0":
        raise ValueError(f"the user id of a {width}-byte row is a number, it can't be {kind!r}")
    if width == PUNCH_16.size:
        return PUNCH_16.pack(int(raw_id), raw_time, 1, 0, 0)
    return PUNCH_8.pack(0 if kind == "user id 0" else uid, 1, raw_time, 0)


def encode_user(user: SimUser, *, width: int, encoding: str) -> bytes:
    """The row of ``user``, its name cut to what the unit keeps: 8 bytes, or 23 and a NUL."""
    name = user.name.encode(encoding, "surrogateescape")
    password = user.password.encode(encoding, "surrogateescape")
    if width == USER_28.size:
        number = int(user.user_id)
        return USER_28.pack(user.uid, user.privilege, password, name, user.card, user.group, user.time_zones[0], number)
    user_id = user.user_id.encode(encoding, "surrogateescape")
    return USER_72.pack(user.uid, user.privilege, password, name[:23], user.card, user.group, *user.time_zones, user_id)


def decode_user(row: bytes, *, encoding: str) -> SimUser:
    """The person in a 28- or 72-byte row. Raises ValueError for any other length."""
    if len(row) == USER_28.size:
        uid, privilege, raw_password, raw_name, card, group, zone, number = USER_28.unpack(row)
        zones, user_id = (zone, 0, 0, 0), str(number)
    elif len(row) == USER_72.size:
        uid, privilege, raw_password, raw_name, card, group, *four, raw_id = USER_72.unpack(row)
        zones, user_id = (four[0], four[1], four[2], four[3]), _text(raw_id, encoding)
    else:
        raise ValueError(f"a user has 28 or 72 bytes, got {len(row)}")
    name, password = _text(raw_name, encoding), _text(raw_password, encoding)
    return SimUser(uid, user_id, name, privilege, password, card, group, zones)


def encode_template(template: SimTemplate) -> bytes:
    """The row of ``template`` in the table of all templates."""
    size = len(template.data) + TEMPLATE_HEAD.size
    return TEMPLATE_HEAD.pack(size, template.uid, template.finger, template.valid) + template.data


def _text(raw: bytes, encoding: str) -> str:
    return raw.split(b"\0", 1)[0].decode(encoding, "surrogateescape")
