"""One client's session: a command in, the packets of its answer out. Nothing here touches a socket."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final, Literal

from devices import protocol as p
from devices.protocol import Packet
from devices.simulator import enrolment, keeping, serving, unit
from devices.simulator.answers import ERROR, OK, UNAUTHORISED, UNKNOWN, Handler, Part
from devices.simulator.enrolment import Event, event_packet
from devices.simulator.faults import Fault
from devices.simulator.state import Refused, SessionRecord, Table, TerminalState


class Session:
    """From CONNECT to EXIT. ``ended`` says what becomes of the link after the current answer."""

    def __init__(self, terminal: TerminalState, record: SessionRecord) -> None:
        self.terminal = terminal
        self.record = record
        self.trusted = False
        self.ended: Literal["exit", "restart", "poweroff"] | None = None
        self.event_mask = 0
        self.events: deque[Event] = deque()
        self.buffer = b""
        self.upload = bytearray()
        self.upload_size = 0
        self.faults: list[Fault] = []

    def answer(self, packet: Packet, faults: list[Fault]) -> list[Packet]:
        """The sound answer to a command, as far as ``faults`` let the terminal make it."""
        self.faults = faults
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
        refusals = [(code, b"") for fault in self.faults if (code := fault.refuses()) is not None]
        return refusals[:1] or self._carry_out(packet.command, packet.data)

    def _carry_out(self, command: int, data: bytes) -> list[Part]:
        handle = _HANDLERS.get(command)
        if handle is None:
            return UNKNOWN
        for fault in self.faults:
            received = fault.received(data)
            if received is None:
                return OK
            data = received
        try:
            return handle(self, data)
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
        return any(fault.refuses_key() for fault in self.faults)

    def capacity(self, of: Table) -> int:
        """How many rows of that table the unit can hold, as far as the faults let it."""
        counts, spec = self.terminal.counts(), self.terminal.spec
        capacity, held = {
            "users": (spec.user_capacity, counts.users),
            "templates": (spec.finger_capacity, counts.templates),
            "punches": (spec.punch_capacity, counts.punches),
        }[of]
        for fault in self.faults:
            capacity = fault.capacity(of, capacity, held)
        return capacity

    def next_event(self) -> Packet | None:
        """The next event of an enrolment that the client hears; the last one leaves the template on the unit."""
        while self.events:
            event = self.events.popleft()
            if event.template is not None:
                self.terminal.put_template(event.template)
            if not self.event_mask or self.event_mask & event.code:
                return event_packet(event.code, event.data)
        return None

    def leave(self) -> None:
        """The client has left: an enrolment goes on between the person and the unit."""
        while self.events:
            self.next_event()


_HANDLERS: Final[dict[int, Handler]] = {
    **unit.HANDLERS,
    **serving.HANDLERS,
    **keeping.HANDLERS,
    **enrolment.HANDLERS,
}
