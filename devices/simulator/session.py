"""One client's session: a command in, the packets of its answer out. Nothing here touches a socket."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from devices import protocol as p
from devices.protocol import Packet
from devices.simulator.faults import Fault
from devices.simulator.spec import SimTemplate
from devices.simulator.state import Clearing, Refused, SessionRecord, Table, TerminalState

INLINE_LIMIT: Final = 1024 - p.PACKET_HEAD.size
MAX_UPLOAD: Final = 1 << 20

TABLES: Final[dict[tuple[int, int], Table]] = {
    (p.CMD_USERTEMP_RRQ, p.FCT_USER): "users",
    (p.CMD_ATTLOG_RRQ, 0): "punches",
    (p.CMD_DB_RRQ, p.FCT_FINGERTMP): "templates",
}

EVENT_PUNCH: Final = 1
EVENT_FINGER: Final = 2
EVENT_ENROLLED: Final = 8
EVENT_SCANNED: Final = 256
ENROL_OK: Final = 0
ENROL_CANCELLED: Final = 6

Part = tuple[int, bytes]
OK: Final[list[Part]] = [(p.CMD_ACK_OK, b"")]
ERROR: Final[list[Part]] = [(p.CMD_ACK_ERROR, b"")]
UNAUTHORISED: Final[list[Part]] = [(p.CMD_ACK_UNAUTH, b"")]
UNKNOWN: Final[list[Part]] = [(p.CMD_ACK_UNKNOWN, b"")]

_BUFFER_REQUEST: Final = struct.Struct("<bhii")
_CHUNK_REQUEST: Final = struct.Struct("<ii")
_UPLOAD_ROW: Final = struct.Struct("<bHbI")


@dataclass(frozen=True, slots=True)
class Event:
    """A realtime event; the last one of an enrolment brings the template that it leaves on the unit."""

    code: int
    data: bytes
    template: SimTemplate | None = None


class Session:
    """From CONNECT to EXIT. ``ended`` says what becomes of the link after the current answer."""

    def __init__(self, terminal: TerminalState, record: SessionRecord) -> None:
        self.terminal = terminal
        self.record = record
        self.trusted = False
        self.ended: Literal["exit", "restart", "poweroff"] | None = None
        self.event_mask = 0
        self.events: deque[Event] = deque()
        self._buffer = b""
        self._upload = bytearray()
        self._upload_size = 0
        self._faults: list[Fault] = []

    def answer(self, packet: Packet, faults: list[Fault]) -> list[Packet]:
        """The sound answer to a command, as far as ``faults`` let the terminal make it."""
        self._faults = faults
        return [Packet(command, self.record.number, packet.reply, data) for command, data in self._parts(packet)]

    def _parts(self, packet: Packet) -> list[Part]:
        if packet.command == p.CMD_CONNECT:
            return self._connect()
        if packet.session != self.record.number:
            return UNAUTHORISED
        if packet.command == p.CMD_AUTH:
            return self._authenticate(packet.data)
        if not self.trusted:
            return UNAUTHORISED
        handle = _HANDLERS.get(packet.command)
        try:
            return UNKNOWN if handle is None else handle(self, packet.data)
        except (Refused, struct.error, ValueError):
            return ERROR

    def _connect(self) -> list[Part]:
        self.trusted = not self.terminal.spec.comm_key and not self._refuses_key()
        return OK if self.trusted else UNAUTHORISED

    def _authenticate(self, proof: bytes) -> list[Part]:
        expected = p.scramble_comm_key(self.terminal.spec.comm_key, self.record.number)
        self.trusted = proof[:4] == expected and not self._refuses_key()
        return OK if self.trusted else UNAUTHORISED

    def _refuses_key(self) -> bool:
        return any(fault.refuses_key() for fault in self._faults)

    # The unit

    def exit(self, _data: bytes) -> list[Part]:
        self.ended = "exit"
        return OK

    def restart(self, _data: bytes) -> list[Part]:
        self.ended = "restart"
        return OK

    def power_off(self, _data: bytes) -> list[Part]:
        self.ended = "poweroff"
        return OK

    def enable(self, _data: bytes) -> list[Part]:
        self.terminal.disabled = False
        return OK

    def disable(self, _data: bytes) -> list[Part]:
        self.terminal.disabled = True
        return OK

    def acknowledge(self, _data: bytes) -> list[Part]:
        return OK

    def unlock(self, data: bytes) -> list[Part]:
        (tenths,) = struct.unpack("<I", data)
        self.terminal.unlocks.append(tenths / 10)
        return OK

    def version(self, _data: bytes) -> list[Part]:
        return [(p.CMD_ACK_OK, self.terminal.spec.firmware.encode() + b"\0")]

    def pin_width(self, _data: bytes) -> list[Part]:
        return [(p.CMD_ACK_OK, bytes((self.terminal.spec.pin_width,)))]

    def read_option(self, data: bytes) -> list[Part]:
        name = data.split(b"\0", 1)[0].decode()
        value = self.terminal.options.get(name)
        return ERROR if value is None else [(p.CMD_ACK_OK, f"{name}={value}".encode() + b"\0")]

    def write_option(self, data: bytes) -> list[Part]:
        name, _, value = data.split(b"\0", 1)[0].decode().partition("=")
        self.terminal.options[name] = value
        return OK

    def get_time(self, _data: bytes) -> list[Part]:
        return [(p.CMD_ACK_OK, struct.pack("<I", p.encode_time(self.terminal.now())))]

    def set_time(self, data: bytes) -> list[Part]:
        (value,) = struct.unpack("<I", data)
        self.terminal.set_clock(p.decode_time(value))
        return OK

    def sizes(self, _data: bytes) -> list[Part]:
        counts, spec = self.terminal.counts(), self.terminal.spec
        for fault in self._faults:
            counts = fault.counts(counts)
        fields = [0] * 23
        fields[4], fields[6], fields[8] = counts.users, counts.templates, counts.punches
        fields[14:17] = spec.finger_capacity, spec.user_capacity, spec.punch_capacity
        fields[17] = max(0, spec.finger_capacity - counts.templates)
        fields[18] = max(0, spec.user_capacity - counts.users)
        fields[19] = max(0, spec.punch_capacity - counts.punches)
        fields[22] = spec.face_capacity
        reply = struct.pack("<23i", *fields)
        for fault in self._faults:
            reply = fault.sizes(reply)
        return [(p.CMD_ACK_OK, reply)]

    # Tables out

    def prepare_buffer(self, data: bytes) -> list[Part]:
        _one, command, function, _ext = _BUFFER_REQUEST.unpack(data)
        name = TABLES.get((command, function))
        if name is None:
            return ERROR
        rows = self._rows(name)
        buffer = struct.pack("<I", len(rows)) + rows
        if len(buffer) <= INLINE_LIMIT:
            return [(p.CMD_DATA, buffer)]
        self._buffer = buffer
        return [(p.CMD_ACK_OK, struct.pack("<bIII", 0, len(buffer), len(buffer), 0))]

    def _rows(self, name: Table) -> bytes:
        spec = self.terminal.spec
        widths: dict[Table, int] = {"users": spec.user_width, "punches": spec.punch_width, "templates": 0}
        rows = self.terminal.table(name)
        for fault in self._faults:
            rows = fault.table(name, rows, widths[name])
        return rows

    def read_buffer(self, data: bytes) -> list[Part]:
        offset, size = _CHUNK_REQUEST.unpack(data)
        if offset < 0 or size <= 0 or offset + size > len(self._buffer):
            return ERROR
        return self._chunk(self._buffer[offset : offset + size])

    def _chunk(self, chunk: bytes) -> list[Part]:
        most = len(chunk) if self.record.transport == "tcp" else 1024
        frames = [(p.CMD_DATA, chunk[start : start + most]) for start in range(0, len(chunk), most)]
        return [(p.CMD_PREPARE_DATA, struct.pack("<II", len(chunk), 16)), *frames, *OK]

    def free_buffer(self, _data: bytes) -> list[Part]:
        self._buffer = b""
        self._upload.clear()
        self._upload_size = 0
        return OK

    def read_template(self, data: bytes) -> list[Part]:
        uid, finger = struct.unpack("<HB", data)
        template = self.terminal.template(uid, finger)
        if template is None:
            return ERROR
        reply = template.data + bytes((template.valid,))
        return [(p.CMD_DATA, reply)] if len(reply) <= INLINE_LIMIT else self._chunk(reply)

    # People and templates in

    def write_user(self, data: bytes) -> list[Part]:
        self.terminal.put_user_row(data)
        return OK

    def delete_user(self, data: bytes) -> list[Part]:
        (uid,) = struct.unpack("<H", data)
        self.terminal.delete_user(uid)
        return OK

    def delete_template(self, data: bytes) -> list[Part]:
        uid, finger = struct.unpack("<HB", data)
        self.terminal.delete_template(uid, finger)
        return OK

    def prepare_upload(self, data: bytes) -> list[Part]:
        (size,) = struct.unpack("<I", data)
        self._upload.clear()
        self._upload_size = min(size, MAX_UPLOAD)
        return OK if size <= MAX_UPLOAD else ERROR

    def take_upload(self, data: bytes) -> list[Part]:
        if len(data) > p.UPLOAD_CHUNK or len(self._upload) + len(data) > self._upload_size:
            return ERROR
        self._upload += data
        return OK

    def save_upload(self, data: bytes) -> list[Part]:
        upload = bytes(self._upload)
        if struct.unpack("<IHH", data) != (12, 0, 8) or len(upload) != self._upload_size:
            return ERROR
        users_size, table_size, blobs_size = struct.unpack_from("<III", upload)
        table_at = 12 + users_size
        blobs_at = table_at + table_size
        if len(upload) != blobs_at + blobs_size:
            return ERROR
        self._save_users(upload[12:table_at])
        self._save_templates(upload[table_at:blobs_at], upload[blobs_at:])
        return OK

    def _save_users(self, rows: bytes) -> None:
        width = 73 if len(rows) % 73 == 0 else 29
        for start in range(0, len(rows), width):
            self.terminal.put_user_row(rows[start + 1 : start + width])

    def _save_templates(self, table: bytes, blobs: bytes) -> None:
        for _kind, uid, finger, offset in _UPLOAD_ROW.iter_unpack(table):
            (size,) = struct.unpack_from("<H", blobs, offset)
            blob = blobs[offset + 2 : offset + 2 + size]
            self.terminal.put_template(SimTemplate(uid, finger - 0x10, blob))

    # Clearing

    def clear_log(self, _data: bytes) -> list[Part]:
        self.terminal.clear_log(Clearing(self.record.number, p.CMD_CLEAR_ATTLOG))
        return OK

    def clear_data(self, _data: bytes) -> list[Part]:
        self.terminal.clear_data(Clearing(self.record.number, p.CMD_CLEAR_DATA))
        return OK

    # Events and enrolment

    def register_events(self, data: bytes) -> list[Part]:
        (self.event_mask,) = struct.unpack("<I", data)
        return OK

    def start_enrolment(self, data: bytes) -> list[Part]:
        if len(data) < 24:
            number, finger = struct.unpack("<IB", data)
            user_id = str(number)
        else:
            raw_id, finger = struct.unpack_from("<24sB", data)
            user_id = raw_id.split(b"\0", 1)[0].decode()
        uid = self.terminal.uid_of(user_id)
        if uid is None or finger > 9:
            return ERROR
        self.events = deque(event for event in self._enrolment(uid, user_id, finger) if self._hears(event))
        return OK

    def _enrolment(self, uid: int, user_id: str, finger: int) -> list[Event]:
        result = self.terminal.enrol_result
        template = SimTemplate(uid, finger, _finger_data(uid, finger)) if result == ENROL_OK else None
        scans = [Event(EVENT_FINGER, b""), Event(EVENT_SCANNED, b"\x64\0")] * (0 if result in (4, 6) else 3)
        return [*scans, _enrolled(result, user_id, finger, template)]

    def _hears(self, event: Event) -> bool:
        return not self.event_mask or bool(self.event_mask & event.code)

    def cancel_enrolment(self, _data: bytes) -> list[Part]:
        if self.events:
            self.events = deque([_enrolled(ENROL_CANCELLED, "", 0, None)])
        return OK

    def next_event(self) -> Packet | None:
        """The next event of an enrolment; the last one leaves the template on the unit."""
        if not self.events:
            return None
        event = self.events.popleft()
        if event.template is not None:
            self.terminal.put_template(event.template)
        return event_packet(event.code, event.data)


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


def _finger_data(uid: int, finger: int) -> bytes:
    return b"SS21" + bytes((uid * 31 + finger * 7 + index) % 255 + 1 for index in range(796))


_HANDLERS: Final[dict[int, Callable[[Session, bytes], list[Part]]]] = {
    p.CMD_EXIT: Session.exit,
    p.CMD_RESTART: Session.restart,
    p.CMD_POWEROFF: Session.power_off,
    p.CMD_ENABLEDEVICE: Session.enable,
    p.CMD_DISABLEDEVICE: Session.disable,
    p.CMD_REFRESHDATA: Session.acknowledge,
    p.CMD_STARTVERIFY: Session.acknowledge,
    p.CMD_UNLOCK: Session.unlock,
    p.CMD_GET_VERSION: Session.version,
    p.CMD_GET_PINWIDTH: Session.pin_width,
    p.CMD_OPTIONS_RRQ: Session.read_option,
    p.CMD_OPTIONS_WRQ: Session.write_option,
    p.CMD_GET_TIME: Session.get_time,
    p.CMD_SET_TIME: Session.set_time,
    p.CMD_GET_FREE_SIZES: Session.sizes,
    p.CMD_PREPARE_BUFFER: Session.prepare_buffer,
    p.CMD_READ_BUFFER: Session.read_buffer,
    p.CMD_FREE_DATA: Session.free_buffer,
    p.CMD_GET_USERTEMP: Session.read_template,
    p.CMD_USER_WRQ: Session.write_user,
    p.CMD_DELETE_USER: Session.delete_user,
    p.CMD_DELETE_USERTEMP: Session.delete_template,
    p.CMD_PREPARE_DATA: Session.prepare_upload,
    p.CMD_DATA: Session.take_upload,
    p.CMD_SAVE_USERTEMPS: Session.save_upload,
    p.CMD_CLEAR_ATTLOG: Session.clear_log,
    p.CMD_CLEAR_DATA: Session.clear_data,
    p.CMD_REG_EVENT: Session.register_events,
    p.CMD_STARTENROLL: Session.start_enrolment,
    p.CMD_CANCELCAPTURE: Session.cancel_enrolment,
}
