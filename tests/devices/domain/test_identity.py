"""Who answers at an address: strangers, twins, and accepting a new unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from io import StringIO
from threading import Barrier

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from devices import protocol
from devices.domain.identity import NotAcceptedError, accept_unit
from devices.domain.lease import LeaseLostError
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Fault, Faults, SimPunch, SimulatedTerminal, TerminalSpec
from devices.simulator.state import Counts
from iclock.domain.alarms import check_away
from iclock.models import Alarm, Terminal, TerminalPresence, Transaction
from personnel.models import Area
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "CKJF201260077", "NEW1"
SERIAL = "~SerialNumber"


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.SCHEDULE)
    assert run is not None
    return run


def fresh(device: Device) -> Device:
    return Device.objects.select_related("terminal").get(pk=device.pk)


def alarms() -> list[tuple[str, str, bool]]:
    """Kind, serial number and whether it is open, of each there ever was."""
    rows = Alarm.objects.order_by("id").values_list("kind", "terminal__sn", "closed_at")
    return [(kind, sn, closed is None) for kind, sn, closed in rows]


@pytest.fixture
def replaced(device: Device, unit: SimulatedTerminal) -> Device:
    """Read once; then another unit with an empty log was put at its place."""
    visit(device)
    area = Area.objects.create(area_code="7", area_name="North")
    Terminal.objects.update(
        area=area, alias="North door", time_zone="Asia/Kolkata", is_attendance=False, corrects_clock=True
    )
    unit.options[SERIAL] = NEW
    unit.clear_log()
    unit.fill([SimPunch("1001", datetime(2026, 4, 1, 8))])
    return device


@pytest.fixture
def twins(add_device: Callable[..., Device], unit: SimulatedTerminal) -> Iterator[tuple[Device, Device]]:
    """One device that is read, and another whose unit has the same serial number."""
    with SimulatedTerminal(TerminalSpec(serial=OLD, punches=(SimPunch("9", datetime(2026, 1, 1)),))) as twin:
        home, elsewhere = add_device(unit), add_device(twin, key="twin")
        visit(home)
        visit(elsewhere)
        yield home, elsewhere


def test_a_stranger_is_one_alarm_over_several_visits_until_the_right_unit_is_back(
    replaced: Device, unit: SimulatedTerminal
) -> None:
    for _ in range(3):
        assert visit(replaced).error_code == "identity"
    assert alarms() == [("wrong_unit", OLD, True)]
    assert fresh(replaced).stranger_sn == NEW
    unit.options[SERIAL] = OLD

    assert visit(replaced).outcome == "ok"
    assert ("wrong_unit", OLD, False) in alarms()
    assert fresh(replaced).stranger_sn == ""


def test_an_accepted_unit_takes_the_place_of_the_former_one_and_is_read_from_its_first_punch(replaced: Device) -> None:
    visit(replaced)

    terminal = accept_unit(fresh(replaced), actor="somebody")

    assert (terminal.sn, terminal.alias, terminal.area.area_name) == (NEW, "North door", "North")
    assert (terminal.time_zone, terminal.is_attendance, terminal.corrects_clock) == ("Asia/Kolkata", False, True)
    assert alarms() == [("wrong_unit", OLD, False)]
    entry = AuditEntry.objects.get(action="devices.accept_unit")
    assert (entry.actor, entry.detail) == ("somebody", {"id": "gate", "sn": NEW, "former_sn": OLD})
    run = visit(replaced)
    assert (run.outcome, run.new, fresh(replaced).terminal) == ("ok", 1, terminal)
    assert Transaction.objects.filter(terminal_sn=OLD).count() == 3_000
    assert Terminal.objects.filter(sn=OLD).exists()


def test_nobody_waits_for_a_unit_that_was_replaced(replaced: Device, unit: SimulatedTerminal) -> None:
    yesterday = Now() - timedelta(days=1)
    TerminalPresence.objects.update(online=False, since=yesterday, last_activity=yesterday)
    check_away()
    visit(replaced)
    reached = TerminalPresence.objects.get().complete_until
    assert alarms() == [("away", OLD, True), ("wrong_unit", OLD, True)]

    accept_unit(fresh(replaced), actor="somebody")
    check_away()

    assert [kind for kind, _, is_open in alarms() if is_open] == []
    assert TerminalPresence.objects.get(terminal__sn=OLD).complete_until == reached is not None
    unit.options[SERIAL] = OLD
    visit(replaced)
    accept_unit(fresh(replaced), actor="somebody")
    assert visit(replaced).outcome == "ok"
    assert TerminalPresence.objects.get(terminal__sn=OLD).last_activity is not None


def test_a_unit_in_whose_place_another_answers_is_not_away_as_well(replaced: Device) -> None:
    visit(replaced)
    TerminalPresence.objects.update(last_activity=Now() - timedelta(days=1))

    check_away()

    assert alarms() == [("wrong_unit", OLD, True)]


def test_a_unit_that_is_known_keeps_its_own_place_and_is_admitted(replaced: Device) -> None:
    Terminal.objects.create(sn=NEW, alias="Spare", admission=Terminal.Admission.PENDING)
    visit(replaced)

    accept_unit(fresh(replaced), actor="somebody")

    assert (Terminal.objects.get(sn=NEW).alias, visit(replaced).outcome) == ("Spare", "ok")


def test_a_blocked_unit_is_not_accepted(replaced: Device) -> None:
    Terminal.objects.create(sn=NEW, alias="Stolen", admission=Terminal.Admission.BLOCKED)
    visit(replaced)

    with pytest.raises(NotAcceptedError, match="blocked"):
        accept_unit(fresh(replaced), actor="somebody")

    assert fresh(replaced).stranger_sn == NEW


def test_a_unit_that_was_put_back_meanwhile_is_not_accepted(replaced: Device, unit: SimulatedTerminal) -> None:
    visit(replaced)
    seen = fresh(replaced)
    unit.options[SERIAL] = OLD
    visit(replaced)

    with pytest.raises(NotAcceptedError):
        accept_unit(seen, actor="somebody")
    assert fresh(replaced).terminal == seen.terminal


def test_another_stranger_than_the_one_that_was_seen_is_not_accepted(replaced: Device, unit: SimulatedTerminal) -> None:
    visit(replaced)
    seen = fresh(replaced)
    unit.options[SERIAL] = "NEW2"
    visit(replaced)

    with pytest.raises(NotAcceptedError):
        accept_unit(seen, actor="somebody")


def test_a_stranger_at_an_address_that_was_corrected_is_not_accepted(replaced: Device) -> None:
    visit(replaced)
    device = fresh(replaced)
    device.port += 1
    device.save()

    with pytest.raises(NotAcceptedError):
        accept_unit(device, actor="somebody")


@pytest.mark.parametrize("jump", [timedelta(minutes=10), -timedelta(minutes=10)], ids=["ahead", "behind"])
def test_a_unit_is_accepted_after_an_edit_by_a_server_with_another_clock(
    replaced: Device, jump: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = timezone.now
    device = fresh(replaced)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(timezone, "now", lambda: real() + jump)
        device.save()
    visit(replaced)
    assert accept_unit(fresh(replaced), actor="somebody").sn == NEW

    assert fresh(replaced).edited_at is not None


@pytest.mark.parametrize("jump", [timedelta(minutes=10), -timedelta(minutes=10)], ids=["ahead", "behind"])
def test_a_unit_at_a_corrected_address_is_not_accepted_whatever_the_servers_clock(
    replaced: Device, jump: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(replaced)
    device, real = fresh(replaced), timezone.now
    device.port += 1
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(timezone, "now", lambda: real() + jump)
        device.save()

    with pytest.raises(NotAcceptedError):
        accept_unit(fresh(replaced), actor="somebody")


def test_two_who_accept_at_once_accept_once(replaced: Device) -> None:
    visit(replaced)
    together = Barrier(2)

    def accept(seen: Device) -> bool:
        together.wait(timeout=20)
        try:
            accept_unit(seen, actor="somebody")
        except NotAcceptedError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(accept, [fresh(replaced), fresh(replaced)])) == [False, True]
    assert AuditEntry.objects.filter(action="devices.accept_unit").count() == 1


def test_a_visit_that_goes_on_while_its_unit_is_accepted_writes_nothing(
    replaced: Device, unit: SimulatedTerminal
) -> None:
    """The unit is swapped back at that very moment."""
    visit(replaced)
    unit.options[SERIAL] = OLD

    class Accepted(Fault):
        def counts(self, counts: Counts) -> Counts:
            accept_unit(fresh(replaced), actor="somebody")
            connection.close()
            return counts

    unit.faults = Faults(Accepted(command=protocol.CMD_GET_FREE_SIZES))
    with pytest.raises(LeaseLostError):
        visit(replaced)

    device = fresh(replaced)
    assert (device.terminal and device.terminal.sn, device.stranger_sn, device.log_bytes) == (NEW, "", 0)
    assert visit(replaced).error_code == "identity"


def test_two_units_with_one_serial_are_one_alarm_and_only_the_first_is_read(twins: tuple[Device, Device]) -> None:
    home, elsewhere = twins

    for _ in range(2):
        assert [visit(home).outcome, visit(elsewhere).error_code] == ["unchanged", "identity"]

    assert alarms() == [("twin", OLD, True)]
    assert Transaction.objects.filter(emp_code="9").count() == 0


def test_no_sentence_of_a_stranger_names_another_terminal(
    add_device: Callable[..., Device], unit: SimulatedTerminal
) -> None:
    """Whoever reads of it may be allowed to see one area only."""
    with SimulatedTerminal(TerminalSpec(serial="SECRET1")) as other:
        home, elsewhere = add_device(unit), add_device(other, key="secret_lab")
        visit(home)
        visit(elsewhere)
        unit.options[SERIAL], other.options[SERIAL] = "SECRET1", OLD
        visit(home)
        visit(elsewhere)
        unit.options[SERIAL] = OLD
        visit(home)
        visit(elsewhere)
        accept_unit(fresh(elsewhere), actor="somebody")

    told = [*Alarm.objects.filter(terminal__sn=OLD).values_list("kind", "sentence", "ending")]
    told += [*SyncRun.objects.filter(device=home).values_list("error_code", "error")]
    assert {kind for kind, *_ in told} == {"wrong_unit", "twin", "identity", ""}
    assert [words for words in told if any(name in str(words) for name in ("SECRET1", "secret_lab"))] == []


def test_the_alarm_of_twins_ends_with_the_second_entry(twins: tuple[Device, Device]) -> None:
    twins[1].delete()

    assert alarms() == [("twin", OLD, False)]


def test_the_alarm_of_twins_ends_when_the_second_has_a_number_of_its_own(
    add_device: Callable[..., Device], unit: SimulatedTerminal
) -> None:
    with SimulatedTerminal(TerminalSpec(serial=OLD)) as twin:
        visit(add_device(unit))
        second = add_device(twin, key="twin")
        visit(second)
        twin.options[SERIAL] = "OWN1"
        visit(second)

    assert alarms() == [("twin", OLD, False)]
    assert set(Terminal.objects.values_list("sn", flat=True)) == {OLD, "OWN1"}


def test_accepting_the_second_entry_releases_the_first(twins: tuple[Device, Device]) -> None:
    """A unit that moved to another address, registered anew there."""
    home, elsewhere = twins

    terminal = accept_unit(fresh(elsewhere), actor="somebody")

    assert (terminal.sn, fresh(elsewhere).terminal, fresh(home).terminal) == (OLD, terminal, None)
    assert ("twin", OLD, False) in alarms()
    assert visit(elsewhere).outcome == "ok"


def test_units_that_changed_places_are_no_twins(add_device: Callable[..., Device], unit: SimulatedTerminal) -> None:
    with SimulatedTerminal(TerminalSpec(serial="B")) as second:
        a, b = add_device(unit), add_device(second, key="b")
        visit(a)
        visit(b)
        unit.options[SERIAL], second.options[SERIAL] = "B", OLD
        for device in (a, b):
            visit(device)
        assert {(kind, sn) for kind, sn, is_open in alarms() if is_open} == {("wrong_unit", OLD), ("wrong_unit", "B")}

        accept_unit(fresh(a), actor="somebody")
        visit(b)

        assert {visit(a).error_code, visit(b).error_code} == {""}
        assert [is_open for *_, is_open in alarms()] == [False] * len(alarms())


def test_the_command_shows_both_numbers_and_accepts_when_told(replaced: Device) -> None:
    with pytest.raises(CommandError, match="none to accept"):
        call_command("accept_unit", "gate")
    visit(replaced)

    call_command("accept_unit", "gate", stdout=(shown := StringIO()))
    assert (OLD in shown.getvalue(), NEW in shown.getvalue()) == (True, True)
    assert fresh(replaced).stranger_sn == NEW

    call_command("accept_unit", "gate", "--yes", stdout=StringIO())
    device = fresh(replaced)
    assert (device.terminal and device.terminal.sn, device.stranger_sn) == (NEW, "")


def test_the_command_knows_no_other_device() -> None:
    with pytest.raises(CommandError, match="no device nowhere"):
        call_command("accept_unit", "nowhere")
