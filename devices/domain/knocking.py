"""Who was away and is back: an offline terminal is right soon after it returns, however long its back-off has become.

A visit to nobody costs a worker its timeout; a knock costs next to nothing: of all those whom the last visit didn't
reach, five hundred at a time, it is asked whether they accept a connection, and nothing is said to them. Who accepts is
visited at once. Whatever it fails with then is no silence, and keeps its back-off.
"""

from __future__ import annotations

import errno
import logging
import math
import random
import selectors
import socket
import time
from collections.abc import Collection, Generator
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from devices.domain import clocks, schedule
from devices.domain.addresses import AddressError, require_allowed
from devices.driver.errors import UnreachableError
from devices.models import Device, SyncRun

Address = tuple[str, int]

MOST_AT_ONCE: Final = 500
PATIENCE_SECONDS: Final = 2.0
_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS})
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})
# Descriptors left to the rest of the process, and to the visits' own records, when there are no more.
_SPARE: Final = 32

_log = logging.getLogger(__name__)


def knock() -> Generator[int]:
    """Make those devices due that answer again; their ids, each as soon as it does, to be visited without a tick.

    It keeps no connection to the database while it waits. Two at once do no harm: of two visitors one finds it busy.
    """
    silent = in_turn(_silent_devices(), turn=int(time.time() / settings.KNOCK_SECONDS))
    connection.close()
    random.shuffle(silent)  # where there are descriptors for a few only, it is not always the same few
    by_address = {(device.host, device.port): device.pk for device in silent if _is_allowed(device)}
    for accepting in who_accepts(by_address, seconds=PATIENCE_SECONDS):
        back = [by_address[address] for address in accepting]
        schedule.request_sync(back)
        connection.close()
        yield from back


def who_accepts(addresses: Collection[Address], *, seconds: float) -> Generator[list[Address]]:
    """Those where somebody accepts a connection, which is closed at once; within ``seconds`` for all of them.

    Who can't be dialled doesn't accept; for whom this process has no descriptor left, there is another turn.
    """
    until = time.monotonic() + seconds
    with selectors.PollSelector() as selector:
        try:
            _begin_all(selector, addresses)
            while selector.get_map() and (left := until - time.monotonic()) > 0:
                if accepting := [key.data for key, _ in selector.select(left) if _is_accepted(selector, key)]:
                    yield accepting
        finally:
            for key in list(selector.get_map().values()):
                _drop(selector, key)


def in_turn(devices: list[Device], *, turn: int) -> list[Device]:
    """All of them, or as many as are knocked for at a time: each in one of so many turns."""
    turns = math.ceil(len(devices) / MOST_AT_ONCE) or 1
    return devices[turn % turns :: turns]


def _begin_all(selector: selectors.BaseSelector, addresses: Collection[Address]) -> None:
    for address in addresses:
        try:
            _begin(selector, address)
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                continue  # such as an address of a family that this machine hasn't: its visits say so
            for key in list(selector.get_map().values())[-_SPARE:]:
                _drop(selector, key)
            _log.warning("knocked for %d of %d terminals: %s", len(selector.get_map()), len(addresses), error)
            return


def _begin(selector: selectors.BaseSelector, address: Address) -> None:
    """Raises OSError."""
    dialling = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        dialling.setblocking(False)
        if dialling.connect_ex(address) in _UNDER_WAY:
            selector.register(dialling, selectors.EVENT_WRITE, address)
            return
    except OSError:
        dialling.close()
        raise
    dialling.close()


def _is_accepted(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> bool:
    """Whether this connection came about; it ends here."""
    failure: int = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[union-attr]
    _drop(selector, key)
    return failure == 0


def _drop(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    selector.unregister(key.fileobj)
    key.fileobj.close()  # type: ignore[union-attr]


def _silent_devices() -> list[Device]:
    """Polled ones whose last visit nobody answered, and whose next one is neither near nor going on."""
    last = SyncRun.objects.filter(device=OuterRef("pk")).order_by("-id").values("error_code")[:1]
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    failed = Device.objects.filter(free, enabled=True, failures__gt=0, transport=Device.Transport.TCP)
    far = Now() + timedelta(seconds=settings.TICK_SECONDS)
    silent = failed.filter(next_poll_at__gt=far).alias(last=Subquery(last)).filter(last=UnreachableError.code)
    now = timezone.now()
    columns = ("host", "port", "quiet_from", "quiet_until", "time_zone", "terminal__time_zone")
    return [
        device
        for device in silent.select_related("terminal").only(*columns).order_by("pk")
        if not schedule.is_quiet(device, now=now, where=clocks.zone_of(device))
    ]


def _is_allowed(device: Device) -> bool:
    try:
        require_allowed(device.host)
    except AddressError:
        return False
    return True
