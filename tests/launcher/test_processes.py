from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from zkbio.launcher.processes import Running, identify, recall, remember, spawn, wait_until

FOREVER = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = f"""
import subprocess, sys, time
print(subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid, flush=True)
time.sleep(60)
"""


def python(code: str, log: Path) -> Running:
    running = spawn([sys.executable, "-c", code], environ=os.environ, log=log, cwd=Path("/"), user={})
    assert wait_until(lambda: log.stat().st_size > 0, 10)
    return running


def test_a_recorded_process_is_found_again(tmp_path: Path) -> None:
    running = python(FOREVER, tmp_path / "log")
    remember(tmp_path / "record", running)

    found = recall(tmp_path / "record")

    assert found is not None
    assert found.identity == running.identity
    running.stop(signal.SIGTERM, 5)
    assert recall(tmp_path / "record") is None


def test_a_number_that_now_means_another_process_is_left_alone(tmp_path: Path) -> None:
    running = python(FOREVER, tmp_path / "log")
    remember(tmp_path / "record", running)
    said = json.loads((tmp_path / "record").read_text())
    (tmp_path / "record").write_text(json.dumps(said | {"started": said["started"] - 1}))

    assert recall(tmp_path / "record") is None

    running.stop(signal.SIGTERM, 5)


def test_a_damaged_record_means_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "record").write_text('{"pid": 1')

    assert recall(tmp_path / "record") is None


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    running = python(DEAF, tmp_path / "log")

    running.stop(signal.SIGTERM, 0.2)

    assert not running.alive()
    assert running.collect() == "killed by SIGKILL"


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    running = python(PARENT, tmp_path / "log")
    below = int((tmp_path / "log").read_text().split()[0])

    running.stop(signal.SIGTERM, 5)

    assert wait_until(lambda: identify(below) is None, 5)


def test_a_process_that_ended_but_was_not_collected_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])

    assert wait_until(lambda: identify(child.pid) is None, 10)

    assert child.wait() == 0
