"""Commands that bring people and templates to the unit, one by one or by upload, and that take things away."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from devices import protocol as p
from devices.simulator.answers import ERROR, OK, Handler, Part
from devices.simulator.spec import USER_WIDTHS, SimTemplate
from devices.simulator.state import Clearing

if TYPE_CHECKING:
    from devices.simulator.session import Session


MAX_UPLOAD: Final = 1 << 20
_UPLOAD_ROW: Final = struct.Struct("<bHbI")


def write_user(session: Session, data: bytes) -> list[Part]:
    _save_user(session, data)
    return OK


def delete_user(session: Session, data: bytes) -> list[Part]:
    (uid,) = struct.unpack("<H", data)
    session.terminal.delete_user(uid)
    return OK


def delete_template(session: Session, data: bytes) -> list[Part]:
    uid, finger = struct.unpack("<HB", data)
    session.terminal.delete_template(uid, finger)
    return OK


def prepare_upload(session: Session, data: bytes) -> list[Part]:
    (size,) = struct.unpack("<I", data)
    session.upload.clear()
    session.upload_size = min(size, MAX_UPLOAD)
    return OK if size <= MAX_UPLOAD else ERROR


def take_upload(session: Session, data: bytes) -> list[Part]:
    if len(data) > p.UPLOAD_CHUNK or len(session.upload) + len(data) > session.upload_size:
        return ERROR
    session.upload += data
    return OK


def save_upload(session: Session, data: bytes) -> list[Part]:
    """Keep an upload person by person, then finger by finger: a unit that is full says no, and keeps what it has."""
    upload = bytes(session.upload)
    if struct.unpack("<IHH", data) != (12, 0, 8) or len(upload) != session.upload_size:
        return ERROR
    users_size, table_size, blobs_size = struct.unpack_from("<III", upload)
    table_at = 12 + users_size
    blobs_at = table_at + table_size
    if len(upload) != blobs_at + blobs_size:
        return ERROR
    _save_users(session, upload[12:table_at])
    if all(fault.keeps_templates() for fault in session.faults):
        _save_templates(session, upload[table_at:blobs_at], upload[blobs_at:])
    return OK


def _save_users(session: Session, rows: bytes) -> None:
    own = session.terminal.spec.user_width
    fitting = [width for width in (own, *USER_WIDTHS) if len(rows) % (1 + width) == 0]
    if not fitting:
        raise ValueError(f"{len(rows)} bytes are no rows of people")
    width = fitting[0]
    for start in range(0, len(rows), 1 + width):
        _save_user(session, rows[start + 1 : start + 1 + width])


def _save_user(session: Session, row: bytes) -> None:
    for fault in session.faults:
        row = fault.keeps_user(row)
    session.terminal.put_user_row(row, capacity=session.capacity("users"))


def _save_templates(session: Session, table: bytes, blobs: bytes) -> None:
    for _kind, uid, finger, offset in _UPLOAD_ROW.iter_unpack(table):
        (size,) = struct.unpack_from("<H", blobs, offset)
        blob = blobs[offset + 2 : offset + 2 + size]
        session.terminal.put_template(SimTemplate(uid, finger - 0x10, blob), capacity=session.capacity("templates"))


def clear_log(session: Session, _data: bytes) -> list[Part]:
    session.terminal.clear_log(Clearing(session.record.number, p.CMD_CLEAR_ATTLOG))
    return OK


def clear_data(session: Session, _data: bytes) -> list[Part]:
    session.terminal.clear_data(Clearing(session.record.number, p.CMD_CLEAR_DATA))
    return OK


HANDLERS: Final[dict[int, Handler]] = {
    p.CMD_USER_WRQ: write_user,
    p.CMD_DELETE_USER: delete_user,
    p.CMD_DELETE_USERTEMP: delete_template,
    p.CMD_PREPARE_DATA: prepare_upload,
    p.CMD_DATA: take_upload,
    p.CMD_SAVE_USERTEMPS: save_upload,
    p.CMD_CLEAR_ATTLOG: clear_log,
    p.CMD_CLEAR_DATA: clear_data,
}
