"""Commands that fetch: tables by buffered reads, one template alone."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from devices import protocol as p
from devices.simulator.answers import ERROR, OK, Handler, Part
from devices.simulator.state import Table

if TYPE_CHECKING:
    from devices.simulator.session import Session


INLINE_LIMIT: Final = 1024 - p.PACKET_HEAD.size

TABLES: Final[dict[tuple[int, int], Table]] = {
    (p.CMD_USERTEMP_RRQ, p.FCT_USER): "users",
    (p.CMD_ATTLOG_RRQ, 0): "punches",
    (p.CMD_DB_RRQ, p.FCT_FINGERTMP): "templates",
}
_BUFFER_REQUEST: Final = struct.Struct("<bhii")
_CHUNK_REQUEST: Final = struct.Struct("<ii")


def prepare_buffer(session: Session, data: bytes) -> list[Part]:
    _one, command, function, _ext = _BUFFER_REQUEST.unpack(data)
    name = TABLES.get((command, function))
    if name is None:
        return ERROR
    rows = _rows(session, name)
    buffer = struct.pack("<I", len(rows)) + rows
    if len(buffer) <= INLINE_LIMIT:
        return [(p.CMD_DATA, buffer)]
    session.buffer = buffer
    return [(p.CMD_ACK_OK, struct.pack("<bIII", 0, len(buffer), len(buffer), 0))]


def _rows(session: Session, name: Table) -> bytes:
    spec = session.terminal.spec
    widths: dict[Table, int] = {"users": spec.user_width, "punches": spec.punch_width, "templates": 0}
    rows = session.terminal.table(name)
    for fault in session.faults:
        rows = fault.table(name, rows, widths[name])
    return rows


def read_buffer(session: Session, data: bytes) -> list[Part]:
    offset, size = _CHUNK_REQUEST.unpack(data)
    if offset < 0 or size <= 0 or offset + size > len(session.buffer):
        return ERROR
    return _chunk(session, session.buffer[offset : offset + size])


def _chunk(session: Session, chunk: bytes) -> list[Part]:
    most = len(chunk) if session.record.transport == "tcp" else 1024
    frames = [(p.CMD_DATA, chunk[start : start + most]) for start in range(0, len(chunk), most)]
    return [(p.CMD_PREPARE_DATA, struct.pack("<II", len(chunk), 16)), *frames, *OK]


def free_buffer(session: Session, _data: bytes) -> list[Part]:
    session.buffer = b""
    session.upload.clear()
    session.upload_size = 0
    return OK


def read_template(session: Session, data: bytes) -> list[Part]:
    uid, finger = struct.unpack("<HB", data)
    template = session.terminal.template(uid, finger)
    if template is None:
        return ERROR
    reply = template.data + bytes((template.valid,))
    return [(p.CMD_DATA, reply)] if len(reply) <= INLINE_LIMIT else _chunk(session, reply)


HANDLERS: Final[dict[int, Handler]] = {
    p.CMD_PREPARE_BUFFER: prepare_buffer,
    p.CMD_READ_BUFFER: read_buffer,
    p.CMD_FREE_DATA: free_buffer,
    p.CMD_GET_USERTEMP: read_template,
}
