"""``plan_people`` shows what would be done to a terminal's people, and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models.functions import Now
from django.test import override_settings

from devices.domain.lease import hold
from devices.models import Device
from devices.protocol import CMD_DELETE_USER, CMD_DISABLEDEVICE, CMD_SAVE_USERTEMPS, CMD_USER_WRQ
from devices.simulator import SimTemplate, SimulatedTerminal, SimUser, TerminalSpec
from iclock.models import Biodata, PersonIntent, SyncMark, Terminal, TerminalPerson
from personnel.models import Area, Employee

pytestmark = pytest.mark.django_db(transaction=True)

WRITES = {CMD_USER_WRQ, CMD_SAVE_USERTEMPS, CMD_DELETE_USER, CMD_DISABLEDEVICE}
TRIED = "to be tried: whether the unit takes new people, and what was refused before, shows only then."
USERS = (SimUser(1, "7", "Ana", card=12), SimUser(2, "99", "\x1b[2Jguest"))


@pytest.fixture
def unit() -> Any:
    """With Ana, whose card and finger are news, and a stranger whose name would clear the screen."""
    spec = TerminalSpec(serial="CKJF201260077", users=USERS, templates=(SimTemplate(1, 3, b"SS21" * 200),))
    with SimulatedTerminal(spec) as running:
        yield running


@pytest.fixture
def gate(device: Device) -> Device:
    area = Area.objects.create(area_code="2", area_name="Madrid")
    device.terminal = Terminal.objects.create(sn="CKJF201260077", alias="Gate", area=area)
    device.save()
    for code, name in (("7", "Ana"), ("8", "Bob")):
        Employee.objects.create(emp_code=code, first_name=name, department_id=1).areas.set([area])
    return device


def plan(key: str = "gate") -> list[str]:
    out = StringIO()
    call_command("plan_people", key, stdout=out)
    return out.getvalue().splitlines()


def stored() -> list[list[dict[str, Any]]]:
    """Whatever a comparison writes."""
    tables: list[Any] = [Biodata, PersonIntent, TerminalPerson, SyncMark, Terminal, Employee, Device]
    rows = [list(table.objects.order_by("pk").values()) for table in tables]
    for device in rows[-1]:
        del device["lease_token"], device["lease_expires_at"]  # that it was talked to
    return rows


def test_it_says_what_would_be_done_and_does_nothing_here_nor_there(gate: Device, unit: SimulatedTerminal) -> None:
    before, on_unit = stored(), (unit.users(), unit.templates())

    said = plan()

    assert said[:2] == [
        "Gate (CKJF201260077): area 2 Madrid, people go: both, strangers: kept.",
        "2 people belong there, 2 are on the unit, 1 of them strangers.",
    ]
    assert sorted(said[2:-1]) == ["add 8", "take fields 7 card", "take finger 7 finger 3"]
    assert said[-1] == f"2 to do. 1 {TRIED}"
    assert stored() == before
    assert (unit.users(), unit.templates()) == on_unit
    assert WRITES.isdisjoint(unit.commands())


def test_where_all_is_well_it_says_so(gate: Device, unit: SimulatedTerminal) -> None:
    Terminal.objects.update(direction="off")

    assert plan()[-1] == "Nothing to do."


def test_whoever_is_left_as_they_are_and_what_was_refused_before_stand_apart(
    gate: Device, unit: SimulatedTerminal
) -> None:
    unit.add_user(SimUser(1, "7", "Quite another"))
    TerminalPerson.objects.create(terminal=Terminal.objects.get(), emp_code="8", refusal="It is full.")

    said = plan()

    assert "8: It is full." in said
    assert said[-1] == f"1 {TRIED} 1 left as they are, for what is said of them above."


def test_what_a_unit_says_reaches_no_shell_as_it_is(gate: Device, unit: SimulatedTerminal) -> None:
    unit.add_user(SimUser(1, "7", "\x1b[2J\x1b]0;quite another\x07"))
    unit.add_user(SimUser(3, "5\x1b[2J"))  # which is no code
    Terminal.objects.update(strangers="removed")
    SyncMark.objects.create(terminal=Terminal.objects.get(), wanted_at=Now(), compared_at=Now())

    said = plan()

    (refusal,) = (line for line in said if line.startswith("7: "))
    assert "quite another" in refusal
    assert "remove 99" in said
    assert all(line.isprintable() for line in said)


def test_a_device_that_there_is_not_is_said_with_those_that_there_are(gate: Device) -> None:
    with pytest.raises(CommandError, match=r"^There is no device nowhere; there are gate\.$"):
        plan("nowhere")


def test_a_device_that_was_never_visited_is_said(device: Device) -> None:
    with pytest.raises(CommandError, match="was never visited"):
        plan()


@override_settings(LIVE_WAIT_SECONDS=0.4)
def test_a_device_that_somebody_talks_to_is_waited_for_and_left_alone(gate: Device, unit: SimulatedTerminal) -> None:
    with hold(gate.pk), pytest.raises(CommandError, match="Somebody is talking to Gate"):
        plan()

    assert not unit.journal


def test_a_unit_that_can_not_be_reached_is_said_and_the_device_is_free_again(
    gate: Device, unit: SimulatedTerminal
) -> None:
    unit.stop()

    for _ in range(2):
        with pytest.raises(CommandError, match=r"can't be reached|refused|nobody"):
            plan()


def test_another_unit_and_a_blocked_terminal_are_not_planned_for(
    gate: Device, unit: SimulatedTerminal, add_device: Callable[..., Device]
) -> None:
    Terminal.objects.update(sn="ANOTHER")
    with pytest.raises(CommandError, match="Another unit answers"):
        plan()

    Terminal.objects.update(admission="blocked")
    sessions = len(unit.journal)
    with pytest.raises(CommandError, match="is blocked"):
        plan()
    assert len(unit.journal) == sessions
