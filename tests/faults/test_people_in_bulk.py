"""Many people come to many terminals at once, and everybody's punches come in meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from devices.domain.people import MOST_AT_ONCE as AT_ONCE
from devices.protocol import CMD_DATA
from devices.simulator import Faults, Latency
from tests.faults.stack import Stack, Unit, eventually

BESIDE = 5
# Less than a device's patience: the upload of all would take half a minute.
LATENCY = 1.5
NOON = datetime(2026, 3, 5, 12)
_HIRE = """
import sys
from personnel.domain.people import resync
from personnel.models import Area, Department, Employee
from iclock.models import Terminal
count = int(sys.argv[1])
area, department = Area.objects.create(area_code=f"BULK{count}"), Department.objects.earliest("pk")
people = Employee.objects.bulk_create(
    Employee(emp_code=str(500_000 + n), first_name=f"Hired {n}", card_no=str(700_000 + n), department=department)
    for n in range(count, 2 * count)
)
area.employees.set(people)
Terminal.objects.filter(sn__in=sys.argv[2:]).update(area=area)
resync([each.pk for each in people])
"""


def hired(unit: Unit) -> int:
    return sum(user.user_id.startswith("50") for user in unit.users())


@pytest.mark.parametrize(
    ("terminals", "people"), [(6, 300), pytest.param(20, 1_000, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_terminals_get_many_people_and_no_punch_waits_for_them(stack: Stack, terminals: int, people: int) -> None:
    with stack.units(terminals + BESIDE, punches=100) as units, stack.working():
        full, beside = units[:terminals], units[terminals:]
        assert eventually(lambda: stack.holds_all_of(units))
        for unit in full:
            unit.faults = Faults(Latency(command=CMD_DATA, seconds=LATENCY, times=None))
        stack.django(_HIRE, str(people), *[unit.spec.serial for unit in full])
        assert eventually(lambda: sum(CMD_DATA in unit.commands() for unit in full) >= min(terminals, AT_ONCE))

        for number, unit in enumerate(units):
            unit.punch("1001", at=NOON + timedelta(seconds=number))
        assert eventually(lambda: stack.holds_all_of(beside))
        assert not any(map(hired, full)), "the people had come before the punches"

        for unit in full:
            unit.faults = Faults()
        assert eventually(lambda: stack.holds_all_of(full))
        assert eventually(lambda: all(hired(unit) == people for unit in full), seconds=120)
        assert all(len(unit.users()) == people + 30 for unit in full)
        assert eventually(lambda: _progress(stack, full) == {(people, people, "")})
        assert all(hired(unit) == 0 for unit in beside)


def _progress(stack: Stack, units: list[Unit]) -> set[tuple[int, int, str]]:
    """What the administration shows: planned, carried out, and why it was broken off."""
    rows = stack.query(
        "SELECT planned, carried_out, error FROM iclock_syncmark m JOIN iclock_terminal t ON t.id = m.terminal_id"
        " WHERE t.sn = ANY(%s) AND m.done >= m.wanted",
        [unit.spec.serial for unit in units],
    )
    return set(rows)
