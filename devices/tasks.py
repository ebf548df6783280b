"""Envelopes for the worker: load, one domain call, nothing else."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from devices.domain import history, schedule, sync
from devices.driver.guarded import stop_all
from devices.models import SyncRun


@shared_task(name="devices.claim_due")
def claim_due() -> None:
    """The tick: queue one visit for each device that is due."""
    for device_id in schedule.claim_due():
        sync_device.apply_async(kwargs={"device_id": device_id}, expires=schedule.MESSAGE_SECONDS)


@shared_task(name="devices.sync_device")
def sync_device(*, device_id: int) -> None:
    """One visit to one device."""
    sync.sync_device(device_id, trigger=SyncRun.Trigger.SCHEDULE)


@shared_task(name="devices.purge_runs")
def purge_runs() -> None:
    """Forget old visits."""
    history.purge_runs()


@worker_shutting_down.connect
def _hang_up(**_signal: Any) -> None:
    """A stopping worker doesn't wait for slow terminals."""
    stop_all()
