"""Simulated terminals, the devices that dial them, and what must hold when the fault is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from django.db import connection

from devices import protocol
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Fault, Faults, SimPunch, SimulatedTerminal, SimUser, TerminalSpec
from iclock.models import Transaction

P = ParamSpec("P")
T = TypeVar("T")

READ = protocol.CMD_READ_BUFFER
SIZES = protocol.CMD_GET_FREE_SIZES
MORNING = datetime(2026, 3, 2, 8, 0, 0)
PEOPLE = tuple(SimUser(uid, str(1000 + uid), f"Person {uid}") for uid in range(1, 31))
# Users and punches in bytes: the generations that there are.
GENERATIONS = ((72, 40), (28, 16), (28, 8))

Identity = tuple[str, datetime]


@dataclass(frozen=True)
class Gate(Fault):
    """The terminal stops in the middle of ``command`` until the gate is opened."""

    reached: Event = field(default_factory=Event)
    opened: Event = field(default_factory=Event)

    def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
        self.reached.set()
        assert self.opened.wait(timeout=60)
        return packets


def a_log(count: int, *, start: datetime = MORNING) -> tuple[SimPunch, ...]:
    return tuple(SimPunch(str(1001 + n % 30), start + timedelta(seconds=n)) for n in range(count))


def a_spec(
    serial: str = "FAULT1", *, punches: int = 3_000, widths: tuple[int, int] = (72, 40), **more: Any
) -> TerminalSpec:
    user_width, punch_width = widths
    facts: dict[str, Any] = {
        "users": PEOPLE,
        "punches": a_log(punches),
        "user_width": user_width,
        "punch_width": punch_width,
    } | more
    return TerminalSpec(serial=serial, **facts)


def a_device(unit: SimulatedTerminal, *, udp: bool = False, comm_key: int = 0, **fields: Any) -> Device:
    transport = Device.Transport.UDP if udp else Device.Transport.TCP
    key = unit.spec.serial.lower()
    columns = {"key": key, "name": key.title(), "timeout": 1, "transport": transport} | fields
    device = Device(host=unit.host, port=unit.port, **columns)
    device.comm_key = comm_key
    device.save()
    return device


@contextmanager
def polled(spec: TerminalSpec | None = None, **fields: Any) -> Iterator[tuple[Device, SimulatedTerminal]]:
    """A running terminal and its device."""
    with SimulatedTerminal(spec or a_spec()) as unit:
        yield a_device(unit, **fields), unit


def database_url() -> str:
    """The tests' own database, for processes that are started by a test."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.COMMAND)
    assert run is not None
    return run


def stored(unit: SimulatedTerminal) -> list[Identity]:
    rows = Transaction.objects.filter(terminal_sn=unit.spec.serial)
    return sorted(rows.values_list("emp_code", "punch_time"))


def ledger(unit: SimulatedTerminal) -> list[Identity]:
    return sorted({(punch.user_id, punch.time) for punch in unit.ledger()})


def assert_a_sentence(run: SyncRun, code: str | None = None) -> None:
    """A failed run says why, once, in plain words."""
    assert run.outcome == SyncRun.Outcome.FAILED
    assert code in (None, run.error_code)
    assert run.error
    assert "\n" not in run.error
    assert "Traceback" not in run.error


def assert_one_good_cycle_brings_all(device: Device, unit: SimulatedTerminal) -> SyncRun:
    """The fault is gone: after one good visit the rows are what the terminal ever held, and it can be used."""
    unit.faults = Faults()
    run = visit(device)
    assert run.error == ""
    assert run.announced == run.known + run.new + run.duplicate + run.quarantined
    assert stored(unit) == ledger(unit)
    assert_left_usable(unit)
    return run


def assert_left_usable(unit: SimulatedTerminal) -> None:
    """A pull neither locks nor clears a terminal."""
    assert not unit.disabled
    assert {protocol.CMD_DISABLEDEVICE, protocol.CMD_CLEAR_ATTLOG, protocol.CMD_CLEAR_DATA}.isdisjoint(unit.commands())


def closing(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``work``, and its thread's connection closed."""
    try:
        return work(*args, **kwargs)
    finally:
        connection.close()
