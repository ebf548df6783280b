"""Realtime events, and the enrolment of a finger that they tell of."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from devices import protocol as p
from devices.protocol import Packet
from devices.simulator.answers import ERROR, OK, Handler, Part
from devices.simulator.spec import SimTemplate

if TYPE_CHECKING:
    from devices.simulator.session import Session


EVENT_PUNCH: Final = 1
EVENT_FINGER: Final = 2
EVENT_ENROLLED: Final = 8
EVENT_SCANNED: Final = 256
ENROL_OK: Final = 0
ENROL_CANCELLED: Final = 6
ENROL_NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Event:
    """A realtime event; the last one of an enrolment brings the template that it leaves on the unit."""

    code: int
    data: bytes
    template: SimTemplate | None = None


def register_events(session: Session, data: bytes) -> list[Part]:
    (session.event_mask,) = struct.unpack("<I", data)
    return OK


def start_enrolment(session: Session, data: bytes) -> list[Part]:
    if len(data) < 24:
        number, finger = struct.unpack("<IB", data)
        user_id = str(number)
    else:
        raw_id, finger = struct.unpack_from("<24sB", data)
        user_id = raw_id.split(b"\0", 1)[0].decode()
    uid = session.terminal.uid_of(user_id)
    if uid is None or finger > 9:
        return ERROR
    session.events = deque(_enrolment(session, uid, user_id, finger))
    return OK


def _enrolment(session: Session, uid: int, user_id: str, finger: int) -> list[Event]:
    told = [fault.enrolment_result() for fault in session.faults]
    result = next((result for result in told if result is not None), session.terminal.enrol_result)
    if result == ENROL_NOBODY:
        return []
    template = SimTemplate(uid, finger, finger_data(uid, finger)) if result == ENROL_OK else None
    scans = [Event(EVENT_FINGER, b""), Event(EVENT_SCANNED, b"\x64\0")] * (0 if result in (4, 6) else 3)
    return [*scans, _enrolled(result, user_id, finger, template)]


def cancel_enrolment(session: Session, _data: bytes) -> list[Part]:
    if session.events:
        session.events = deque([_enrolled(ENROL_CANCELLED, "", 0, None)])
    return OK


def event_packet(code: int, data: bytes) -> Packet:
    """A realtime packet: reply number 0, the event's code where the session id would be."""
    return Packet(p.CMD_REG_EVENT, code, 0, data)


def punch_event(user_id: str, verify: int, state: int, at: datetime, *, numeric: bool) -> Packet:
    """The event of a punch: 32 bytes with a user id string, 12 where user ids are numbers."""
    moment = bytes((at.year % 100, at.month, at.day, at.hour, at.minute, at.second))
    if numeric:
        return event_packet(EVENT_PUNCH, struct.pack("<IBB6s", int(user_id), verify, state, moment))
    return event_packet(EVENT_PUNCH, struct.pack("<24sBB6s", user_id.encode(), verify, state, moment))


def _enrolled(result: int, user_id: str, finger: int, template: SimTemplate | None) -> Event:
    size = len(template.data) if template else 0
    return Event(EVENT_ENROLLED, struct.pack("<HH9sB", result, size, user_id.encode(), finger), template)


def finger_data(uid: int, finger: int, turn: int = 0) -> bytes:
    """What the sensor makes of a finger: another template each time that it is put on."""
    return b"SS21" + bytes((uid * 31 + finger * 7 + turn * 13 + index) % 255 + 1 for index in range(796))


HANDLERS: Final[dict[int, Handler]] = {
    p.CMD_REG_EVENT: register_events,
    p.CMD_STARTENROLL: start_enrolment,
    p.CMD_CANCELCAPTURE: cancel_enrolment,
}
