"""A terminal's clock is judged by the database's, set when it is to be, and never lets a punch be rewritten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from devices import protocol
from devices.domain.clocks import doubtful, drift_of
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Close, Faults, Pretend, Refuse, SimulatedTerminal
from iclock.models import Alarm, Terminal, TerminalPresence, Transaction
from zkbio.accounts.models import AuditEntry
from zkbio.clock import ClockNote, zone

pytestmark = pytest.mark.django_db(transaction=True)

SET_TIME = protocol.CMD_SET_TIME
MADRID = "Europe/Madrid"
HOUR = timedelta(hours=1)


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.SCHEDULE)
    assert run is not None
    return run


def corrected(device: Device) -> Device:
    """The device after its first contact, whose clock is to be set from now on."""
    visit(device)
    Terminal.objects.update(corrects_clock=True)
    return device


def error_of(unit: SimulatedTerminal, where: str) -> timedelta:
    """How far the unit's clock is off what it should show."""
    return unit.now() - timezone.now().astimezone(zone(where)).replace(tzinfo=None)


def trail() -> list[dict[str, object]]:
    return list(AuditEntry.objects.filter(action="devices.set_clock").order_by("id").values_list("detail", flat=True))


@pytest.mark.parametrize(
    ("wall", "heard_at", "where", "ahead"),
    [
        ("2026-01-10 12:00:30", "2026-01-10 11:00:00", MADRID, 30),
        ("2026-07-10 12:00:00", "2026-07-10 11:00:00", MADRID, -3_600),
        ("2026-01-10 16:30:00", "2026-01-10 11:00:00", "Asia/Kolkata", 0),
        ("2026-01-10 16:45:00", "2026-01-10 11:00:00", "Asia/Kathmandu", 0),
        # It doesn't know of summer time: in the hour that is left out, and after it
        ("2026-03-29 02:10:00", "2026-03-29 01:10:00", MADRID, -3_600),
        ("2026-03-29 03:10:00", "2026-03-29 02:10:00", MADRID, -3_600),
        # The hour that comes twice, for the first and the second time; then a unit that still has summer time
        ("2026-10-25 02:10:00", "2026-10-25 00:10:00", MADRID, 0),
        ("2026-10-25 02:10:00", "2026-10-25 01:10:00", MADRID, 0),
        ("2026-10-25 03:10:00", "2026-10-25 01:10:00", MADRID, 3_600),
    ],
)
def test_how_far_a_clock_is_ahead(wall: str, heard_at: str, where: str, ahead: int) -> None:
    heard = datetime.fromisoformat(heard_at).replace(tzinfo=UTC)

    assert drift_of(datetime.fromisoformat(wall), heard, zone(where)) == timedelta(seconds=ahead)


def test_the_stamps_of_a_wrong_clock_are_doubted_since_it_was_heard_last() -> None:
    wall, reading = datetime(2026, 1, 10, 12), timedelta(seconds=3)

    assert doubtful(wall, -timedelta(seconds=120), since_last=HOUR, reading=reading) is None
    assert doubtful(wall, -timedelta(seconds=121), since_last=HOUR, reading=reading) == (wall - HOUR, wall + reading)
    assert doubtful(wall, HOUR, since_last=None, reading=reading) == (wall - 24 * HOUR, wall + reading)


def test_the_stamps_until_a_wrong_clock_was_set_by_somebody_are_doubted() -> None:
    wall, reading, minute, slack = datetime(2026, 1, 10, 12), timedelta(0), HOUR / 60, timedelta(seconds=2)
    right = timedelta(seconds=3)

    def doubted(before: timedelta, drift: timedelta) -> tuple[datetime, datetime] | None:
        return doubtful(wall + drift, drift, before=before, since_last=minute, reading=reading)

    assert doubted(-HOUR, right) == (wall - minute - HOUR - slack, wall - HOUR + slack)
    assert doubted(HOUR, right) == (wall - minute + HOUR - slack, wall + HOUR + slack)
    assert doubted(-HOUR, HOUR) == (wall - minute - HOUR - slack, wall + HOUR + slack)
    assert doubted(timedelta(0), HOUR) == (wall - minute + HOUR, wall + HOUR)
    assert doubted(right, right) is None


def test_a_punch_before_a_wrong_clock_was_set_by_hand_is_flagged(device: Device, unit: SimulatedTerminal) -> None:
    unit.shift_clock(-HOUR)
    visit(device)
    wrong = unit.punch("1001")
    unit.set_clock(timezone.now().replace(tzinfo=None))
    right = unit.punch("1002")
    assert wrong is not None
    assert right is not None

    visit(device)

    notes = dict(Transaction.objects.order_by("-id").values_list("punch_time", "clock_note")[:2])
    assert notes == {wrong.time: ClockNote.OFF, right.time: ClockNote.PLAIN}


def test_a_clock_that_is_wrong_again_after_it_was_set_is_an_alarm(device: Device, unit: SimulatedTerminal) -> None:
    """Something else sets it, or its zone is wrong here."""

    def alarms() -> list[tuple[str, bool]]:
        return [(alarm.kind, alarm.closed_at is None) for alarm in Alarm.objects.order_by("id")]

    corrected(device)
    unit.shift_clock(-HOUR)
    visit(device)
    assert alarms() == []
    for _ in range(2):
        unit.shift_clock(-HOUR)
        visit(device)
        assert (alarms(), abs(error_of(unit, "UTC")) < timedelta(seconds=3)) == ([("clock", True)], True)
        assert "look at its battery, and at its time zone here" in Alarm.objects.get().sentence

    visit(device)
    assert alarms() == [("clock", False)]
    unit.shift_clock(-HOUR)
    visit(device)
    assert alarms() == [("clock", False)], "it had stayed as it was set"


@pytest.mark.parametrize(
    ("where", "off"),
    [(MADRID, HOUR), (MADRID, -HOUR), ("Asia/Kolkata", -timedelta(seconds=30)), ("Asia/Kathmandu", 8_000 * HOUR)],
)
def test_a_clock_that_is_off_is_set_to_the_local_time_and_the_trail_says_so(
    add_device: Callable[..., Device], unit: SimulatedTerminal, where: str, off: timedelta
) -> None:
    there = zone(where).utcoffset(datetime.now())  # noqa: DTZ005 - what the zone's offset is today
    assert there is not None
    unit.shift_clock(there + off)
    device = corrected(add_device(unit, time_zone=where))
    assert abs(error_of(unit, where) - off) < timedelta(seconds=3), "the first contact sets nothing"

    run = visit(device)

    assert abs(error_of(unit, where)) < timedelta(seconds=3)
    assert [alarm.kind for alarm in Alarm.objects.open()] == []
    assert abs(TerminalPresence.objects.get().clock_drift or 0) < 3
    (told,) = trail()
    assert abs(float(str(told["was_ahead_seconds"])) - off.total_seconds()) < 3
    assert run.outcome == "unchanged"
    assert abs(visit(device).drift or 0) < 3
    assert len(trail()) == 1


def test_a_clock_that_is_a_few_seconds_off_is_left_alone(device: Device, unit: SimulatedTerminal) -> None:
    unit.shift_clock(timedelta(seconds=8))
    corrected(device)

    visit(device)

    assert SET_TIME not in unit.commands()


def test_no_clock_is_set_that_is_not_to_be_corrected(device: Device, unit: SimulatedTerminal) -> None:
    unit.shift_clock(HOUR)
    visit(device)
    visit(device)

    assert SET_TIME not in unit.commands()


@pytest.mark.parametrize("jump", [timedelta(seconds=6), -timedelta(seconds=6), 10 * HOUR])
def test_no_clock_is_set_while_the_servers_and_the_databases_clock_differ(
    device: Device,
    unit: SimulatedTerminal,
    jump: timedelta,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    unit.shift_clock(HOUR)
    corrected(device)
    real_now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real_now() + jump)

    run = visit(device)

    assert SET_TIME not in unit.commands()
    assert run.outcome == "unchanged"
    assert abs((run.drift or 0) - 3_600) < 3, "the database's clock is the judge"
    assert "clock and the database's are" in caplog.text


@pytest.mark.parametrize(
    ("fault", "words"),
    [(Refuse(command=SET_TIME, times=None), "refused"), (Pretend(command=SET_TIME, times=None), "but shows")],
    ids=["refuses", "doesn't keep it"],
)
def test_a_unit_that_does_not_take_the_time_is_read_all_the_same_and_asked_once_a_day(
    device: Device, unit: SimulatedTerminal, fault: Refuse | Pretend, words: str
) -> None:
    unit.shift_clock(HOUR)
    corrected(device)
    unit.faults = Faults(fault)
    unit.punch("1001")

    runs = [visit(device), visit(device)]

    assert [(run.outcome, run.new) for run in runs] == [("ok", 1), ("unchanged", 0)]
    (told,) = trail()
    assert words in str(told["error"])
    assert unit.commands().count(SET_TIME) == 1
    AuditEntry.objects.update(at=timezone.now() - timedelta(days=1, minutes=1))
    unit.faults = Faults()
    visit(device)
    assert abs(error_of(unit, "UTC")) < timedelta(seconds=3)


def test_a_line_that_breaks_while_the_clock_is_set_costs_nothing_that_was_read(
    device: Device, unit: SimulatedTerminal
) -> None:
    unit.shift_clock(HOUR)
    corrected(device)
    unit.faults = Faults(Close(command=SET_TIME))
    unit.punch("1001")

    run = visit(device)

    assert (run.outcome, run.new) == ("ok", 1)
    assert "closed the connection" in str(trail()[0]["error"])


def test_punches_of_a_wrong_clock_are_noted_and_keep_their_time_when_it_is_set(
    device: Device, unit: SimulatedTerminal
) -> None:
    corrected(device)
    unit.shift_clock(-HOUR)
    wrong = unit.punch("1001")
    visit(device)
    right = unit.punch("1002")
    visit(device)

    assert wrong is not None
    assert right is not None
    notes = dict(
        Transaction.objects.filter(punch_time__gt=datetime(2026, 6, 1)).values_list("punch_time", "clock_note")
    )
    assert notes == {wrong.time: ClockNote.OFF, right.time: ClockNote.PLAIN}


def test_a_wrong_clock_is_one_alarm_until_it_is_right(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    unit.shift_clock(HOUR)
    for _ in range(3):
        visit(device)
    assert list(Alarm.objects.values_list("kind", "closed_at")) == [("clock", None)]
    unit.shift_clock(-HOUR)
    visit(device)

    assert Alarm.objects.get().closed_at is not None


def test_a_clock_that_is_set_at_once_is_no_alarm(device: Device, unit: SimulatedTerminal) -> None:
    corrected(device)
    unit.shift_clock(HOUR)

    assert abs((visit(device).drift or 0) - 3_600) < 3

    assert Alarm.objects.count() == 0


def complete_until() -> datetime | None:
    return TerminalPresence.objects.get().complete_until


def test_the_punches_are_here_up_to_the_moment_when_the_clock_was_heard(
    device: Device, unit: SimulatedTerminal
) -> None:
    """Whether punches came or not; the unit tells whole seconds, so it is up to one behind."""
    for new in (3_000, 0, 0):
        before = timezone.now()
        run = visit(device)
        until = complete_until()
        assert (run.new, until is not None and before - timedelta(seconds=1.5) < until < timezone.now()) == (new, True)
        TerminalPresence.objects.update(complete_until=before - HOUR)


def test_with_a_slow_clock_they_are_here_up_to_what_it_shows(device: Device, unit: SimulatedTerminal) -> None:
    unit.shift_clock(-timedelta(seconds=90))
    visit(device)

    until = complete_until()
    assert until is not None
    assert abs(timezone.now() - until - timedelta(seconds=90)) < timedelta(seconds=3)


@pytest.mark.parametrize("off", [HOUR, -HOUR])
def test_the_moment_stands_still_while_the_clock_is_wrong_or_the_terminal_away(
    device: Device, unit: SimulatedTerminal, off: timedelta
) -> None:
    visit(device)
    reached = complete_until()
    unit.shift_clock(off)
    unit.punch("1001")
    assert visit(device).new == 1
    assert complete_until() == reached
    unit.shift_clock(-off)
    unit.stop()
    assert visit(device).outcome == "failed"
    assert complete_until() == reached
    unit.start()
    TerminalPresence.objects.update(complete_until=timezone.now() - HOUR)
    visit(device)

    now = complete_until()
    assert now is not None
    assert timezone.now() - now < timedelta(seconds=3)


def test_an_unread_log_moves_nothing(device: Device, unit: SimulatedTerminal) -> None:
    """The rows and the moment are stored together: what fails in between leaves neither."""
    visit(device)
    reached = complete_until()
    unit.punch("1001")
    unit.faults = Faults(Close(command=protocol.CMD_READ_BUFFER), Close(command=protocol.CMD_PREPARE_BUFFER))

    assert visit(device).outcome == "failed"
    assert complete_until() == reached
