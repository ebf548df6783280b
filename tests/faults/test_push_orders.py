"""Row 44 of the fault matrix: a unit takes orders and the reply is lost, or it reboots before it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest

from devices.simulator import CutBody, LostAnswer, PushFault, PushFaults, RebootBeforeAnswer, SilentCommands, SimUser
from tests.faults.dialling import Dialler, assert_right, diallers, on_line, without_tracebacks
from tests.faults.stack import Stack, Web, eventually

# The lease that the web server was started with (conftest) is two seconds.
FED: Final = {"PUSH_FEED_SECONDS": "1", "PUSH_LEASE_SECONDS": "2"}
PEOPLE: Final = {str(code): f"Person {code}" for code in range(7001, 7013)}
STRANGER: Final = SimUser(1, "900", "Guest", privilege=14, card=77)
_EMPLOY: Final = """
import json, sys
from iclock.domain.terminals import change_terminal
from iclock.models import Terminal
from personnel.domain import people
from personnel.models import Area, Department, Employee
serials, names = map(json.loads, sys.argv[1:])
area = Area.objects.create(area_code="ORDERS", area_name="Orders")
for terminal in Terminal.objects.filter(sn__in=serials):
    change_terminal(terminal, area=area)
department = Department.objects.earliest("pk")
for code, name in names.items():
    people.create_employee(Employee(emp_code=code, first_name=name, department=department), areas=[area])
"""
_LEAVE: Final = """
from iclock.domain.terminals import change_terminal
from iclock.models import Terminal
from personnel.models import Area
for terminal in Terminal.objects.filter(area__area_code="ORDERS"):
    change_terminal(terminal, area=Area.objects.earliest("pk"))
"""
_REBOOT: Final = """
import json, sys
from django.contrib.auth import get_user_model
from iclock.domain.commands import queue_commands
from iclock.models import Terminal
terminals = Terminal.objects.filter(sn__in=json.loads(sys.argv[1]))
queue_commands(terminals, "reboot", user=get_user_model().objects.get(username="faults"))
"""
LOST: Final[dict[str, PushFault]] = {
    "orders lost on their way": LostAnswer(on="getrequest", nth=2, times=3),
    "answers lost on their way": CutBody(on="devicecmd", times=2),
    "answer to the answers lost": LostAnswer(on="devicecmd", times=2),
    "taken and never answered": SilentCommands(on="DATA UPDATE", nth=4, times=12),
    "reboots before it answers": RebootBeforeAnswer(on="DATA UPDATE", nth=5, times=2),
    "nothing": LostAnswer(on="nothing"),
}


@pytest.fixture(scope="module", autouse=True)
def _fed(stack: Stack) -> Iterator[None]:
    with without_tracebacks(stack), stack.working(**FED):
        yield


def test_row_44_units_that_lose_orders_end_with_exactly_the_right_people(stack: Stack, dialled: Web) -> None:
    units = diallers(stack, dialled, len(LOST), punches=20, users=(STRANGER,))
    for unit, fault in zip(units, LOST.values(), strict=True):
        unit.faults = PushFaults(fault)
    stack.django(_EMPLOY, _serials(units), json.dumps(PEOPLE))
    with on_line(units):
        assert eventually(holding(units, PEOPLE), 40), wrong(units, PEOPLE)
        assert eventually(lambda: open_orders(stack, units) == 0, 30), "something is still asked of them"
        stack.django(_LEAVE)
        for unit, fault in zip(units, LOST.values(), strict=True):
            unit.faults = PushFaults(fault)
        assert eventually(holding(units, {}), 40), wrong(units, {})
    for unit in units:
        assert not unit.forbidden
        assert STRANGER in unit.state.users()
    assert_right(stack, units)


def holding(units: Sequence[Dialler], people: dict[str, str]) -> Callable[[], bool]:
    return lambda: not wrong(units, people)


def wrong(units: Sequence[Dialler], people: dict[str, str]) -> list[str]:
    """The faults of those that have others on them than these."""
    pairs = zip(units, LOST, strict=True)
    return [what for unit, what in pairs if _people(unit) != people]


def _people(unit: Dialler) -> dict[str, str]:
    return {user.user_id: user.name for user in unit.state.users() if user != STRANGER}


def _serials(units: Sequence[Dialler]) -> str:
    return json.dumps([unit.serial for unit in units])


def open_orders(stack: Stack, units: Sequence[Dialler]) -> int:
    rows = stack.query(
        "SELECT count(*) FROM iclock_pushcommand c JOIN iclock_terminal t ON t.id = c.terminal_id"
        " WHERE t.sn = ANY(%s) AND c.state IN ('queued', 'sent')",
        [unit.serial for unit in units],
    )
    return int(rows[0][0])


def test_row_44_no_unit_is_told_twice_to_restart(stack: Stack, dialled: Web) -> None:
    faults: list[PushFault] = [
        LostAnswer(on="devicecmd"),
        RebootBeforeAnswer(on="REBOOT"),
        SilentCommands(on="REBOOT"),
        LostAnswer(on="nothing"),
    ]
    units = diallers(stack, dialled, len(faults), punches=20)
    with on_line(units):
        assert eventually(lambda: all(len(unit.requests) > 3 for unit in units))
        for unit, fault in zip(units, faults, strict=True):
            unit.faults = PushFaults(fault)
        stack.django(_REBOOT, _serials(units))
        assert eventually(lambda: all(map(times_told, units))), list(map(times_told, units))
        assert eventually(lambda: leases_ended(stack, units))
        asked = [asked_times(unit) for unit in units]
        assert eventually(lambda: all(asked_times(unit) > then + 4 for unit, then in zip(units, asked, strict=True)))
    assert [times_told(unit) for unit in units] == [1, 1, 1, 1]
    assert [unit.reboots for unit in units] == [1, 1, 0, 1]
    assert_right(stack, units)


def times_told(unit: Dialler) -> int:
    return sum(carried.text == "REBOOT" for carried in unit.commands)


def asked_times(unit: Dialler) -> int:
    return sum("/getrequest" in exchange.target for exchange in unit.requests)


def leases_ended(stack: Stack, units: Sequence[Dialler]) -> bool:
    """Whether whatever could be handed out again would be by now."""
    rows = stack.query(
        "SELECT count(*) FROM iclock_pushcommand c JOIN iclock_terminal t ON t.id = c.terminal_id"
        " WHERE t.sn = ANY(%s) AND c.kind = 'reboot' AND c.lease_until > now()",
        [unit.serial for unit in units],
    )
    return int(rows[0][0]) == 0
