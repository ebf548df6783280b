"""What can go wrong with a unit that dials, declared as values.

A fault strikes at the ``nth`` matching occasion since it was armed, and ``times`` times from there (None: for ever).
``on`` narrows it down: to a table (``ATTLOG``), to a request (``getrequest``, ``devicecmd``, ``cdata`` for the
handshake), or to a command by its first words (``DATA UPDATE``). Without it the occasions are those of its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import ClassVar, Final, Literal

Occasion = Literal["get", "post", "punches", "order", "clock"]


@dataclass(frozen=True, kw_only=True)
class PushFault:
    """The base: when it strikes. Each hook tells what the unit does at such an occasion."""

    on: str | None = None
    nth: int = 1
    times: int | None = 1

    usual: ClassVar[frozenset[Occasion]] = frozenset({"post"})
    possible: ClassVar[frozenset[Occasion]] = frozenset({"post"})

    def strikes_at(self, occasion: Occasion, what: str) -> bool:
        """Whether this is an occasion for it, be it the nth or not."""
        if self.on is None:
            return occasion in self.usual
        return occasion in self.possible and (what == self.on or (occasion == "order" and what.startswith(self.on)))

    def reaches(self) -> bool:
        """Whether the request gets to the server at all."""
        return True

    def hears(self) -> bool:
        """Whether the answer arrives."""
        return True

    def repeats(self) -> bool:
        """Whether the request is made once more."""
        return False

    def sent(self, body: bytes) -> bytes:
        """What is sent of the body that was announced."""
        return body

    def pace(self) -> float | None:
        """Bytes of the body a second; None: as fast as they go."""
        return None

    def extra(self) -> bytes:
        """Bytes before the lines of a batch of punches."""
        return b""

    def answers(self) -> bool:
        """Whether the unit carries the command out and answers it."""
        return True

    def reboots(self) -> bool:
        """Whether the unit reboots as soon as it took the command."""
        return False

    def clock_error(self) -> float:
        """Seconds by which the clock is wrong once it was set."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class LostAnswer(PushFault):
    """The server does its work and answers; the unit never hears of it. Without ``on``: posts."""

    possible: ClassVar[frozenset[Occasion]] = frozenset({"get", "post"})

    def hears(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class CutBody(PushFault):
    """The connection ends after so many bytes of the body; None: in its middle."""

    after: int | None = None

    def sent(self, body: bytes) -> bytes:
        return body[: len(body) // 2 if self.after is None else self.after]


@dataclass(frozen=True, kw_only=True)
class DuplicatePost(PushFault):
    """The post is made twice, whatever was answered first."""

    def repeats(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class SlowBody(PushFault):
    """The body leaves at so many bytes a second."""

    bytes_per_second: float = 100.0

    def pace(self) -> float | None:
        return self.bytes_per_second


@dataclass(frozen=True, kw_only=True)
class OffLine(PushFault):
    """No network."""

    times: int | None = None

    usual: ClassVar[frozenset[Occasion]] = frozenset({"get", "post"})
    possible: ClassVar[frozenset[Occasion]] = frozenset({"get", "post"})

    def reaches(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class ExtraLine(PushFault):
    """A line that no server should believe, in front of a batch of punches. ``text`` is for who can't write bytes."""

    raw: bytes = b""
    text: str = ""

    usual: ClassVar[frozenset[Occasion]] = frozenset({"punches"})
    possible: ClassVar[frozenset[Occasion]] = frozenset({"punches"})

    def extra(self) -> bytes:
        line = self.raw or self.text.encode()
        return line if line.endswith(b"\n") else line + b"\n"


@dataclass(frozen=True, kw_only=True)
class SilentCommands(PushFault):
    """The unit takes commands, and that is the last one hears of them."""

    times: int | None = None

    usual: ClassVar[frozenset[Occasion]] = frozenset({"order"})
    possible: ClassVar[frozenset[Occasion]] = frozenset({"order"})

    def answers(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class RebootBeforeAnswer(SilentCommands):
    """The unit takes a command and reboots: that one and those behind it are forgotten."""

    times: int | None = 1

    def reboots(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class WrongClock(PushFault):
    """The clock is wrong by so much as soon as the handshake has set it."""

    by_seconds: float = 3600.0

    usual: ClassVar[frozenset[Occasion]] = frozenset({"clock"})
    possible: ClassVar[frozenset[Occasion]] = frozenset({"clock"})

    def clock_error(self) -> float:
        return self.by_seconds


class PushFaults:
    """The faults armed on a pusher. Assign a new one to ``pusher.faults`` at any time."""

    def __init__(self, *faults: PushFault) -> None:
        self._armed = [(fault, [0]) for fault in faults]
        self._lock = Lock()

    def add(self, fault: PushFault) -> None:
        """Arm another one; those already there keep their counts."""
        with self._lock:
            self._armed.append((fault, [0]))

    def strike(self, occasion: Occasion, what: str = "") -> list[PushFault]:
        """The faults that strike at this occasion; counts it for each that it matches."""
        with self._lock:
            return [fault for fault, seen in self._armed if _strikes(fault, seen, occasion, what)]


def _strikes(fault: PushFault, seen: list[int], occasion: Occasion, what: str) -> bool:
    if not fault.strikes_at(occasion, what):
        return False
    seen[0] += 1
    return fault.nth <= seen[0] and (fault.times is None or seen[0] < fault.nth + fault.times)


_CLASSES: Final = (
    LostAnswer,
    CutBody,
    DuplicatePost,
    SlowBody,
    OffLine,
    ExtraLine,
    SilentCommands,
    RebootBeforeAnswer,
    WrongClock,
)
PUSH_KINDS: Final[dict[str, type[PushFault]]] = {kind.__name__: kind for kind in _CLASSES}
