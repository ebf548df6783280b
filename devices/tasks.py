"""Envelopes for the worker: load, one domain call, nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError

from devices.domain import disabling, history, knocking, schedule, sync
from devices.domain.lease import LeaseLostError
from devices.driver.guarded import stop_all
from devices.models import SyncRun

_log = logging.getLogger(__name__)


@shared_task(name="devices.claim_due")
def claim_due() -> None:
    """The tick: queue one visit for each device that is due."""
    with _told_in_a_sentence():
        for device_id in schedule.claim_due():
            sync_device.apply_async(kwargs={"device_id": device_id}, expires=schedule.MESSAGE_SECONDS)


@shared_task(name="devices.sync_device")
def sync_device(*, device_id: int) -> None:
    """One visit to one device."""
    with _told_in_a_sentence():
        sync.sync_device(device_id, trigger=SyncRun.Trigger.SCHEDULE)


@shared_task(name="devices.knock")
def knock() -> None:
    """Queue a visit for each device that answers again. One that is not begun before the next knock stays due."""
    with _told_in_a_sentence():
        for device_id in knocking.knock():
            expires = min(settings.KNOCK_SECONDS, schedule.MESSAGE_SECONDS)
            sync_device.apply_async(kwargs={"device_id": device_id}, expires=expires)


@shared_task(name="devices.call_overlooked")
def call_overlooked() -> None:
    """Have devices be visited whose people changed, though the call to them was lost."""
    with _told_in_a_sentence():
        schedule.call_overlooked_devices()


@shared_task(name="devices.check_locked")
def check_locked() -> None:
    """Tell of units that were disabled and not enabled again."""
    with _told_in_a_sentence():
        disabling.check_locked()


@shared_task(name="devices.purge_runs")
def purge_runs() -> None:
    """Forget old visits."""
    with _told_in_a_sentence():
        history.purge_runs()


@contextmanager
def _told_in_a_sentence() -> Iterator[None]:
    """A store that is away, or a lease that was lost, is no defect: the work stays due, and is done then."""
    try:
        yield
    except (OperationalError, InterfaceError, LeaseLostError, BrokerError) as error:
        _log.error("Not done, and still due: %s", str(error).strip().partition("\n")[0])


@worker_shutting_down.connect
def _hang_up(**_signal: Any) -> None:
    """A stopping worker doesn't wait for slow terminals."""
    stop_all()
