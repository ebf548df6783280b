"""Due work is a row: claimed once, and due again when nothing came of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from devices.domain import lease, schedule
from devices.domain.lease import give_back, take_free
from devices.domain.schedule import call_devices, call_overlooked_devices, claim_due, request_sync, wait_after
from devices.models import Device, SyncRun
from iclock.domain.marks import mark
from iclock.models import SyncMark, Terminal

pytestmark = pytest.mark.django_db(transaction=True)


def devices(count: int, **fields: object) -> list[int]:
    made = Device.objects.bulk_create(
        Device(key=f"d{n}", name=f"D{n}", host=f"10.0.0.{n}", **fields) for n in range(1, count + 1)
    )
    return [device.id for device in made]


def test_a_new_device_is_due_at_once_and_claimed_once() -> None:
    ids = devices(3)

    assert sorted(claim_due()) == ids
    assert claim_due() == []


def test_the_longest_overdue_comes_first() -> None:
    first, second, third = devices(3)
    for device_id, minutes in ((first, 1), (second, 3), (third, 2)):
        Device.objects.filter(id=device_id).update(next_poll_at=Now() - timedelta(minutes=minutes))

    assert claim_due() == [second, third, first]


def test_those_that_failed_come_last_and_few_at_a_time() -> None:
    ids = devices(240)
    suspects, healthy = ids[:120], ids[120:]
    Device.objects.filter(id__in=suspects).update(failures=1, next_poll_at=Now() - timedelta(hours=1))

    claimed = claim_due()

    assert sorted(claimed[:120]) == healthy
    assert len(claimed[120:]) == 12
    assert set(claimed[120:]) <= set(suspects)
    assert [len(claim_due()) for _ in range(12)] == [10] * 10 + [8, 0]


def test_a_claim_of_which_nothing_came_is_due_again() -> None:
    devices(1)
    claim_due()

    wait = Device.objects.get().next_poll_at - timezone.now()

    assert timedelta(seconds=schedule.MESSAGE_SECONDS) < wait <= timedelta(seconds=schedule.CLAIM_SECONDS)


def test_disabled_and_leased_devices_are_not_claimed() -> None:
    off, leased, expired = devices(3)
    Device.objects.filter(id=off).update(enabled=False)
    Device.objects.filter(id=leased).update(lease_expires_at=Now() + timedelta(minutes=1))
    Device.objects.filter(id=expired).update(lease_expires_at=Now() - timedelta(minutes=1))

    assert claim_due() == [expired]


def test_two_schedulers_claim_each_device_once() -> None:
    ids = devices(200)
    barrier = Barrier(4)

    def claim(_: int) -> list[int]:
        barrier.wait(timeout=20)
        try:
            return claim_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        claimed = [device_id for batch in pool.map(claim, range(4)) for device_id in batch]

    assert sorted(claimed) == ids


def test_sync_now_makes_polled_devices_due() -> None:
    polled, off = devices(2, next_poll_at=timezone.now() + timedelta(hours=1))
    Device.objects.filter(id=off).update(enabled=False)

    assert request_sync([polled, off]) == 1
    assert claim_due() == [polled]


def marked_devices(count: int, **fields: object) -> list[int]:
    """Devices with terminals that are due in an hour."""
    ids = devices(count, **{"next_poll_at": timezone.now() + timedelta(hours=1), **fields})
    for device in Device.objects.order_by("pk"):
        device.terminal = Terminal.objects.create(sn=device.key, alias=device.name)
        device.save(update_fields=["terminal"])
    return ids


def mark_all() -> None:
    mark(Terminal.objects.values_list("pk", flat=True))


def test_devices_whose_people_changed_are_due_at_once() -> None:
    first, second, other = marked_devices(3)

    mark(Terminal.objects.filter(device__in=[first, second]).values_list("pk", flat=True))

    assert sorted(claim_due()) == [first, second]
    assert Device.objects.get(pk=other).next_poll_at > timezone.now() + timedelta(minutes=50)


def test_a_change_of_people_is_no_try_for_who_failed_nor_for_who_isnt_polled() -> None:
    failed, off = marked_devices(2)
    Device.objects.filter(pk=failed).update(failures=3)
    Device.objects.filter(pk=off).update(enabled=False)

    mark_all()
    assert claim_due() == []

    call_devices(terminal_ids=Terminal.objects.values_list("pk", flat=True))
    assert claim_due() == [failed]


def test_a_change_of_people_waits_for_the_end_of_quiet_hours() -> None:
    now = timezone.localtime(timezone.now(), timezone.get_default_timezone())
    quiet_from, quiet_until = ((now + timedelta(hours=hours)).time() for hours in (-1, 1))
    quiet, awake = marked_devices(2)
    Device.objects.filter(pk=quiet).update(quiet_from=quiet_from, quiet_until=quiet_until)
    Device.objects.filter(pk=awake).update(quiet_from=quiet_until, quiet_until=quiet_from)

    mark_all()

    assert claim_due() == [awake]


def a_visit(device_id: int, *, ago: timedelta) -> None:
    began = timezone.now() - ago
    SyncRun.objects.create(
        device_id=device_id, trigger="schedule", started_at=began, finished_at=began, outcome="unchanged"
    )


def test_who_was_not_called_is_called_later() -> None:
    """Like a call of a process that died right after its COMMIT, or one that a visit's end overwrote."""
    unvisited, overlooked, visited, up_to_date = marked_devices(4)
    mark_all()
    Device.objects.update(next_poll_at=timezone.now() + timedelta(hours=1))
    a_visit(overlooked, ago=timedelta(minutes=5))
    for device_id in (visited, up_to_date):
        a_visit(device_id, ago=-timedelta(seconds=5))
    SyncMark.objects.filter(terminal__device=up_to_date).update(done=1)

    call_overlooked_devices()

    assert sorted(claim_due()) == [unvisited, overlooked]


def at_once(*deeds: Callable[[], object]) -> None:
    """Each of them many times, in threads that begin together. Raises what they raise."""
    barrier = Barrier(len(deeds))

    def repeat(deed: Callable[[], object]) -> None:
        barrier.wait(timeout=20)
        try:
            for _ in range(30):
                deed()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(deeds)) as pool:
        for outcome in [pool.submit(repeat, deed) for deed in deeds]:
            outcome.result(timeout=60)


def test_many_devices_are_called_renewed_and_claimed_at_once_without_a_deadlock() -> None:
    ids = marked_devices(200)
    terminals = list(Terminal.objects.values_list("pk", flat=True))
    backwards = sorted(take_free(ids, most=200), reverse=True)

    at_once(
        lambda: request_sync(random.sample(ids, 200)),
        lambda: call_devices(terminal_ids=random.sample(terminals, 200)),
        lambda: mark(random.sample(terminals, 200)),
        lambda: lease._renew(backwards),
        claim_due,
    )

    assert SyncMark.objects.filter(wanted=30).count() == 200
    for each in backwards:
        give_back(each)


@pytest.mark.parametrize(
    ("interval", "failures", "draw", "seconds"),
    [
        (60, 0, 0.5, 60),
        (60, 0, 0.0, 54),
        (60, 0, 1.0, 66),
        (60, 1, 0.5, 120),
        (60, 5, 0.5, 1_920),
        (60, 6, 0.5, 3_600),
        (60, 10_000, 0.5, 3_600),
        (86_400, 0, 0.5, 86_400),
        (86_400, 3, 0.5, 480),
        (86_400, 16, 0.5, 86_400),
        (10, 1, 0.5, 20),
    ],
)
def test_the_wait_after_a_failure_is_short_and_doubles_up_to_an_hour_or_the_interval(
    interval: int, failures: int, draw: float, seconds: float
) -> None:
    assert wait_after(interval=interval, failures=failures, draw=draw) == timedelta(seconds=seconds)
