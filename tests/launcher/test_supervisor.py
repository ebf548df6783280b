from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from zkbio.launcher.processes import Running, spawn
from zkbio.launcher.supervisor import LOG_BYTES, Service, Supervisor, bound_logs


def service(name: str, code: str, folder: Path, stopped: list[str]) -> Service:
    def launch() -> Running:
        command = [sys.executable, "-c", code]
        return spawn(command, environ=os.environ, log=folder / f"{name}.log", cwd=Path("/"), user={})

    def end(running: Running) -> None:
        stopped.append(name)
        running.stop(signal.SIGTERM, 5)

    return Service(name, launch, end)


def test_a_program_that_ends_is_started_again_after_longer_and_longer_pauses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = service("web", "raise SystemExit(3)", tmp_path, [])
    failing.start()
    pauses, now = [], 1000.0
    for _ in range(8):
        assert failing.running is not None
        assert failing.running.wait(10)
        failing.tend(now)
        pauses.append(failing.retry_at - now)
        now = failing.retry_at
        failing.tend(now)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert capsys.readouterr().out.count("web stopped (exit code 3)") == 1


def test_programs_are_stopped_in_the_reverse_order_of_their_start(tmp_path: Path) -> None:
    stopped: list[str] = []
    supervisor = Supervisor(tmp_path)
    for name in ("postgres", "redis", "web"):
        supervisor.start(service(name, "import time; time.sleep(60)", tmp_path, stopped))

    supervisor.stop_all()

    assert stopped == ["web", "redis", "postgres"]


def test_a_killed_program_is_running_again_after_its_pause(tmp_path: Path) -> None:
    steady = service("worker", "import time; time.sleep(60)", tmp_path, [])
    steady.start()
    first = steady.running
    assert first is not None
    first.stop(signal.SIGKILL, 5)

    steady.tend(1000.0)
    steady.tend(1001.0)

    assert steady.running is not None
    assert steady.running.alive()
    assert steady.running.pid != first.pid
    steady.stop()


def test_a_log_that_grew_too_long_keeps_one_older_part(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_bytes(b"x" * (LOG_BYTES + 1))
    with log.open("ab") as writer:
        bound_logs(tmp_path)
        writer.write(b"next")

    assert log.read_bytes() == b"next"
    assert (tmp_path / "web.log.1").stat().st_size == LOG_BYTES + 1
