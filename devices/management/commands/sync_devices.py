"""``manage.py sync_devices``: what the worker does, now and in front of you."""

from __future__ import annotations

import json
import logging
from argparse import ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connection

from devices.domain import sync
from devices.domain.lease import LeaseLostError
from devices.domain.registry import unknown_in_a_sentence
from devices.models import Device, SyncRun

_AT_ONCE = 20


class Command(BaseCommand):
    help = "Visit devices now and store their punches. Exits with 1 when a device failed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--device", action="append", metavar="ID", help="only this device; may be repeated")
        parser.add_argument("--json", action="store_true", help="one JSON object per device, a line each")

    def handle(self, *_args: Any, **options: Any) -> None:
        devices = _chosen(options["device"])
        failed = 0
        with _warnings_unsaid():
            for done, report in enumerate(_visit_all(devices), start=1):
                failed += report["outcome"] == SyncRun.Outcome.FAILED
                told = json.dumps(report) if options["json"] else f"[{done}/{len(devices)}] {_sentence(report)}"
                self.stdout.write(told)
        if failed:
            raise CommandError(f"{failed} of {len(devices)} devices failed.")


@contextmanager
def _warnings_unsaid() -> Iterator[None]:
    """A visit that fails is logged as it is for the worker; here its own line says so already."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)


def _chosen(keys: list[str] | None) -> dict[int, str]:
    """Ids and keys of the devices asked for, or of all that are polled."""
    devices = Device.objects.filter(key__in=keys) if keys else Device.objects.filter(enabled=True)
    chosen = {device.id: device.key for device in devices}
    if missing := set(keys or ()) - set(chosen.values()):
        raise CommandError(unknown_in_a_sentence(*sorted(missing)))
    return chosen


def _visit_all(devices: dict[int, str]) -> Iterator[dict[str, Any]]:
    """A report of each device as it is done, several at a time."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sync") as pool:
        visits = {pool.submit(_visit, device_id): key for device_id, key in devices.items()}
        for visit in as_completed(visits):
            yield {"device": visits[visit], **visit.result()}


def _visit(device_id: int) -> dict[str, Any]:
    try:
        run = sync.sync_device(device_id, trigger=SyncRun.Trigger.COMMAND)
    except (LeaseLostError, Error) as error:
        return {"outcome": SyncRun.Outcome.FAILED.value, "error_code": "", "error": str(error).strip()}
    finally:
        connection.close()
    if run is None:
        return {"outcome": "busy", "error_code": "", "error": ""}
    counts = {name: getattr(run, name) for name in ("announced", "known", "new", "duplicate", "quarantined")}
    told = {"outcome": str(run.outcome), "error_code": run.error_code, "error": run.error}
    return {**told, **counts, "seconds": round(run.seconds, 3)}


def _sentence(report: dict[str, Any]) -> str:
    match report["outcome"]:
        case "busy":
            what = "busy: another worker is talking to it"
        case SyncRun.Outcome.FAILED:
            code = f" ({report['error_code']})" if report["error_code"] else ""
            what = f"failed{code}: {report['error']}"
        case SyncRun.Outcome.UNCHANGED:
            what = f"unchanged, not downloaded ({report['seconds']} s)"
        case _:
            held = f"{report['announced']} {'punch' if report['announced'] == 1 else 'punches'}"
            what = (
                f"{held} on it: {report['new']} new, {report['known']} known,"
                f" {report['duplicate']} duplicate, {report['quarantined']} quarantined ({report['seconds']} s)"
            )
    return f"{report['device']}: {what}"
