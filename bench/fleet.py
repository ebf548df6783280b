"""Five hundred terminals behind slow lines, polled by one worker as it is started."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from bench.measure import Row
from bench.simulated import ROOT, Terminals, simulated
from devices.models import Device, SyncRun
from zkbio.launcher.processes import wait_until
from zkbio.launcher.roles import beat_command, worker_command

TERMINALS, DEAD = 500, 50
LATENCY = 0.2
PATIENCE = 300
MOST_ROUNDS = 60


def run() -> list[Row]:
    with simulated("--log-size=50", "--people=10", count=TERMINALS) as terminals, _worker() as worker:
        _register(terminals)
        _poll(Q())  # the first visit reads everything
        _compare_people()
        for where in terminals.addresses:
            terminals.order("fault", where["serial"], kind="Latency", seconds=LATENCY)
        healthy = _poll(Q())
        dead = [where["serial"] for where in terminals.addresses[:DEAD]]
        for serial in dead:
            terminals.order("fault", serial, kind="Silent", times=None)
        alive = ~Q(terminal__sn__in=dead)
        _poll(Q())  # the dead become suspects
        beside = _poll(alive)
        return [
            Row("500 terminals, 200 ms a reply, unchanged", healthy, "s", at_most=60),
            Row("the 450 healthy ones beside 50 that never answer, of that", beside / healthy, at_most=1.25),
            Row("memory of the worker", _megabytes(worker), "MB", at_most=400),
        ]


def _compare_people() -> None:
    """Once with each unit, before anything is measured: a worker does so with few of them at a time."""
    waiting = Device.objects.filter(Q(terminal__sync_mark=None) | Q(terminal__sync_mark__compared_at=None))
    for _ in range(MOST_ROUNDS):
        if not waiting.exists():
            return
        _poll(Q())
    raise RuntimeError(f"after {MOST_ROUNDS} rounds people of {waiting.count()} units were not compared")


def _register(terminals: Terminals) -> None:
    Device.objects.all().delete()
    Device.objects.bulk_create(
        Device(
            key=where["serial"].lower(),
            name=where["serial"],
            host=where["host"],
            port=where["port"],
            interval=86_400,
            enabled=False,
        )
        for where in terminals.addresses
    )


def _poll(which: Q) -> float:
    """Make every device due, and say how long it took until all of ``which`` were visited."""
    began, since = time.monotonic(), timezone.now()
    wanted = Device.objects.filter(which).count()
    Device.objects.update(enabled=True, next_poll_at=Now())
    visited = SyncRun.objects.filter(started_at__gte=since, device__in=Device.objects.filter(which))
    if not wait_until(lambda: visited.values("device").distinct().count() == wanted, PATIENCE):
        raise RuntimeError(f"after {PATIENCE} s {visited.values('device').distinct().count()} of {wanted} were visited")
    seconds = time.monotonic() - began
    everyone = SyncRun.objects.filter(started_at__gte=since)
    if not wait_until(lambda: everyone.values("device").distinct().count() == TERMINALS, PATIENCE):
        raise RuntimeError("some devices were never visited")
    Device.objects.update(enabled=False)
    return seconds


@contextmanager
def _worker() -> Iterator[psutil.Process]:
    """The Celery worker and beat with the commands of ./script/start."""
    commands: Sequence[list[str]] = (worker_command(), beat_command())
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for command in commands]
    try:
        yield psutil.Process(running[0].pid)
    finally:
        for process in running:
            process.terminate()
            process.wait(timeout=30)


def _megabytes(process: psutil.Process) -> float:
    return process.memory_info().rss / 1024 / 1024
