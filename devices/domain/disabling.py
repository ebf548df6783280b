"""A unit that is disabled takes no finger, so whoever disables one leaves word first.

The word is ``disabled_at`` on the device's row. It is committed before the unit is disabled and taken away once it is
enabled again. Whoever finds it, because a process died in between or the unit was out of reach, enables the unit first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from django.db import Error, connection
from django.db.models import Q
from django.db.models.functions import Now

from devices.domain import schedule
from devices.domain.lease import Lease, LeaseLostError, confirm
from devices.driver.errors import MayBeLockedError
from devices.driver.session import TerminalSession
from devices.models import Device
from iclock.domain.alarms import Kind, end_alarm, raise_alarm
from iclock.models import Alarm

# Longer than any change takes that disables a unit.
PATIENCE: Final = timedelta(minutes=2)

_CARRIED_AWAY: Final = "It isn't read any more, and may still take no finger: restart it before it is used again."

_log = logging.getLogger(__name__)


@contextmanager
def held_down(device: Device, lease: Lease) -> Iterator[None]:
    """Within it the unit may be disabled and must be enabled again; what says that it wasn't is MayBeLockedError.

    Raises LeaseLostError before anything is done when the device is somebody else's by now. No database connection is
    kept meanwhile.
    """
    confirm(lease, disabled_at=Now())
    connection.close()
    try:
        yield
    except MayBeLockedError:
        raise
    except BaseException:
        _take_away(device, lease)
        raise
    _take_away(device, lease)


def enable_first(device: Device, session: TerminalSession) -> None:
    """For every contact: enable the unit that somebody left disabled. Raises TerminalError. Keeps no connection."""
    if device.disabled_at is None:
        return
    session.enable()
    if device.terminal is not None and device.terminal.sn != session.serial():
        return  # another unit stands there now; the disabled one is elsewhere
    Device.objects.filter(pk=device.pk, disabled_at=device.disabled_at).update(disabled_at=None)
    connection.close()
    _log.info("Device %s was left disabled and is enabled again.", device.key)


def check_locked() -> None:
    """Tell of units that are disabled for longer than anything takes, and of those that aren't any more."""
    nobody_there = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())  # else it is being cleared, say
    late = Device.objects.filter(nobody_there, disabled_at__lt=Now() - PATIENCE).select_related("terminal")
    for device in late.exclude(terminal=None).order_by("pk"):
        if device.terminal is not None:
            raise_alarm(device.terminal, Kind.LOCKED, _locked(device))
    # Whom nothing keeps from being reached is reached now; a dead one keeps its back-off.
    schedule.request_sync(late.filter(failures=0).values_list("pk", flat=True))
    for alarm in _over():
        gone = Device.objects.filter(terminal=alarm.terminal).first() is None
        end_alarm(alarm.terminal, Kind.LOCKED, _CARRIED_AWAY if gone else "The unit was enabled again.")


def _over() -> list[Alarm]:
    over = Q(terminal__device=None) | Q(terminal__device__disabled_at=None)
    return list(Alarm.objects.open().filter(over, kind=Kind.LOCKED).select_related("terminal"))


def _locked(device: Device) -> str:
    next_contact = "It is enabled at the next contact" if device.enabled else "The device is not polled: poll it"
    return (
        f"{device.host} was disabled at {device.disabled_at:%Y-%m-%d %H:%M:%S} UTC and not enabled since:"
        f" it may take no finger. {next_contact}, or restart the unit."
    )


def _take_away(device: Device, lease: Lease) -> None:
    """When this fails, the next contact enables the unit once more, which does no harm."""
    try:
        confirm(lease, disabled_at=None)
    except (LeaseLostError, Error) as error:
        _log.warning("That device %s is enabled again could not be noted (%s).", device.key, error)
    finally:
        connection.close()
