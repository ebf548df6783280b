"""A device in the database and the simulated terminal that answers at its address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from devices.models import Device
from devices.simulator import SimPunch, SimulatedTerminal, SimUser, TerminalSpec

MORNING = datetime(2026, 3, 2, 8, 0, 0)
PEOPLE = tuple(SimUser(uid, str(1000 + uid), f"Person {uid}") for uid in range(1, 31))


def a_log(count: int) -> tuple[SimPunch, ...]:
    return tuple(SimPunch(str(1001 + n % 30), MORNING + timedelta(seconds=n)) for n in range(count))


@pytest.fixture
def unit() -> Iterator[SimulatedTerminal]:
    """A terminal with 30 people and 3 000 punches: more than one chunk on the wire."""
    spec = TerminalSpec(serial="CKJF201260077", users=PEOPLE, punches=a_log(3_000))
    with SimulatedTerminal(spec) as terminal:
        yield terminal


@pytest.fixture
def add_device(db: None) -> Callable[..., Device]:
    def add(unit: SimulatedTerminal, *, key: str = "gate", comm_key: int = 0, **fields: object) -> Device:
        device = Device(key=key, name=key.title(), host=unit.host, port=unit.port, timeout=1, **fields)
        device.comm_key = comm_key
        device.save()
        return device

    return add


@pytest.fixture
def device(unit: SimulatedTerminal, add_device: Callable[..., Device]) -> Device:
    return add_device(unit)
