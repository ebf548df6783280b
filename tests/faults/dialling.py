"""Units that dial the web server of the stack, and what has to be true of them at the end of every test."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from devices.simulator import PUSH_2_4, Generation, Habits, Pusher, PushFaults, SimPunch, SimUser, TerminalSpec
from devices.simulator.state import TerminalState
from tests.faults.stack import MORNING, Stack, Web, eventually

# In a tenth of the time that units take.
QUICK: Final = Habits(delay=0.3, error_delay=0.3, reboot_seconds=0.3)
_MOST_ANSWER: Final = 65_536


class Dialler(Pusher):
    """A unit that dials, with a log that can be filled to any length."""

    def __init__(self, state: TerminalState, web: Web, habits: Habits, generation: Generation) -> None:
        super().__init__(state, f"http://127.0.0.1:{web.port}", generation=generation, habits=habits)

    @property
    def serial(self) -> str:
        return self.state.spec.serial

    def fill_to(self, count: int) -> None:
        first = len(self.state.ledger())
        self.state.fill(SimPunch(str(1001 + n % 30), MORNING + timedelta(seconds=n)) for n in range(first, count))

    def statuses(self) -> set[int]:
        """Everything that it was ever answered; 0: nothing."""
        return {exchange.status for exchange in self.requests}


def diallers(
    stack: Stack,
    web: Web,
    count: int,
    *,
    punches: int = 0,
    generation: Generation = PUSH_2_4,
    serials: Sequence[str] = (),
    users: tuple[SimUser, ...] = (),
    **more: Any,
) -> list[Dialler]:
    """So many units, not started yet, that may dial; ``more`` are habits."""
    habits = replace(QUICK, **more)
    made = []
    for serial in serials or stack.serials(count):
        unit = Dialler(TerminalState(TerminalSpec(serial=serial, users=users)), web, habits, generation)
        unit.fill_to(punches)
        made.append(unit)
    return made


@contextmanager
def on_line(units: Sequence[Pusher]) -> Iterator[None]:
    """They dial by themselves, until the end."""
    with ExitStack() as running:
        for unit in units:
            running.enter_context(unit)
        try:
            yield
        finally:
            for unit in units:
                unit.leave()  # all at once: each ends its last request


@contextmanager
def bystander(stack: Stack, web: Web) -> Iterator[Dialler]:
    """A unit that nothing is wrong with: whatever befalls the others, each of its requests is answered by 200."""
    (unit,) = diallers(stack, web, 1, punches=10, delay=0.1)
    with unit:
        assert eventually(unit.caught_up)
        yield unit
        unit.fill_to(20)
        assert eventually(unit.caught_up), "the others are affected"
        assert unit.statuses() == {200}
    assert_right(stack, [unit])


def identities(stack: Stack, serial: str) -> list[tuple[str, datetime]]:
    return stack.query(
        "SELECT emp_code, punch_time FROM iclock_transaction WHERE terminal_sn = %s ORDER BY 1, 2", serial
    )


def stored(stack: Stack, units: Sequence[Pusher]) -> int:
    """How many rows there are of these."""
    serials = [unit.state.spec.serial for unit in units]
    return int(stack.query("SELECT count(*) FROM iclock_transaction WHERE terminal_sn = ANY(%s)", serials)[0][0])


def in_ledgers(*units: Pusher) -> list[tuple[str, datetime]]:
    """What has to be in the database of units with one serial number, once each."""
    return sorted({(punch.user_id, punch.time) for unit in units for punch in unit.state.ledger()})


def bring_the_rest(units: Sequence[Pusher], seconds: float = 30) -> None:
    """Without any fault, and by themselves."""
    for unit in units:
        unit.faults = PushFaults()
    with on_line(units):
        assert eventually(all_caught_up(units), seconds), [unit.state.spec.serial for unit in lagging(units)]


def all_caught_up(units: Sequence[Pusher]) -> Callable[[], bool]:
    return lambda: not lagging(units)


def lagging(units: Sequence[Pusher]) -> list[Pusher]:
    return [unit for unit in units if not unit.caught_up()]


def assert_right(stack: Stack, units: Sequence[Pusher]) -> None:
    """The rows are the unit's ledger, and it was never shown the inside of a program."""
    for unit in units:
        assert identities(stack, unit.state.spec.serial) == in_ledgers(unit)
        assert_polite(unit)


def assert_polite(unit: Pusher) -> None:
    for exchange in unit.requests:
        assert not any(word in exchange.answer for word in (b"Traceback", b"psycopg", b'File "')), exchange
        assert exchange.status != 500


def quarantined(stack: Stack, serial: str) -> list[tuple[bytes, str]]:
    """Bytes and reason of what is kept aside of this terminal."""
    rows = stack.query(
        "SELECT raw, reason FROM iclock_quarantinedrecord WHERE terminal_sn = %s AND released_at IS NULL ORDER BY id",
        serial,
    )
    return [(bytes(raw), reason) for raw, reason in rows]


@contextmanager
def without_tracebacks(stack: Stack) -> Iterator[None]:
    """What happens meanwhile is nothing that the programs' logs call a defect."""
    before = {key: len(stack.log(key)) for key in ("web", "worker", "beat")}
    yield
    for key, length in before.items():
        assert "Traceback" not in (told := stack.log(key)[length:]), told


def head(serial: str, *fields: str, table: str = "ATTLOG") -> bytes:
    """The beginning of a post, up to its body."""
    lines = [f"POST /iclock/cdata?SN={serial}&table={table}&Stamp=9999 HTTP/1.1", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode()


def exchange_bytes(port: int, *pieces: bytes) -> tuple[int, bytes]:
    """Status and body that the server has for these bytes; it may hang up before it took all of them."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                line.sendall(piece)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while len(answer) < _MOST_ANSWER and (got := line.recv(_MOST_ANSWER)):
                answer += got
                if b"\r\n\r\n" in answer and _is_whole(answer):
                    break
    status, _, body = answer.partition(b"\r\n")
    return (int(status.split()[1]) if status else 0), body.partition(b"\r\n\r\n")[2]


def _is_whole(answer: bytes) -> bool:
    told, _, body = answer.partition(b"\r\n\r\n")
    length = next((line for line in told.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return len(body) >= int(length.partition(b":")[2])
