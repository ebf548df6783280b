"""Visits to devices for somebody who waits: each in its turn, many devices at once, and no longer than they wait.

Whoever asks waits in their own thread, where they can be seen to leave. A conversation has a thread of its own only
once it is the device's turn, so a busy device holds up nobody else, and there are never more than ``MOST_LIVE``.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from django.conf import settings
from django.db import connection

from devices.domain.dialling import Bounds, dial
from devices.domain.identity import require_admitted, require_same_unit
from devices.domain.lease import Lease, give_back, take_free
from devices.domain.registry import is_unused_example, set_polled
from devices.driver.guarded import stop_sessions
from devices.driver.session import TerminalSession
from devices.models import Device
from iclock.models import Terminal

T = TypeVar("T")
Work = Callable[[Lease, Bounds], T]
"""What is done with a device while its lease is held, within the bounds."""

# Conversations of one process at a time, and how many of them one request may have: fifty devices in one go.
MOST_LIVE: Final = 64
MOST_OF_ONE: Final = 56
# Requests of one process that wait for one device; whoever comes then is told at once.
MOST_WAITING: Final = 16
# How often who waits looks whether it is their turn.
_BLINK: Final = 0.1
# Conversations end with LIVE_SECONDS; what they brought is waited for a little longer.
_GRACE: Final = 3.0

_places = threading.BoundedSemaphore(MOST_LIVE)
_queues = threading.Lock()
_waiting: Counter[int] = Counter()
# Devices that this process talks to: no need to ask the database whether it is somebody's turn.
_talking: set[int] = set()
_threads = ThreadPoolExecutor(MOST_LIVE, thread_name_prefix="live")


class OccupiedError(Exception):
    """The device, or all places for conversations, were somebody else's for longer than one waits; or what began for
    this request takes longer than that. Then it goes on, and the device is busy with it."""


class CallerGoneError(Exception):
    """Whoever asked doesn't wait for the answer any more."""


def visit(device: Device, work: Work[T], *, gone: Callable[[], bool]) -> T:
    """The outcome of ``work`` with one device. Raises what `visit_each` gives, and CallerGoneError."""
    ((_, outcome),) = visit_each([device], work, gone=gone)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def visit_each(
    devices: Sequence[Device], work: Work[T], *, gone: Callable[[], bool]
) -> Generator[tuple[Device, T | Exception]]:
    """The outcome of ``work`` with each device as it comes, an error being one: OccupiedError, or what the work raised.

    Raises CallerGoneError as soon as ``gone`` says so. What is going on then, or when it is closed, is broken off.
    """
    began, stop = time.monotonic(), threading.Event()
    waiting = _queue(devices)
    running: dict[Future[T], Device] = {}
    try:
        yield from ((device, OccupiedError()) for device in devices if device.pk not in waiting)
        while waiting or running:
            if gone():
                raise CallerGoneError
            waited = time.monotonic() - began
            bounds = Bounds(_seconds_left(waited), stop, until=began + settings.LIVE_SECONDS)
            running |= _begin(waiting, work, bounds, most=MOST_OF_ONE - len(running))
            # Those that wait for this request's own conversations to end do so for as long as the request may take.
            patience = settings.LIVE_SECONDS if len(running) >= MOST_OF_ONE else settings.LIVE_WAIT_SECONDS
            if waited > patience:
                yield from ((device, OccupiedError()) for device in _unqueue(waiting))
            if waited > settings.LIVE_SECONDS + _GRACE:
                stop_sessions(stop)
                overdue, running = running, {}
                yield from ((device, OccupiedError()) for device in overdue.values())
            for future in _finished(running):
                device = running.pop(future)
                outcome = _outcome(device, future)
                yield device, outcome
    finally:
        _unqueue(waiting)
        if running:
            stop_sessions(stop)


def talk(ask: Callable[[Device, TerminalSession], T]) -> Work[T]:
    """The work of a conversation; no database connection is kept meanwhile. Raises TerminalError.

    ``ask`` gets a unit that is what the device is known to be. A device that was registered a moment ago is compared
    with the terminals that are known: which of them it is (``device.terminal``) counts before the first poll, too.
    """

    def work(lease: Lease, bounds: Bounds) -> T:
        device = Device.objects.select_related("terminal").get(pk=lease.device_id)
        if device.terminal is not None:
            require_admitted(device.terminal)
        connection.close()
        with dial(device, bounds) as session:
            _recognise(device, session.serial())
            return ask(device, session)

    return work


def _recognise(device: Device, serial: str) -> None:
    require_same_unit(device, serial)
    if device.terminal is None:
        device.terminal = Terminal.objects.filter(sn=serial).first()
        connection.close()
        if device.terminal is not None:
            require_admitted(device.terminal)


def _seconds_left(waited: float) -> float:
    return min(float(settings.DEVICE_SESSION_SECONDS), max(1.0, settings.LIVE_SECONDS - waited))


def _queue(devices: Sequence[Device]) -> dict[int, Device]:
    """Those that not too many wait for already; this request is counted among them from now on."""
    with _queues:
        found = {device.pk: device for device in devices if _waiting[device.pk] < MOST_WAITING}
        _waiting.update(found.keys())
    return found


def _unqueue(waiting: dict[int, Device]) -> list[Device]:
    """Those that this request waits for no more."""
    devices = list(waiting.values())
    with _queues:
        _waiting.subtract(waiting.keys())
    waiting.clear()
    return devices


def _begin(waiting: dict[int, Device], work: Work[T], bounds: Bounds, *, most: int) -> dict[Future[T], Device]:
    """Start with ``most`` of ``waiting`` whose turn it is, and take them out."""
    free = [pk for pk in waiting if pk not in _talking]
    places = sum(_places.acquire(blocking=False) for _ in free[: max(0, most)])
    leases: list[Lease] = []
    try:
        if places:
            leases = take_free(free, most=places)
    finally:
        connection.close()  # whoever waits keeps none
        for _ in range(places - len(leases)):
            _places.release()
    _talking.update(lease.device_id for lease in leases)
    begun = {lease.device_id: waiting.pop(lease.device_id) for lease in leases}
    _unqueue(dict(begun))
    return {_threads.submit(_carry_out, lease, work, bounds): begun[lease.device_id] for lease in leases}


def _carry_out(lease: Lease, work: Work[T], bounds: Bounds) -> T:
    try:
        return work(lease, bounds)
    finally:
        _talking.discard(lease.device_id)
        try:
            give_back(lease)
        finally:
            connection.close()
            _places.release()


def _finished(running: dict[Future[T], Device]) -> list[Future[T]]:
    if not running:
        time.sleep(_BLINK)
        return []
    return list(wait(running, timeout=_BLINK, return_when=FIRST_COMPLETED).done)


def _outcome(device: Device, future: Future[T]) -> T | Exception:
    """The example is polled from its first use on."""
    error = future.exception()
    if isinstance(error, Exception):
        return error
    if is_unused_example(device):
        set_polled([device.pk], enabled=True)
    return future.result()
