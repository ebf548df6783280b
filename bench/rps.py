"""Requests per second of a page of 100 punches against a static Django view, on the web server as it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.measure import Row, best_of
from bench.readers import PAGE, STATIC, reader
from bench.simulated import ROOT
from bench.tables import TRANSACTION, a_terminal, count, execute, punches
from iclock.domain.ingest import record_punches
from iclock.punch import Source
from zkbio.launcher.options import Options
from zkbio.launcher.processes import wait_until
from zkbio.launcher.roles import WEB_SETTINGS, WEB_WORKERS, web_command
from zkbio.launcher.start import answers
from zkbio.launcher.state import StateDir
from zkbio.launcher.valkey import free_port

SECONDS, CLIENTS, ROWS = 5, 16, 10_000


class WebServer(NamedTuple):
    """Where it listens, and the process whose children serve."""

    port: int
    process: psutil.Process


def run() -> list[Row]:
    if count(TRANSACTION) < ROWS:
        record_punches(a_terminal(), punches(ROWS), source=Source.PULL)
    execute("ANALYZE")  # as autovacuum does within a minute
    _client, token = reader()
    with web_server() as (port, _process):
        # best_of keeps the least, and more requests are better: it compares seconds per request.
        best = best_of({"static": partial(_cost, port, STATIC, token), "page": partial(_cost, port, PAGE, token)})
    return [
        Row("a static view", 1 / best["static"], "per s"),
        Row("a page of 100 punches", 1 / best["page"], "per s"),
        Row("the page of the static view", best["static"] / best["page"], at_least=0.2),
    ]


def _cost(port: int, path: str, token: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", str(port), path, token, str(SECONDS), str(CLIENTS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS * 10,
        check=True,
    )
    return 1 / float(done.stdout)


@contextmanager
def web_server(application: str = "bench.wsgi:application", workers: int = WEB_WORKERS) -> Iterator[WebServer]:
    """The web role with its own settings, and so many workers."""
    options = Options(state=StateDir(Path(os.environ["STATE_DIR"])), host="127.0.0.1", port=free_port())
    command = web_command(options)
    command[command.index("zkbio.wsgi:application")] = application
    command[command.index("--workers") + 1] = str(workers)
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | WEB_SETTINGS) as server:
        try:
            if not wait_until(lambda: answers(options, os.environ), 30):
                raise RuntimeError("the web server doesn't answer")
            yield WebServer(options.port, psutil.Process(server.pid))
        finally:
            server.terminate()
