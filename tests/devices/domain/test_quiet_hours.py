"""Quiet hours put off what is due to their end, by the wall clock of the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from devices.domain.schedule import (
    after_quiet_hours,
    claim_due,
    outside_of_quiet_hours,
    request_sync,
    spare_quiet_hours,
)
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import SimulatedTerminal
from zkbio.clock import zone

MADRID = "Europe/Madrid"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("where", "begins", "ends", "due", "then"),
    [
        # An ordinary night in Madrid, an hour ahead of UTC, and its edges
        (MADRID, "22:00", "06:00", "2026-01-10 20:59:59", "2026-01-10 20:59:59"),
        (MADRID, "22:00", "06:00", "2026-01-10 21:00:00", "2026-01-11 05:00:00"),
        (MADRID, "22:00", "06:00", "2026-01-11 04:59:59", "2026-01-11 05:00:00"),
        (MADRID, "22:00", "06:00", "2026-01-11 05:00:00", "2026-01-11 05:00:00"),
        # Within a day
        (MADRID, "13:00", "14:30", "2026-01-10 12:30:00", "2026-01-10 13:30:00"),
        (MADRID, "13:00", "14:30", "2026-01-10 13:30:00", "2026-01-10 13:30:00"),
        # From and until midnight
        (MADRID, "00:00", "05:00", "2026-01-10 23:30:00", "2026-01-11 04:00:00"),
        (MADRID, "20:00", "00:00", "2026-01-10 22:30:00", "2026-01-10 23:00:00"),
        # Equal times are none
        (MADRID, "06:00", "06:00", "2026-01-11 05:00:00", "2026-01-11 05:00:00"),
        # Half and three quarter hours
        ("Asia/Kolkata", "22:00", "06:00", "2026-01-10 16:30:00", "2026-01-11 00:30:00"),
        ("Asia/Kathmandu", "22:00", "06:00", "2026-01-10 16:14:59", "2026-01-10 16:14:59"),
        ("UTC-09:30", "22:00", "06:00", "2026-01-11 08:00:00", "2026-01-11 15:30:00"),
        # The night is an hour shorter, then an hour longer
        (MADRID, "22:00", "06:00", "2026-03-28 22:00:00", "2026-03-29 04:00:00"),
        (MADRID, "22:00", "06:00", "2026-10-24 22:00:00", "2026-10-25 05:00:00"),
        # They end in the hour that is left out: as much later as clocks were set forward
        (MADRID, "22:00", "02:30", "2026-03-28 22:00:00", "2026-03-29 01:30:00"),
        # They end in the hour that comes twice: at its first time, and when that is over, at its second
        (MADRID, "22:00", "02:30", "2026-10-24 22:00:00", "2026-10-25 00:30:00"),
        (MADRID, "22:00", "02:30", "2026-10-25 00:45:00", "2026-10-25 00:45:00"),
        (MADRID, "22:00", "02:30", "2026-10-25 01:10:00", "2026-10-25 01:30:00"),
    ],
)
def test_what_is_due_in_quiet_hours_is_due_at_their_end(
    where: str, begins: str, ends: str, due: str, then: str
) -> None:
    hours = {"quiet_from": time.fromisoformat(begins), "quiet_until": time.fromisoformat(ends)}

    assert after_quiet_hours(utc(due), where=zone(where), **hours) == utc(then)


@pytest.mark.parametrize(("begins", "ends"), [(None, None), (time(22), None), (None, time(6))])
def test_without_both_times_there_are_none(begins: time | None, ends: time | None) -> None:
    due = utc("2026-01-10 23:00:00")

    assert after_quiet_hours(due, quiet_from=begins, quiet_until=ends, where=zone(MADRID)) == due


def around_now(where: str, *, hours: int = 2) -> dict[str, time]:
    """Quiet hours in whose middle it is now."""
    there = timezone.now().astimezone(ZoneInfo(where))
    return {
        "quiet_from": (there - timedelta(hours=hours)).time().replace(tzinfo=None),
        "quiet_until": (there + timedelta(hours=hours)).time().replace(tzinfo=None),
    }


@pytest.mark.django_db(transaction=True)
def test_a_visit_in_quiet_hours_is_followed_by_one_at_their_end(device: Device, unit: SimulatedTerminal) -> None:
    """Whoever asks for it now gets it now, by the zone of the terminal."""
    Device.objects.update(time_zone="Asia/Kolkata", **around_now("Asia/Kolkata"))

    assert request_sync([device.pk]) == 1
    assert claim_due() == [device.pk]
    run = sync_device(device.pk, trigger=SyncRun.Trigger.SCHEDULE)

    assert run is not None
    assert run.outcome == "ok"
    device.refresh_from_db()
    assert abs(device.next_poll_at - timezone.now() - timedelta(hours=2)) < timedelta(minutes=1)
    assert claim_due() == []


@pytest.mark.django_db(transaction=True)
def test_a_back_off_ends_at_the_end_of_quiet_hours_too(device: Device, unit: SimulatedTerminal) -> None:
    Device.objects.update(time_zone="Asia/Kolkata", **around_now("Asia/Kolkata"))
    unit.stop()

    sync_device(device.pk, trigger=SyncRun.Trigger.SCHEDULE)

    device.refresh_from_db()
    assert device.failures == 1
    assert abs(device.next_poll_at - timezone.now() - timedelta(hours=2)) < timedelta(minutes=1)


@pytest.mark.django_db
def test_edited_quiet_hours_count_at_once_and_so_does_their_end() -> None:
    now = timezone.now()
    device = Device(key="d", name="D", host="10.0.0.1", interval=60, next_poll_at=now, **around_now("UTC"))
    device.save()

    spare_quiet_hours(device, now=now, where=UTC)
    assert claim_due() == []

    device.refresh_from_db()
    device.quiet_from = device.quiet_until = None
    spare_quiet_hours(device, now=now, where=UTC)
    device.refresh_from_db()
    assert device.next_poll_at == now + timedelta(seconds=60)


@pytest.mark.django_db
def test_devices_whose_quiet_hours_end_together_are_not_due_together() -> None:
    hours = {"quiet_from": time(22), "quiet_until": time(6)}
    night, morning = utc("2026-01-10 23:00:00"), utc("2026-01-11 06:00:00")
    seldom = Device(key="d", name="D", host="10.0.0.1", interval=28_800, **hours)
    often = Device(key="e", name="E", host="10.0.0.2", interval=60, **hours)

    dues = [outside_of_quiet_hours(seldom, night, where=UTC) for _ in range(100)]
    assert len(set(dues)) > 90
    assert morning <= min(dues) <= max(dues) <= morning + timedelta(minutes=10)
    assert max(outside_of_quiet_hours(often, night, where=UTC) for _ in range(100)) <= morning + timedelta(minutes=1)
    assert outside_of_quiet_hours(often, morning, where=UTC) == morning
