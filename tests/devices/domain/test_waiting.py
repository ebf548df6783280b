"""For whom somebody waits, and who is told of another unit, after devices and terminals came and went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from django.db.models.functions import Now

from devices.domain.identity import NotAcceptedError, accept_unit
from devices.domain.registry import set_polled
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import SimPunch, SimulatedTerminal, SimUser, TerminalSpec
from iclock.domain.alarms import check_away
from iclock.domain.terminals import remove_terminals
from iclock.models import Alarm, QuarantinedRecord, Terminal, TerminalPresence, Transaction
from personnel.models import Area
from personnel.models.scope import Scope

pytestmark = pytest.mark.django_db(transaction=True)

MORNING = datetime(2026, 3, 2, 8)
OLD, NEW = "CKJF201260077", "NEW1"
SERIAL = "~SerialNumber"
AddDevice = Callable[..., Device]


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.SCHEDULE)
    assert run is not None
    return run


def fresh(device: Device) -> Device:
    return Device.objects.select_related("terminal").get(pk=device.pk)


def open_alarms() -> list[tuple[str, str]]:
    return sorted(Alarm.objects.open().values_list("kind", "terminal__sn"))


def be_away_for_days() -> None:
    old = Now() - timedelta(days=3)
    TerminalPresence.objects.update(online=False, since=old, last_activity=old)
    check_away()


@pytest.fixture
def second() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(TerminalSpec(serial=NEW)) as terminal:
        yield terminal


def test_a_device_that_was_deleted_and_entered_again_is_waited_for(
    device: Device, unit: SimulatedTerminal, add_device: AddDevice
) -> None:
    visit(device)
    fresh(device).delete()
    visit(add_device(unit))

    be_away_for_days()

    assert open_alarms() == [("away", OLD)]


def test_both_of_two_units_that_changed_places_are_waited_for(
    device: Device, unit: SimulatedTerminal, second: SimulatedTerminal, add_device: AddDevice
) -> None:
    other = add_device(second, key="other")
    for each in (device, other):
        visit(each)
    unit.options[SERIAL], second.options[SERIAL] = NEW, OLD
    for each in (device, other):
        visit(each)
    accept_unit(fresh(device), actor="somebody")
    assert [visit(device).error, visit(other).error] == ["", ""]

    be_away_for_days()

    assert open_alarms() == [("away", OLD), ("away", NEW)]


def test_nobody_is_told_of_another_unit_where_the_device_was_deleted(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    unit.options[SERIAL] = NEW
    visit(device)
    assert open_alarms() == [("wrong_unit", OLD)]

    fresh(device).delete()

    assert open_alarms() == []


def test_nobody_is_told_of_another_unit_where_nobody_looks_any_more(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    unit.options[SERIAL] = NEW
    visit(device)

    set_polled([device.pk], enabled=False)
    assert open_alarms() == []
    set_polled([device.pk], enabled=True)
    visit(device)
    assert open_alarms() == [("wrong_unit", OLD)]


def test_an_alarm_left_open_ends_where_the_unit_is_read_again(
    device: Device, unit: SimulatedTerminal, add_device: AddDevice
) -> None:
    visit(device)
    unit.options[SERIAL] = NEW
    visit(device)
    Device.objects.update(terminal=None, stranger_sn="")
    unit.options[SERIAL] = OLD

    visit(device)

    assert open_alarms() == []


def test_who_may_not_see_a_terminal_may_not_take_it(
    device: Device, unit: SimulatedTerminal, second: SimulatedTerminal, add_device: AddDevice
) -> None:
    """A box in one's own area says that it is a unit of another area."""
    other = add_device(second, key="other")
    for each in (device, other):
        visit(each)
    mine, theirs = (Area.objects.create(area_code=code, area_name=code) for code in ("mine", "theirs"))
    Terminal.objects.filter(sn=OLD).update(area=mine)
    Terminal.objects.filter(sn=NEW).update(area=theirs)
    unit.options[SERIAL] = NEW
    visit(device)
    limited = Scope(areas=frozenset({mine.pk}))

    with pytest.raises(NotAcceptedError) as refused:
        accept_unit(fresh(device), actor="somebody", scope=limited)

    assert str(refused.value) == "You may not accept this unit: ask somebody who may see all areas."
    assert (str(fresh(device).terminal), str(fresh(other).terminal)) == (f"Gate ({OLD})", f"Other ({NEW})")
    Terminal.objects.filter(sn=NEW).update(area=mine)
    assert accept_unit(fresh(device), actor="somebody", scope=limited).sn == NEW


def test_who_has_limits_may_accept_a_unit_that_nobody_knew(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    mine = Area.objects.create(area_code="mine", area_name="Mine")
    Terminal.objects.update(area=mine)
    unit.options[SERIAL] = NEW
    visit(device)

    terminal = accept_unit(fresh(device), actor="somebody", scope=Scope(areas=frozenset({mine.pk})))

    assert (terminal.sn, terminal.area) == (NEW, mine)


def test_of_the_log_of_a_terminal_that_was_deleted_nothing_is_remembered(
    device: Device, unit: SimulatedTerminal
) -> None:
    """Another unit, with as many punches, stands there now."""
    visit(device)
    remove_terminals(Terminal.objects.values_list("pk", flat=True), actor="somebody")
    unit.options[SERIAL] = NEW
    unit.clear_log()
    unit.fill(SimPunch("1001", MORNING + timedelta(days=1, seconds=n)) for n in range(3_000))
    set_polled([device.pk], enabled=True)

    run = visit(device)

    assert (run.outcome, run.new, open_alarms()) == ("ok", 3_000, [])
    assert Transaction.objects.filter(terminal_sn=NEW).count() == 3_000
    assert Alarm.objects.count() == 0


def test_a_number_that_is_anothers_by_now_takes_nobodys_old_punches(add_device: AddDevice) -> None:
    """Rows of 8 bytes carry only that number; the unit was replaced, repaired, and is back."""
    first, later = SimPunch("1001", MORNING), SimPunch("2002", MORNING + timedelta(days=30))
    people = (SimUser(1, "1001", "X"), SimUser(2, "1002", "Y"))
    spec = TerminalSpec(serial=OLD, users=people, user_width=28, punch_width=8)
    with SimulatedTerminal(spec) as unit:
        unit.fill([first, SimPunch("1002", MORNING)])
        device = add_device(unit)
        visit(device)
        unit.options[SERIAL] = NEW
        visit(device)
        accept_unit(fresh(device), actor="somebody")
        unit.options[SERIAL] = OLD
        unit.delete_user(1)
        unit.add_user(SimUser(1, "2002", "Z"))
        unit.fill([later])
        visit(device)
        accept_unit(fresh(device), actor="somebody")

        run = visit(device)

    assert (run.new, run.duplicate, run.quarantined) == (1, 1, 1)
    stored = Transaction.objects.filter(terminal_sn=OLD).order_by("id").values_list("emp_code", "punch_time")
    assert list(stored) == [("1001", MORNING), ("1002", MORNING), ("2002", later.time)]
    assert "number 1 of the terminal is 2002's now" in QuarantinedRecord.objects.get().reason
