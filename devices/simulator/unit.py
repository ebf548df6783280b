"""Commands about the unit itself: its session, its options, its clock, its counters, its door."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from devices import protocol as p
from devices.simulator.answers import ERROR, OK, Handler, Part

if TYPE_CHECKING:
    from devices.simulator.session import Session


def exit_(session: Session, _data: bytes) -> list[Part]:
    session.ended = "exit"
    return OK


def restart(session: Session, _data: bytes) -> list[Part]:
    session.ended = "restart"
    return OK


def power_off(session: Session, _data: bytes) -> list[Part]:
    session.ended = "poweroff"
    return OK


def enable(session: Session, _data: bytes) -> list[Part]:
    session.terminal.disabled = False
    return OK


def disable(session: Session, _data: bytes) -> list[Part]:
    session.terminal.disabled = True
    return OK


def acknowledge(_session: Session, _data: bytes) -> list[Part]:
    return OK


def unlock(session: Session, data: bytes) -> list[Part]:
    (tenths,) = struct.unpack("<I", data)
    session.terminal.unlocks.append(tenths / 10)
    return OK


def version(session: Session, _data: bytes) -> list[Part]:
    return [(p.CMD_ACK_OK, session.terminal.spec.firmware.encode() + b"\0")]


def pin_width(session: Session, _data: bytes) -> list[Part]:
    return [(p.CMD_ACK_OK, bytes((session.terminal.spec.pin_width,)))]


def read_option(session: Session, data: bytes) -> list[Part]:
    name = data.split(b"\0", 1)[0].decode()
    value = session.terminal.options.get(name)
    return ERROR if value is None else [(p.CMD_ACK_OK, f"{name}={value}".encode() + b"\0")]


def write_option(session: Session, data: bytes) -> list[Part]:
    name, _, value = data.split(b"\0", 1)[0].decode().partition("=")
    session.terminal.options[name] = value
    return OK


def get_time(session: Session, _data: bytes) -> list[Part]:
    return [(p.CMD_ACK_OK, struct.pack("<I", p.encode_time(session.terminal.now())))]


def set_time(session: Session, data: bytes) -> list[Part]:
    (value,) = struct.unpack("<I", data)
    session.terminal.set_clock(p.decode_time(value))
    return OK


def sizes(session: Session, _data: bytes) -> list[Part]:
    counts = session.terminal.counts()
    for fault in session.faults:
        counts = fault.counts(counts)
    fields = [0] * 23
    fields[4], fields[6], fields[8] = counts.users, counts.templates, counts.punches
    rooms = session.capacity("templates"), session.capacity("users"), session.capacity("punches")
    held = counts.templates, counts.users, counts.punches
    fields[14:17] = rooms
    fields[17:20] = [max(0, room - count) for room, count in zip(rooms, held, strict=True)]
    fields[22] = session.terminal.spec.face_capacity
    reply = struct.pack("<23i", *fields)
    for fault in session.faults:
        reply = fault.sizes(reply)
    return [(p.CMD_ACK_OK, reply)]


HANDLERS: Final[dict[int, Handler]] = {
    p.CMD_EXIT: exit_,
    p.CMD_RESTART: restart,
    p.CMD_POWEROFF: power_off,
    p.CMD_ENABLEDEVICE: enable,
    p.CMD_DISABLEDEVICE: disable,
    p.CMD_REFRESHDATA: acknowledge,
    p.CMD_STARTVERIFY: acknowledge,
    p.CMD_UNLOCK: unlock,
    p.CMD_GET_VERSION: version,
    p.CMD_GET_PINWIDTH: pin_width,
    p.CMD_OPTIONS_RRQ: read_option,
    p.CMD_OPTIONS_WRQ: write_option,
    p.CMD_GET_TIME: get_time,
    p.CMD_SET_TIME: set_time,
    p.CMD_GET_FREE_SIZES: sizes,
}
