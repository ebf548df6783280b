"""What a fault is: when it strikes, and what it may do to a command, to the unit and to an answer."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from devices.protocol import Packet
from devices.simulator.state import Counts, Table


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

    def refuses(self) -> int | None:
        """The reply that the unit gives instead of doing anything."""
        return None

    def received(self, data: bytes) -> bytes | None:
        """What the unit takes for the command's data; None when it acknowledges and does nothing."""
        return data

    def capacity(self, of: Table, capacity: int, held: int) -> int:
        """How many rows of a table there can be."""
        return capacity

    def keeps_user(self, row: bytes) -> bytes:
        """The row that the unit keeps of a person whom it was sent."""
        return row

    def keeps_templates(self) -> bool:
        """Whether the templates of an upload get onto the unit."""
        return True

    def enrolment_result(self) -> int | None:
        """How an enrolment ends that is started now; None: as the unit would have it."""
        return None

    def punches_after(self) -> str | None:
        """The user id of somebody who punches right after the answer was made."""
        return None


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
