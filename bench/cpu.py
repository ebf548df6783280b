"""CPU of a work, of this process and of its PostgreSQL backend together."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
from django.db import connection


def cpu_seconds(work: Callable[[], object], *, times: int = 1) -> float:
    """Seconds of CPU for one of ``times`` calls."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = psutil.Process(cursor.fetchone()[0])
    began, spent = time.process_time(), sum(backend.cpu_times()[:2])
    for _ in range(times):
        work()
    return (time.process_time() - began + sum(backend.cpu_times()[:2]) - spent) / times
