"""Faults of the network and of the packets on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from devices.protocol import CMD_DATA, CMD_REG_EVENT, FRAME_HEAD, FRAME_MAGIC, Packet
from devices.simulator.faults.base import Fault, HangUp, Hold, Pause, PowerCycle, Send, Step


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


def _sent(steps: list[Step]) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Send))
