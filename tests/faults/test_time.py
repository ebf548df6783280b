"""Faults of time (rows 24 to 28): what the terminal said is kept, and no decision hangs on a clock that may jump."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import timezone

from devices import protocol
from devices.domain import lease
from devices.domain.lease import LeaseLostError
from devices.domain.schedule import claim_due
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Drip, Fault, Faults, Latency, SimPunch
from devices.simulator.faults import Pause, Step
from iclock.models import Alarm, Terminal, Transaction
from zkbio.clock import ClockNote

from .visits import (
    READ,
    SIZES,
    a_log,
    a_spec,
    assert_a_sentence,
    assert_one_good_cycle_brings_all,
    closing,
    database_url,
    ledger,
    polled,
    stored,
    visit,
)

pytestmark = pytest.mark.django_db(transaction=True)

PLAIN, AMBIGUOUS, MISSING = 0, 1, 2


class Freezes(Fault):
    """The terminal has said goodbye to itself and is free, but its answer to the farewell doesn't come."""

    def steps(self, steps: list[Step]) -> list[Step]:
        return [Pause(60)]


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come"


def lease_has_run_out(device: Device) -> bool:
    return Device.objects.filter(id=device.id, lease_expires_at__lt=Now()).exists()


def test_row_24_a_worker_that_slept_through_its_lease_moves_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has read the log, sleeps, another one visits, it wakes up: it notices and writes neither cursor nor run."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1)
    with polled(timeout=60) as (device, unit), ThreadPoolExecutor(1) as pool:
        unit.faults = Faults(Freezes(command=protocol.CMD_EXIT))
        sleeper = pool.submit(closing, visit, device)
        until(lambda: protocol.CMD_EXIT in unit.commands() and lease_has_run_out(device))
        unit.fill(a_log(100, start=datetime(2026, 5, 1)))

        other = visit(device)
        cursor = Device.objects.values("log_bytes", "log_digest", "log_read_at", "failures", "next_poll_at").get()
        unit.reboot()

        assert isinstance(sleeper.exception(timeout=60), LeaseLostError)
        assert (other.new, cursor["log_bytes"]) == (3_100, 3_100 * 40)
        assert Device.objects.values(*cursor).get() == cursor
        assert [run.id for run in SyncRun.objects.all()] == [other.id]
        assert stored(unit) == ledger(unit)
        assert_one_good_cycle_brings_all(device, unit)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_row_24_a_stopped_process_wakes_up_after_another_has_visited() -> None:
    """The same with SIGSTOP and with the lease as long as it is."""
    with polled(a_spec(idle_seconds=2), timeout=30) as (device, unit):
        unit.faults = Faults(Latency(command=READ, seconds=1, times=1))
        sleeper = begin_sync(device)
        try:
            until(lambda: READ in unit.commands())
            sleeper.send_signal(signal.SIGSTOP)
            until(lambda: lease_has_run_out(device), seconds=120)
            unit.fill(a_log(100, start=datetime(2026, 5, 1)))

            assert visit(device).new == 3_100
            cursor = Device.objects.values("log_bytes", "log_digest", "log_read_at", "failures").get()
            sleeper.send_signal(signal.SIGCONT)
            words, _ = sleeper.communicate(timeout=60)
        finally:
            sleeper.kill()
            sleeper.wait()

        assert sleeper.returncode == 1
        assert "taken over" in words
        assert Device.objects.values(*cursor).get() == cursor
        assert_one_good_cycle_brings_all(device, unit)


def begin_sync(device: Device) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "sync_devices", "--device", device.key, "--json"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": database_url()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("shown", "least", "most", "note"),
    [
        (lambda now: now - timedelta(hours=1), -3_700, -3_500, ClockNote.OFF),
        (lambda now: now.replace(year=now.year + 1, day=1), 300 * 86_400, 400 * 86_400, ClockNote.FUTURE),
        (lambda now: datetime(2000, 1, 1), -(2**31), -20 * 365 * 86_400, ClockNote.RESET),
        (lambda now: datetime(2097, 1, 1), 50 * 365 * 86_400, 2**31, ClockNote.FUTURE),
        (lambda now: datetime(2099, 12, 31, 23, 0), 50 * 365 * 86_400, 2**31, ClockNote.FUTURE),
    ],
    ids=["an hour behind", "a year ahead", "2000-01-01", "2097", "2099"],
)
def test_row_25_a_wrong_clock_is_stored_flagged_and_not_hidden(
    shown: Callable[[datetime], datetime], least: int, most: int, note: ClockNote
) -> None:
    with polled() as (device, unit):
        unit.set_clock(shown(timezone.now().replace(tzinfo=None)))
        punch = unit.punch("1001")
        assert punch is not None

        run = assert_one_good_cycle_brings_all(device, unit)

        assert run.drift is not None
        assert least <= run.drift <= most
        (row,) = Transaction.objects.live().filter(emp_code="1001", punch_time=punch.time)
        assert row.clock_note == note
        visit(device)
        assert alarms() == [("clock", True)]


def alarms() -> list[tuple[str, bool]]:
    """The kinds of all alarms there ever were, and whether they are open."""
    return [(alarm.kind, alarm.closed_at is None) for alarm in Alarm.objects.order_by("id")]


def test_row_25_a_flat_battery_sends_the_clock_to_2000_in_mid_life() -> None:
    with polled() as (device, unit):
        assert abs(visit(device).drift or 0) < 60
        unit.reboot()
        unit.set_clock(datetime(2000, 1, 1))
        for code in ("1001", "1002", "1003"):
            unit.punch(code)

        run = assert_one_good_cycle_brings_all(device, unit)

        assert (run.new, run.drift is not None and run.drift < -(20 * 365 * 86_400)) == (3, True)
        unit.set_clock(timezone.now().replace(tzinfo=None))
        unit.punch("1001")
        assert abs(assert_one_good_cycle_brings_all(device, unit).drift or 0) < 60
        notes = Transaction.objects.filter(punch_time__lt=datetime(2001, 1, 1)).values_list("clock_note", flat=True)
        assert (list(notes), alarms()) == ([ClockNote.RESET] * 3, [("clock", False)])


@pytest.mark.parametrize(
    ("zone", "walls"),
    [
        (
            "Europe/Madrid",
            [
                (datetime(2026, 3, 29, 1, 59, 59), 60, PLAIN),
                (datetime(2026, 3, 29, 2, 30), 60, MISSING),
                (datetime(2026, 3, 29, 3, 0), 120, PLAIN),
                (datetime(2026, 10, 25, 1, 59, 59), 120, PLAIN),
                (datetime(2026, 10, 25, 2, 30), 120, AMBIGUOUS),
                (datetime(2026, 10, 25, 3, 0), 60, PLAIN),
            ],
        ),
        ("Asia/Kolkata", [(datetime(2026, 3, 29, 2, 30), 330, PLAIN)]),
        ("Asia/Kathmandu", [(datetime(2026, 3, 29, 2, 30), 345, PLAIN)]),
        (
            "Pacific/Chatham",
            [
                (datetime(2026, 4, 5, 3, 0), 825, AMBIGUOUS),
                (datetime(2026, 7, 1, 3, 0), 765, PLAIN),
                (datetime(2026, 9, 27, 3, 0), 765, MISSING),
            ],
        ),
        (
            "Australia/Lord_Howe",
            [
                (datetime(2026, 4, 5, 1, 45), 660, AMBIGUOUS),
                (datetime(2026, 4, 5, 2, 0), 630, PLAIN),
                (datetime(2026, 10, 4, 2, 15), 630, MISSING),
            ],
        ),
        (
            "America/Caracas",
            [(datetime(2016, 4, 30, 12, 0), -270, PLAIN), (datetime(2016, 5, 2, 12, 0), -240, PLAIN)],
        ),
        (
            "Europe/Istanbul",
            [(datetime(2015, 12, 1, 12, 0), 120, PLAIN), (datetime(2016, 12, 1, 12, 0), 180, PLAIN)],
        ),
        ("Pacific/Apia", [(datetime(2011, 12, 30, 12, 0), -600, MISSING), (datetime(2012, 1, 2, 12, 0), 840, PLAIN)]),
    ],
)
def test_row_26_clock_changes_odd_zones_and_new_rules(zone: str, walls: list[tuple[datetime, int, int]]) -> None:
    with polled(a_spec(punches=0), time_zone=zone) as (device, unit):
        unit.fill(SimPunch("1001", wall) for wall, _offset, _note in walls)

        assert_one_good_cycle_brings_all(device, unit)

        rows = Transaction.objects.order_by("punch_time").values_list("punch_time", "utc_offset", "clock_note")
        assert list(rows) == walls
        for row in Transaction.objects.all():
            assert row.punched_at == (row.punch_time - timedelta(minutes=row.utc_offset)).replace(tzinfo=UTC)


def test_row_26_a_terminal_that_moves_to_another_zone_rewrites_nothing() -> None:
    with polled(a_spec(punches=0), time_zone="Europe/Madrid") as (device, unit):
        unit.fill([SimPunch("1001", datetime(2026, 1, 5, 8))])
        visit(device)
        Terminal.objects.update(time_zone="Asia/Kathmandu")
        unit.fill([SimPunch("1001", datetime(2026, 1, 6, 8))])

        assert_one_good_cycle_brings_all(device, unit)

        assert list(Transaction.objects.order_by("id").values_list("utc_offset", flat=True)) == [60, 345]


@pytest.fixture
def shift_server_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[timedelta], None]]:
    """The clock that Python programs see jumps; PostgreSQL's and the monotonic one don't."""
    real_now, real_time = timezone.now, time.time

    def shift(by: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: real_now() + by)
        monkeypatch.setattr(time, "time", lambda: real_time() + by.total_seconds())

    yield shift
    monkeypatch.undo()


TEN_MINUTES = timedelta(minutes=10)
both_ways = pytest.mark.parametrize("jump", [TEN_MINUTES, -TEN_MINUTES], ids=["ahead", "behind"])
Shift = Callable[[timedelta], None]


def ahead_of_database(column: str) -> timedelta:
    ahead = ExpressionWrapper(F(column) - Now(), output_field=DurationField())
    found: timedelta = Device.objects.annotate(ahead=ahead).values_list("ahead", flat=True).get()
    return found


@both_ways
def test_row_27_leases_and_schedule_go_by_the_databases_clock(jump: timedelta, shift_server_clock: Shift) -> None:
    with polled(interval=60) as (device, unit):
        shift_server_clock(jump)
        Device.objects.update(next_poll_at=Now() + timedelta(minutes=5))
        assert claim_due() == []
        Device.objects.update(next_poll_at=Now() - timedelta(seconds=1))
        assert (claim_due(), claim_due()) == ([device.id], [])
        with lease.hold(device.id):
            assert timedelta(0) < ahead_of_database("lease_expires_at") <= timedelta(seconds=lease.LEASE_SECONDS)
            assert sync_device(device.id, trigger=SyncRun.Trigger.COMMAND) is None

        assert_one_good_cycle_brings_all(device, unit)

        assert timedelta(seconds=50) < ahead_of_database("next_poll_at") < timedelta(seconds=70)


@both_ways
def test_row_27_a_jump_in_mid_visit_costs_nothing(jump: timedelta, shift_server_clock: Shift) -> None:
    class Jump(Fault):
        def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
            shift_server_clock(jump)
            return packets

    with polled() as (device, unit):
        unit.faults = Faults(Jump(command=SIZES))

        run = visit(device)

        assert (run.outcome, run.new) == (SyncRun.Outcome.OK, 3_000)
        assert stored(unit) == ledger(unit)
        unit.punch("1001")
        assert_one_good_cycle_brings_all(device, unit)


@both_ways
@override_settings(DEVICE_SESSION_SECONDS=2)
def test_row_27_a_jump_neither_ends_nor_prolongs_a_session(jump: timedelta, shift_server_clock: Shift) -> None:
    class JumpAndDrip(Drip):
        def steps(self, steps: list[Step]) -> list[Step]:
            shift_server_clock(jump)
            return super().steps(steps)

    with polled() as (device, unit):
        unit.faults = Faults(JumpAndDrip(command=READ, size=1024, seconds=0.2))
        began = time.monotonic()

        run = visit(device)

        assert 1.5 < time.monotonic() - began < 15
        assert_a_sentence(run, "timeout")
        assert "took longer than 2 s in all" in run.error
        assert_one_good_cycle_brings_all(device, unit)


def test_row_28_records_30_days_late_and_out_of_order() -> None:
    with polled() as (device, unit):
        visit(device)
        last = Transaction.objects.latest("id").id
        late = a_log(200, start=datetime(2026, 1, 31, 8))
        unit.fill([*late[100:], SimPunch("1001", datetime(2026, 3, 9, 8)), *reversed(late[:100])])

        assert assert_one_good_cycle_brings_all(device, unit).new == 201

        behind = Transaction.objects.filter(id__gt=last)
        assert behind.filter(punch_time__lt=datetime(2026, 2, 2)).count() == 200
