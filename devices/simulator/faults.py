"""What can go wrong with a terminal, declared as values.

A fault strikes at a command: at the ``nth`` matching one since it was armed, and ``times`` times from there (None:
for ever). ``command`` None matches every command, so ``nth`` then counts the commands of all kinds. A chunk is the
nth ``CMD_READ_BUFFER``. Faults that cut or drip bytes are meant for TCP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from devices.protocol import (
    CMD_DATA,
    CMD_GET_FREE_SIZES,
    CMD_PREPARE_BUFFER,
    CMD_REG_EVENT,
    FRAME_HEAD,
    FRAME_MAGIC,
    Packet,
)
from devices.simulator.state import Counts, Table

JUNK: Final = b"\xff255\0\0\0\0\0"


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the wire: part of a TCP stream, or one datagram."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing happens for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Bytes that leave only when the client has sent its next command."""

    data: bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """The connection ends, with a FIN or with an RST."""

    reset: bool = False


@dataclass(frozen=True, slots=True)
class PowerCycle:
    """The unit restarts: its sessions are gone, it is enabled again and away for so many seconds."""

    down_for: float


Step = Send | Pause | Hold | HangUp | PowerCycle


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The base: when it strikes. Each hook is handed what the sound terminal would do and returns what it does."""

    command: int | None = None
    nth: int = 1
    times: int | None = 1

    def counts(self, counts: Counts) -> Counts:
        """The counters of the sizes reply."""
        return counts

    def sizes(self, reply: bytes) -> bytes:
        """The sizes reply itself."""
        return reply

    def table(self, name: Table, rows: bytes, width: int) -> bytes:
        """The rows of a table; ``width`` is 0 where rows differ."""
        return rows

    def packets(self, packets: list[Packet]) -> list[Packet]:
        """The packets of an answer."""
        return packets

    def steps(self, steps: list[Step]) -> list[Step]:
        """What happens on the wire."""
        return steps

    def refuses_key(self) -> bool:
        """Whether no comm key is good enough."""
        return False

    def punches_after(self) -> str | None:
        """The user id of somebody who punches right after the answer was made."""
        return None


class Silent(Fault):
    """No answer; with ``times=None`` the terminal accepts and never answers."""

    def steps(self, steps: list[Step]) -> list[Step]:
        return []


@dataclass(frozen=True, kw_only=True)
class Close(Fault):
    """The connection ends instead of an answer, or inside it after so many bytes; with an RST if ``reset``."""

    after: int = 0
    reset: bool = False

    def steps(self, steps: list[Step]) -> list[Step]:
        head = _sent(steps)[: self.after]
        return [*([Send(head)] if head else []), HangUp(self.reset)]


@dataclass(frozen=True, kw_only=True)
class Drip(Fault):
    """The answer comes in pieces of ``size`` bytes, one each ``seconds``; 0 seconds: merely tiny segments."""

    size: int = 1024
    seconds: float = 0.0
    times: int | None = None

    def steps(self, steps: list[Step]) -> list[Step]:
        data = _sent(steps)
        dripped: list[Step] = []
        for start in range(0, len(data), self.size):
            dripped += [Send(data[start : start + self.size]), Pause(self.seconds)]
        return dripped


@dataclass(frozen=True, kw_only=True)
class Latency(Fault):
    """Every answer takes that long; longer than a client's patience it is a late reply."""

    seconds: float = 0.05
    times: int | None = None

    def steps(self, steps: list[Step]) -> list[Step]:
        return [Pause(self.seconds), *steps]


class LateReply(Fault):
    """The answer comes only when the client has sent its next command, just before that one's answer."""

    def steps(self, steps: list[Step]) -> list[Step]:
        return [Hold(_sent(steps))]


@dataclass(frozen=True, kw_only=True)
class SmallFrames(Fault):
    """Data come in frames of at most ``size`` bytes instead of one a chunk."""

    size: int = 1024
    times: int | None = None

    def packets(self, packets: list[Packet]) -> list[Packet]:
        return [small for packet in packets for small in self._split(packet)]

    def _split(self, packet: Packet) -> Iterator[Packet]:
        if packet.command != CMD_DATA:
            yield packet
            return
        for start in range(0, len(packet.data), self.size):
            yield packet._replace(data=packet.data[start : start + self.size])


@dataclass(frozen=True, kw_only=True)
class ForeignSession(Fault):
    """The answer carries another session's id."""

    by: int = 1

    def packets(self, packets: list[Packet]) -> list[Packet]:
        return [packet._replace(session=(packet.session + self.by) & 0xFFFF) for packet in packets]


@dataclass(frozen=True, kw_only=True)
class ForeignReply(Fault):
    """The answer carries the number of another exchange."""

    by: int = -1

    def packets(self, packets: list[Packet]) -> list[Packet]:
        return [packet._replace(reply=(packet.reply + self.by) & 0xFFFF) for packet in packets]


@dataclass(frozen=True, kw_only=True)
class StrayEvent(Fault):
    """An event nobody asked for comes ahead of the answer."""

    event: int = 1
    data: bytes = b"7".ljust(24, b"\0") + bytes((1, 0, 26, 3, 2, 8, 0, 0))

    def packets(self, packets: list[Packet]) -> list[Packet]:
        return [Packet(CMD_REG_EVENT, self.event, 0, self.data), *packets]


@dataclass(frozen=True, kw_only=True)
class Garbage(Fault):
    """Bytes that are no frame come instead of the answer."""

    data: bytes = b"HTTP/1.0 400 Bad Request\r\n\r\n"

    def steps(self, steps: list[Step]) -> list[Step]:
        return [Send(self.data)]


@dataclass(frozen=True, kw_only=True)
class HugeFrame(Fault):
    """The answer's first frame declares ``length`` bytes."""

    length: int = 0xFFFF_FFFF

    def steps(self, steps: list[Step]) -> list[Step]:
        return [Send(FRAME_HEAD.pack(FRAME_MAGIC, self.length) + _sent(steps)[FRAME_HEAD.size :])]


@dataclass(frozen=True, kw_only=True)
class Reboot(Fault):
    """The unit restarts instead of answering."""

    down_for: float = 0.0

    def steps(self, steps: list[Step]) -> list[Step]:
        return [PowerCycle(self.down_for)]


@dataclass(frozen=True, kw_only=True)
class RefuseKey(Fault):
    """No comm key is good enough, not even on a unit that has none."""

    times: int | None = None

    def refuses_key(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class CountOff(Fault):
    """The sizes reply is wrong by that many rows."""

    of: Table = "punches"
    by: int = 1
    command: int | None = CMD_GET_FREE_SIZES
    times: int | None = None

    def counts(self, counts: Counts) -> Counts:
        wrong = {
            "users": replace(counts, users=counts.users + self.by),
            "templates": replace(counts, templates=counts.templates + self.by),
            "punches": replace(counts, punches=counts.punches + self.by),
        }
        return wrong[self.of]


@dataclass(frozen=True, kw_only=True)
class ShortSizes(Fault):
    """The sizes reply ends early."""

    length: int = 60
    command: int | None = CMD_GET_FREE_SIZES
    times: int | None = None

    def sizes(self, reply: bytes) -> bytes:
        return reply[: self.length]


@dataclass(frozen=True, kw_only=True)
class RowWidth(Fault):
    """Rows of another width: the unit's own, filled up with zeros or cut (49 and 22 bytes have been seen)."""

    width: int
    of: Table = "punches"
    command: int | None = CMD_PREPARE_BUFFER
    times: int | None = None

    def table(self, name: Table, rows: bytes, width: int) -> bytes:
        if name != self.of or not width:
            return rows
        cut = (rows[start : start + width] for start in range(0, len(rows), width))
        return b"".join(row[: self.width].ljust(self.width, b"\0") for row in cut)


@dataclass(frozen=True, kw_only=True)
class JunkPrefix(Fault):
    """Nine junk bytes stand between a table's total and its rows; the total counts them."""

    of: Table = "punches"
    command: int | None = CMD_PREPARE_BUFFER
    times: int | None = None

    def table(self, name: Table, rows: bytes, width: int) -> bytes:
        return JUNK + rows if name == self.of else rows


@dataclass(frozen=True, kw_only=True)
class PunchAfter(Fault):
    """Somebody punches right after the answer to ``command`` was made, even on a disabled unit.

    By default a punch lands between the counters and the table that should agree with them.
    """

    user_id: str
    command: int | None = CMD_GET_FREE_SIZES

    def punches_after(self) -> str | None:
        return self.user_id


class Faults:
    """The faults armed on a terminal. Assign a new one to ``terminal.faults`` at any time."""

    def __init__(self, *faults: Fault) -> None:
        self._armed = [(fault, [0]) for fault in faults]
        self._lock = Lock()

    def add(self, fault: Fault) -> None:
        """Arm another one; those already there keep their counts."""
        with self._lock:
            self._armed.append((fault, [0]))

    def strike(self, command: int) -> list[Fault]:
        """The faults that strike at this command; counts it for each that it matches."""
        with self._lock:
            return [fault for fault, seen in self._armed if _strikes(fault, seen, command)]


def _strikes(fault: Fault, seen: list[int], command: int) -> bool:
    if fault.command not in (None, command):
        return False
    seen[0] += 1
    return fault.nth <= seen[0] and (fault.times is None or seen[0] < fault.nth + fault.times)


def _sent(steps: list[Step]) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Send))


KINDS: Final[dict[str, type[Fault]]] = {
    kind.__name__: kind
    for kind in (
        Silent,
        Close,
        Drip,
        Latency,
        LateReply,
        SmallFrames,
        ForeignSession,
        ForeignReply,
        StrayEvent,
        Garbage,
        HugeFrame,
        Reboot,
        RefuseKey,
        CountOff,
        ShortSizes,
        RowWidth,
        JunkPrefix,
        PunchAfter,
    )
}
