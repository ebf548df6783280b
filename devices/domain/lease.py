"""One session per terminal, over all processes and hosts.

A lease is two columns of the device's row: a token that only grows and the moment when it expires, by the database's
clock. Holding it is politeness; what must not happen twice is decided by constraints, and every write that only the
holder may do asks for the token (:func:`confirm`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from threading import Condition, Thread
from typing import Final, NamedTuple

from django.db import Error, connection

from devices.models import Device

LEASE_SECONDS: Final = 60
_RENEW_SECONDS: Final = 20
# How often a busy device is asked for.
_BLINK: Final = 0.2
# Who wants many devices passes over those that somebody writes just now, so that no two wait for each other.
_TAKE: Final = """
UPDATE devices_device AS device
SET lease_token = lease_token + 1, lease_expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM (
    SELECT id FROM devices_device
    WHERE id = ANY(%(ids)s) AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
    ORDER BY id LIMIT %(most)s FOR UPDATE {locked}
) AS free
WHERE device.id = free.id
RETURNING device.id, device.lease_token, clock_timestamp()
"""
# In the order of ids, because others write to many devices too. A lease that was given back while the keeper was about
# to renew it stays given back: else nobody would hold the device, and nobody could visit it until that expires.
_RENEW: Final = """
WITH mine AS (
    SELECT device.id FROM devices_device AS device
    JOIN unnest(%s::bigint[], %s::bigint[]) AS held (id, token)
        ON device.id = held.id AND device.lease_token = held.token
    WHERE device.lease_expires_at IS NOT NULL
    ORDER BY device.id FOR NO KEY UPDATE OF device
)
UPDATE devices_device AS device SET lease_expires_at = clock_timestamp() + make_interval(secs => %s)
FROM mine WHERE device.id = mine.id
"""

_log = logging.getLogger(__name__)


class Lease(NamedTuple):
    """The right to talk to a device, as long as nobody has raised its token since. Taken by the database's clock."""

    device_id: int
    token: int
    taken_at: datetime


class BusyError(Exception):
    """Somebody else has the device."""


class LeaseLostError(Exception):
    """Another worker has taken the device over, because this one was silent for longer than the lease."""


@contextmanager
def hold(device_id: int) -> Iterator[Lease]:
    """Take the lease, keep it renewed, give it back. Raises BusyError at once when somebody has it."""
    with hold_in_turn(device_id, seconds=0) as lease:
        yield lease


@contextmanager
def hold_in_turn(device_id: int, *, seconds: float) -> Iterator[Lease]:
    """Wait so long for whoever has the device now; raises BusyError then."""
    until = time.monotonic() + seconds
    while True:
        taken = take_free([device_id], most=1)
        if taken:
            break
        if time.monotonic() >= until:
            raise BusyError(f"device {device_id} is busy, or gone")
        time.sleep(_BLINK)
    try:
        yield taken[0]
    finally:
        give_back(taken[0])


def take_free(device_ids: Collection[int], *, most: int) -> list[Lease]:
    """The leases of those devices that nobody has, of ``most`` at once; each is kept renewed until `give_back`."""
    take = _TAKE.format(locked="SKIP LOCKED" if len(device_ids) > 1 else "")
    with connection.cursor() as cursor:
        cursor.execute(take, {"ids": list(device_ids), "most": most, "seconds": LEASE_SECONDS})
        leases = [Lease(*row) for row in cursor.fetchall()]
    for lease in leases:
        _keeper.add(lease)
    return leases


def give_back(lease: Lease) -> None:
    """Nobody has to wait for the expiry."""
    _keeper.drop(lease)
    _release(lease)


def confirm(lease: Lease, *, unchanged: Mapping[str, object] | None = None, **changes: object) -> None:
    """Write ``changes`` to the device's row if the lease is still ours, and ``unchanged`` still holds.

    Raises LeaseLostError and writes nothing otherwise.
    """
    mine = Device.objects.filter(id=lease.device_id, lease_token=lease.token, **(unchanged or {}))
    if not mine.update(**changes):
        raise LeaseLostError(f"device {lease.device_id} was taken over by another worker, edited or deleted")


def _release(lease: Lease) -> None:
    """Without a database the lease ends by itself."""
    try:
        Device.objects.filter(id=lease.device_id, lease_token=lease.token).update(lease_expires_at=None)
    except Error as error:
        _log.warning("The lease of device %s could not be given back (%s); it expires.", lease.device_id, error)


def _renew(leases: list[Lease]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, [[each.device_id for each in leases], [each.token for each in leases], LEASE_SECONDS])


class _Keeper:
    """Renews the leases of this process from one thread, which lives as long as there are any."""

    def __init__(self) -> None:
        self._held: set[Lease] = set()
        self._changed = Condition()
        self._running = False

    def add(self, lease: Lease) -> None:
        with self._changed:
            self._held.add(lease)
            if not self._running:
                Thread(target=self._run, name="lease-keeper", daemon=True).start()
                self._running = True

    def drop(self, lease: Lease) -> None:
        with self._changed:
            self._held.discard(lease)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while held := self._wait():
                self._renew(held)
        except BaseException:
            self._running = False  # whatever ended this thread, the next lease starts another
            raise

    def _wait(self) -> list[Lease]:
        """The leases to renew, when it is time; none when there are none left, and the thread ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held, timeout=_RENEW_SECONDS)
            self._running = bool(self._held)
            return list(self._held)

    def _renew(self, held: list[Lease]) -> None:
        try:
            _renew(held)
        except Error as error:
            _log.warning("%d leases could not be renewed (%s); they may be taken over.", len(held), error)
        finally:
            connection.close()


_keeper = _Keeper()
