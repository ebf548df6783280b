"""When a device is polled: a column, not a queue. A lost or doubled message changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Least, Now
from django.utils import timezone

from devices.domain.clocks import zone_of
from devices.models import Device, SyncRun

# A claimed device is due again after this long if nothing came of the claim …
CLAIM_SECONDS: Final = 60
# … and the message that tells of the claim is worthless a little earlier.
MESSAGE_SECONDS: Final = 50
_CLAIMS_PER_TICK: Final = 1_000
_LONGEST_BACK_OFF: Final = timedelta(hours=1)
_SPREAD: Final = 0.1
# Devices whose quiet hours end together are asked within so long, or within their interval.
_LONGEST_SPREAD: Final = timedelta(minutes=10)
# A device that failed is asked again soon, however long its interval is.
_FIRST_BACK_OFF: Final = 60
# Of devices that failed last time: with five seconds of patience each, they keep ten threads busy at most.
_FEW_SUSPECTS: Final = 10

_DUE: Final = """
    SELECT id, next_poll_at, failures > 0 AS suspect FROM devices_device
    WHERE enabled AND next_poll_at <= clock_timestamp() AND failures {of}
      AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
    ORDER BY next_poll_at LIMIT {most} FOR UPDATE SKIP LOCKED"""
_CLAIM: Final = f"""
WITH healthy AS ({_DUE.format(of="= 0", most="%(limit)s")}),
suspects AS ({_DUE.format(of="> 0", most="(SELECT greatest(count(*) / %(share)s, %(few)s) FROM healthy)")}),
due AS (SELECT * FROM healthy UNION ALL SELECT * FROM suspects),
claimed AS (
    UPDATE devices_device AS device SET next_poll_at = clock_timestamp() + make_interval(secs => %(seconds)s)
    FROM due WHERE device.id = due.id RETURNING device.id, due.next_poll_at, due.suspect
)
SELECT id FROM claimed ORDER BY suspect, next_poll_at, id
"""  # noqa: S608 - made of constants


def claim_due() -> list[int]:
    """The ids of the devices that are due and free, each given out once per claim.

    The healthy come first, longest overdue first. Those that failed last time hold a thread until their timeout, so
    only a few of them are taken at a time: a tenth as many as healthy ones, or ``_FEW_SUSPECTS``.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"limit": _CLAIMS_PER_TICK, "share": 10, "few": _FEW_SUSPECTS, "seconds": CLAIM_SECONDS})
        return [device_id for (device_id,) in cursor.fetchall()]


def request_sync(device_ids: Iterable[int]) -> int:
    """Make polled devices due now, so that the next tick takes them; says how many there were.

    They are locked in the order of their ids, like everywhere: two at once never wait in a circle.
    """
    with transaction.atomic():
        polled = Device.objects.filter(pk__in=list(device_ids), enabled=True).order_by("pk")
        held = list(polled.select_for_update(no_key=True).values_list("pk", flat=True))
        return Device.objects.filter(pk__in=held).update(next_poll_at=Now())


def request_sync_within(device_id: int, wait: timedelta) -> None:
    """Have a polled device be due by then at the latest."""
    due: Any = Least(F("next_poll_at"), Now() + wait)
    Device.objects.filter(pk=device_id, enabled=True).update(next_poll_at=due)


def spare_quiet_hours(device: Device, *, now: datetime, where: tzinfo) -> None:
    """After its quiet hours were edited: be due as they are now, an interval from now at the latest outside of them."""
    latest = min(device.next_poll_at, now + timedelta(seconds=device.interval))
    due = outside_of_quiet_hours(device, latest, where=where)
    Device.objects.filter(pk=device.pk).update(next_poll_at=due)


def outside_of_quiet_hours(device: Device, due: datetime, *, where: tzinfo) -> datetime:
    """``due``, or some time after the end of the device's quiet hours: not all that end at six knock at six."""
    then = after_quiet_hours(due, quiet_from=device.quiet_from, quiet_until=device.quiet_until, where=where)
    if then == due:
        return due
    spread = min(timedelta(seconds=device.interval), _LONGEST_SPREAD)
    return then + spread * random.random()  # noqa: S311 - jitter


def is_quiet(device: Device, *, now: datetime, where: tzinfo) -> bool:
    """Whether the device is in its quiet hours."""
    return after_quiet_hours(now, quiet_from=device.quiet_from, quiet_until=device.quiet_until, where=where) > now


def after_quiet_hours(due: datetime, *, quiet_from: time | None, quiet_until: time | None, where: tzinfo) -> datetime:
    """The moment ``due``, or if it falls into the quiet hours of the wall clock there, that of their end.

    They may go across midnight. Equal times, or one that is missing, mean none. An end that a change of clocks leaves
    out is as much later as the clocks were set forward; of one that comes twice it is the first that is not over.
    """
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        return due
    local = due.astimezone(where)
    wall = local.time()
    begun, over = wall >= quiet_from, wall >= quiet_until
    quiet = begun and not over if quiet_from < quiet_until else begun or not over
    if not quiet:
        return due
    day = local.date() if wall < quiet_until else local.date() + timedelta(days=1)
    ends = (datetime.combine(day, quiet_until, tzinfo=where).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return next((end for end in ends if end > due), due)


def call_devices(*, terminal_ids: Iterable[int], **_news: Any) -> None:
    """For ``terminals_called``: something waits at these terminals, so their devices are due now."""
    request_sync(Device.objects.filter(terminal__in=terminal_ids).values_list("pk", flat=True))


def call_marked_devices(*, terminal_ids: Iterable[int], **_news: Any) -> None:
    """For ``terminals_marked``: people of these terminals changed, so their devices are due now.

    Quiet hours stay quiet, and who failed keeps its back-off, or each edit would be a try: once it answers again,
    `devices.domain.knocking` brings it back.
    """
    healthy = Device.objects.filter(terminal__in=list(terminal_ids), enabled=True, failures=0)
    now, marked = timezone.now(), healthy.select_related("terminal")
    request_sync(device.pk for device in marked if not is_quiet(device, now=now, where=zone_of(device)))


def call_overlooked_devices() -> None:
    """Those whose people changed since their last visit began, though nobody called them, because a process died right
    after the COMMIT: else their people would wait for an interval, which may be long."""
    mark, claimed = "terminal__sync_mark__", Now() + timedelta(seconds=CLAIM_SECONDS)
    last = SyncRun.objects.filter(device=OuterRef("pk")).order_by("-id").values("started_at")[:1]
    waiting = Device.objects.filter(**{f"{mark}wanted__gt": F(f"{mark}done")}, next_poll_at__gt=claimed)
    unseen = waiting.alias(last=Subquery(last)).filter(Q(last=None) | Q(last__lt=F(f"{mark}wanted_at")))
    call_marked_devices(terminal_ids=unseen.values_list("terminal", flat=True))


def wait_after(*, interval: int, failures: int, draw: float | None = None) -> timedelta:
    """How long until the next visit: the interval (seconds).

    After a failure the device is asked again soon, whatever its interval: a minute, or the interval if that is shorter,
    doubled with each failure in a row, up to an hour or the interval if that is longer.

    Spread by a tenth either way (``draw`` from 0 to 1), so that a thousand devices don't knock at the same moment.
    """
    draw = random.random() if draw is None else draw  # noqa: S311 - jitter
    doubled = min(interval, _FIRST_BACK_OFF) * 2 ** min(failures, 16)
    seconds = min(doubled, max(_LONGEST_BACK_OFF.total_seconds(), interval)) if failures else interval
    return timedelta(seconds=seconds * (1 - _SPREAD + 2 * _SPREAD * draw))
