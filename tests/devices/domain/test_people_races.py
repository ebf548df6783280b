"""Two edits of one person at the same moment, while a visit writes them: the unit ends with what the database holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from devices import protocol
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Fault, Faults, SimulatedTerminal, TerminalSpec
from iclock.models import SyncMark, Terminal
from personnel.domain import people
from personnel.models import Area, Employee

pytestmark = pytest.mark.django_db(transaction=True)

READ, WRITE, READ_BACK = protocol.CMD_PREPARE_BUFFER, protocol.CMD_SAVE_USERTEMPS, protocol.CMD_REFRESHDATA
Edits = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture
def unit() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(TerminalSpec(serial="CKJF201260077")) as running:
        yield running


@pytest.fixture
def gate(device: Device) -> Device:
    area = Area.objects.create(area_code="2", area_name="Madrid")
    device.terminal = Terminal.objects.create(sn="CKJF201260077", alias="Gate", area=area)
    device.save()
    return device


@pytest.fixture
def ana(gate: Device) -> Employee:
    """On the unit already."""
    employee = Employee(emp_code="7", first_name="Ana", card_no="4711", department_id=1)
    people.create_employee(employee, areas=list(Area.objects.filter(area_code="2")))
    visit(gate)
    return employee


@dataclass(frozen=True)
class AtThatMoment(Fault):
    """Two people edit her while the unit carries out the command, once."""

    edits: Callable[[], None] = lambda: None
    done: list[bool] = field(default_factory=list)

    def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
        if not self.done:
            self.edits()
            self.done.append(True)
        return packets


def at_once(pk: int, edits: Edits) -> None:
    start = Barrier(len(edits), timeout=10)

    def edit(values: dict[str, Any]) -> None:
        try:
            start.wait()
            people.update_employee(pk, values)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(edits)) as pool:
        for edited in [pool.submit(edit, values) for values in edits]:
            edited.result(timeout=20)


def visit(device: Device) -> None:
    run = sync_device(device.pk, trigger=SyncRun.Trigger.COMMAND)
    assert run is not None
    assert run.error == ""


def on_unit(unit: SimulatedTerminal) -> list[tuple[str, str, int]]:
    return [(user.user_id, user.name, user.card) for user in unit.users()]


def stored() -> list[tuple[str, str, int]]:
    return [(each.emp_code, each.full_name.strip(), int(each.card_no or 0)) for each in Employee.objects.all()]


@pytest.mark.parametrize("moment", [READ, WRITE, READ_BACK], ids=["read", "written", "read back"])
@pytest.mark.parametrize(
    ("edits", "outcomes"),
    [
        (({"first_name": "Anabel"}, {"card_no": "4712"}), {("7", "Anabel", 4712)}),
        (({"card_no": "4712"}, {"card_no": "4713"}), {("7", "Anna", 4712), ("7", "Anna", 4713)}),
        (({"first_name": "Anabel"}, {"first_name": "Anastasia"}), {("7", "Anabel", 4711), ("7", "Anastasia", 4711)}),
    ],
    ids=["name and card", "card twice", "name twice"],
)
def test_two_edits_at_one_moment_while_a_visit_writes_end_on_the_unit_as_they_are_stored(
    edits: Edits, outcomes: set[tuple[str, str, int]], moment: int, gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    people.update_employee(ana.pk, {"first_name": "Anna"})
    fault = AtThatMoment(command=moment, edits=lambda: at_once(ana.pk, edits))
    unit.faults = Faults(fault)

    visit(gate)
    assert fault.done, "the visit never came to that"
    unit.faults = Faults()
    visit(gate)

    assert on_unit(unit) == stored()
    assert set(stored()) <= outcomes
    assert not SyncMark.objects.pending().exists()
