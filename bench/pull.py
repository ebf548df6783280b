"""A visit to a terminal with a big log, against storing the same punches alone."""

from __future__ import annotations

import resource
from datetime import timedelta

from django.db.models import F

from bench.measure import Row, best_of, stopwatch
from bench.simulated import simulated
from bench.tables import TRANSACTION, execute
from devices.domain.dialling import dial
from devices.domain.memory import FULL_READ_EVERY
from devices.domain.sync import sync_device
from devices.driver.tables import decode_punches
from devices.models import Device, SyncRun
from iclock.domain.ingest import record_punches
from iclock.models import Terminal
from iclock.punch import Punch, Source

RECORDS = 100_000


def run() -> list[Row]:
    with simulated(f"--log-size={RECORDS}", "--capacity=200000") as terminals:
        (where,) = terminals.addresses
        Device.objects.filter(key="bench_pull").delete()
        device = Device.objects.create(key="bench_pull", name="Pull", host=where["host"], port=where["port"])
        before = _peak_megabytes()
        _visit(device)
        growth = _peak_megabytes() - before
        return [*_against_ingest(device, _punches(device)), Row("memory growth", growth, "MB", at_most=100)]


def _against_ingest(device: Device, punches: list[Punch]) -> list[Row]:
    terminal = Terminal.objects.select_related("area").get(device=device)
    best = best_of(
        {
            "ingest": lambda: _ingest(terminal, punches),
            "new": lambda: _first_visit(device),
            "unchanged": lambda: _visit(device),
            "forced": lambda: _forced_visit(device),
        }
    )
    return [
        Row("storing 100 000 punches alone", best["ingest"], "s"),
        Row("read and stored, of storing alone", best["new"] / best["ingest"], at_most=3.0),
        Row("counter unchanged, of storing alone", best["unchanged"] / best["ingest"], at_most=0.1),
        Row("a known log downloaded, of storing alone", best["forced"] / best["ingest"], at_most=0.5),
    ]


def _punches(device: Device) -> list[Punch]:
    with dial(device) as session:
        return decode_punches(session.punch_rows(session.sizes()), user_ids={}).punches


def _ingest(terminal: Terminal, punches: list[Punch]) -> float:
    execute(f"TRUNCATE {TRANSACTION}")
    with stopwatch() as elapsed:
        record_punches(terminal, punches, source=Source.PULL)
    return elapsed()


def _first_visit(device: Device) -> float:
    execute(f"TRUNCATE {TRANSACTION}")
    Device.objects.filter(id=device.id).update(log_bytes=0, log_width=0, log_digest=b"", log_read_at=None)
    return _visit(device)


def _forced_visit(device: Device) -> float:
    Device.objects.filter(id=device.id).update(log_read_at=F("log_read_at") - FULL_READ_EVERY - timedelta(hours=1))
    return _visit(device)


def _visit(device: Device) -> float:
    with stopwatch() as elapsed:
        done = sync_device(device.id, trigger=SyncRun.Trigger.COMMAND)
    if done is None or done.outcome == SyncRun.Outcome.FAILED:
        raise RuntimeError(done.error if done else "the device is busy")
    return elapsed()


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
