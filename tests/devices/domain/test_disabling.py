"""A unit that is disabled is enabled again by whoever meets it next, and somebody is told when nobody does."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest
from django.db.models.functions import Now

from devices import protocol
from devices.domain import live_changes
from devices.domain.dialling import Bounds
from devices.domain.disabling import PATIENCE
from devices.domain.lease import LeaseLostError, hold
from devices.domain.sync import sync_device
from devices.driver.errors import MayBeLockedError, TerminalError
from devices.driver.users import UserFields
from devices.models import Device, SyncRun
from devices.simulator import Close, Fault, Faults, Silent, SimulatedTerminal
from devices.simulator.faults import Step
from devices.tasks import check_locked
from iclock.models import Alarm

pytestmark = pytest.mark.django_db(transaction=True)

DISABLE, ENABLE = protocol.CMD_DISABLEDEVICE, protocol.CMD_ENABLEDEVICE
LONG_AGO = PATIENCE + timedelta(seconds=1)


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.SCHEDULE)
    assert run is not None
    return run


def create_user(device: Device) -> None:
    with hold(device.pk) as lease:
        live_changes.create_user("77", UserFields(name="Ana"), actor="somebody")(lease, Bounds(30))


def is_noted() -> bool:
    return Device.objects.exclude(disabled_at=None).exists()


class IsNoted(Fault):
    """Looks for the word while the unit is disabled."""

    seen: ClassVar[list[bool]] = []

    def steps(self, steps: list[Step]) -> list[Step]:
        self.seen.append(is_noted())
        return steps


@pytest.fixture
def left_disabled(device: Device, unit: SimulatedTerminal) -> Device:
    """As a process leaves it that dies in between."""
    visit(device)
    unit.disabled = True
    Device.objects.update(disabled_at=Now() - LONG_AGO)
    return device


def test_word_is_left_while_a_unit_is_disabled_and_taken_away_after(device: Device, unit: SimulatedTerminal) -> None:
    IsNoted.seen.clear()
    unit.faults = Faults(IsNoted(command=DISABLE), IsNoted(command=ENABLE))

    create_user(device)

    assert (IsNoted.seen, is_noted(), unit.disabled) == ([True, True], False, False)


def test_word_is_taken_away_after_an_error_too_if_the_unit_is_enabled(device: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(Close(command=protocol.CMD_USER_WRQ))

    with pytest.raises(TerminalError):
        create_user(device)

    assert (is_noted(), unit.disabled) == (False, False)


def test_word_stays_where_the_unit_could_not_be_enabled(device: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(Silent(command=ENABLE, times=None))

    with pytest.raises(MayBeLockedError):
        create_user(device)

    assert is_noted()


def test_nothing_is_disabled_by_who_has_lost_the_device(device: Device, unit: SimulatedTerminal) -> None:
    with hold(device.pk) as lease:
        Device.objects.update(lease_token=99)
        with pytest.raises(LeaseLostError):
            live_changes.delete_user("1001", actor="somebody")(lease, Bounds(30))

    assert (DISABLE in unit.commands(), is_noted()) == (False, False)


def test_the_next_visit_enables_the_unit_before_it_asks_anything(
    left_disabled: Device, unit: SimulatedTerminal
) -> None:
    before = len(unit.commands())

    assert visit(left_disabled).outcome == "unchanged"

    assert (unit.disabled, is_noted()) == (False, False)
    assert unit.commands()[before:][:2] == [protocol.CMD_CONNECT, ENABLE]


def test_the_next_request_enables_the_unit_too(left_disabled: Device, unit: SimulatedTerminal) -> None:
    with hold(left_disabled.pk) as lease:
        live_changes.set_clock(actor="somebody")(lease, Bounds(30))

    assert (unit.disabled, is_noted()) == (False, False)


def test_another_unit_at_the_address_is_not_the_one_that_was_disabled(
    left_disabled: Device, unit: SimulatedTerminal
) -> None:
    unit.options["~SerialNumber"] = "OTHER9"

    assert visit(left_disabled).error_code == "identity"
    assert is_noted()


def test_a_unit_that_stays_disabled_is_one_alarm_until_it_is_enabled(
    left_disabled: Device, unit: SimulatedTerminal
) -> None:
    unit.stop()
    for _ in range(2):
        visit(left_disabled)
        check_locked()
    assert list(Alarm.objects.values_list("kind", "closed_at")) == [("locked", None)]
    unit.start()
    visit(left_disabled)
    check_locked()

    assert Alarm.objects.get(kind="locked").closed_at is not None


def test_a_unit_that_is_disabled_for_a_moment_is_no_alarm(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    Device.objects.update(disabled_at=Now() - PATIENCE + timedelta(seconds=10))

    check_locked()

    assert Alarm.objects.count() == 0


def test_a_unit_that_can_be_reached_is_due_at_once(left_disabled: Device) -> None:
    Device.objects.update(next_poll_at=Now() + timedelta(hours=1))
    check_locked()
    assert Device.objects.filter(next_poll_at__lte=Now()).count() == 1

    Device.objects.update(next_poll_at=Now() + timedelta(hours=1), failures=3)
    check_locked()
    assert Device.objects.filter(next_poll_at__lte=Now()).count() == 0


def test_an_alarm_ends_with_its_device(left_disabled: Device) -> None:
    check_locked()
    left_disabled.delete()
    check_locked()

    assert Alarm.objects.get().closed_at is not None


def test_nobody_is_told_of_a_unit_that_is_disabled_for_somebody_who_still_has_it(left_disabled: Device) -> None:
    """Reading a long log before it is cleared takes longer than a change."""
    with hold(left_disabled.pk):
        check_locked()
        assert Alarm.objects.count() == 0

    check_locked()
    assert Alarm.objects.get().kind == "locked"


def test_a_disabled_unit_that_was_replaced_was_not_enabled(left_disabled: Device) -> None:
    check_locked()
    Device.objects.update(terminal=None, disabled_at=None)

    check_locked()

    sentence = "It isn't read any more, and may still take no finger: restart it before it is used again."
    assert Alarm.objects.get().ending == sentence
