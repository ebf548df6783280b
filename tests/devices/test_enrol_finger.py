"""``enrol_finger`` asks for a finger and says how it goes until it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from threading import Event, Thread
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models.functions import Now

from devices.domain import enrolments
from devices.domain.lease import hold
from devices.models import Device
from devices.simulator import EnrolmentEnds, Faults, SimulatedTerminal
from iclock.domain import presence
from iclock.domain.enrolments import cancel
from iclock.models import Biodata, Enrolment, Terminal
from personnel.models import Area, Employee

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gate(device: Device) -> Device:
    """With 1001, who belongs there."""
    area = Area.objects.create(area_code="2", area_name="Two")
    device.terminal = Terminal.objects.create(sn="CKJF201260077", alias="Gate", area=area)
    device.save()
    presence.mark_online(device.terminal)
    Employee.objects.create(emp_code="1001", first_name="Ana", department_id=1).areas.set([area])
    return device


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[Enrolment], Any]], None]]:
    """Does something with the enrolment once it was asked for."""
    over, threads = Event(), list[Thread]()

    def run(deed: Callable[[Enrolment], Any]) -> None:
        try:
            while not over.wait(0.02):
                if (enrolment := Enrolment.objects.select_related("terminal", "employee").first()) is not None:
                    deed(enrolment)
                    return
        finally:
            connection.close()

    def start(deed: Callable[[Enrolment], Any]) -> None:
        threads.append(Thread(target=run, args=(deed,)))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join(10)


def carried_out(gate: Device) -> Callable[[Enrolment], None]:
    """As the worker does it."""

    def deed(_enrolment: Enrolment) -> None:
        with hold(gate.pk) as lease:
            enrolments.carry_out(gate, lease)

    return deed


def enrol(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("enrol_finger", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_it_says_how_it_goes_and_ends_when_the_finger_is_enrolled(gate: Device, meanwhile: Any) -> None:
    meanwhile(carried_out(gate))

    said = enrol("gate", "1001", "6")

    assert said[-1] == "Enrolled, stored, and on its way to the person's other terminals."
    assert said[0] == "The terminal is called; it asks for the finger within seconds if it answers."
    assert Biodata.objects.get().bio_no == 6


def test_what_came_of_it_is_the_error(gate: Device, meanwhile: Any, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(EnrolmentEnds(result=5))
    meanwhile(carried_out(gate))

    with pytest.raises(CommandError, match=r"^This finger is somebody's already on the terminal"):
        enrol("gate", "1001", "6")


def test_one_that_somebody_cancels_is_an_error(gate: Device, meanwhile: Any) -> None:
    meanwhile(lambda enrolment: cancel(enrolment, actor="test"))

    with pytest.raises(CommandError, match=r"^Cancelled here\.$"):
        enrol("gate", "1001", "6")


def test_it_ends_though_nobody_comes_for_it(gate: Device, meanwhile: Any) -> None:
    meanwhile(lambda _enrolment: Enrolment.objects.update(expires_at=Now()))

    with pytest.raises(CommandError, match=r"^The terminal was not reached in time"):
        enrol("gate", "1001", "6")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere", "1001", "6"), "nowhere"),
        (("gate", "77", "6"), "There is no employee with the code '77'"),
        (("gate", "1001", "10"), "there is no finger 10"),
    ],
)
def test_what_can_not_be_asked_for_is_said(arguments: tuple[str, ...], sentence: str, gate: Device) -> None:
    with pytest.raises(CommandError, match=sentence):
        enrol(*arguments)

    assert Enrolment.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"terminal": None}, "was never reached"), ({"enabled": False}, "is not polled")],
)
def test_a_device_that_nobody_calls_is_refused(change: dict[str, Any], sentence: str, gate: Device) -> None:
    Device.objects.update(**change)

    with pytest.raises(CommandError, match=sentence):
        enrol("gate", "1001", "6")
