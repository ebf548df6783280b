"""What a visit makes known beside the punches: up to when they are complete, holes, and doubtful stamps."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models.functions import Now

from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import SimPunch, SimulatedTerminal
from iclock.models import Alarm, TerminalPresence

pytestmark = pytest.mark.django_db(transaction=True)


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.SCHEDULE)
    assert run is not None
    return run


def test_the_hole_of_a_cleared_log_begins_when_it_was_read_last(device: Device, unit: SimulatedTerminal) -> None:
    """Cleared and filled up to the same count: visits that only counted it have not seen what it held."""
    visit(device)
    unit.clear_log()
    unit.fill(SimPunch("1001", datetime(2026, 5, 1) + timedelta(seconds=n)) for n in range(3_000))
    assert visit(device).outcome == "unchanged"
    Device.objects.update(log_read_at=Now() - timedelta(days=1, minutes=1))
    read_at = Device.objects.get().log_read_at
    assert read_at is not None

    assert visit(device).new == 3_000

    (alarm,) = Alarm.objects.filter(kind="log_cleared")
    assert f"made between {read_at:%Y-%m-%d %H:%M:%S} UTC and " in alarm.sentence


def test_what_goes_to_the_quarantine_is_not_complete(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    before = Now() - timedelta(days=1)
    TerminalPresence.objects.update(complete_until=before)
    reached = TerminalPresence.objects.get().complete_until
    unit.fill([SimPunch("0", datetime(2026, 5, 1))])

    assert visit(device).quarantined == 1
    assert TerminalPresence.objects.get().complete_until == reached
    assert visit(device).outcome == "unchanged"
    assert TerminalPresence.objects.get().complete_until != reached
