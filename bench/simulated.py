"""Simulated terminals in a process of their own, so that they take no turn of the interpreter that is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Terminals:
    """``addresses`` as the simulator prints them: serial, host, port."""

    def __init__(self, process: subprocess.Popen[str], count: int) -> None:
        self._process = process
        self.addresses = [self._line() for _ in range(count)]

    def order(self, verb: str, serial: str, **arguments: object) -> None:
        """One order of the simulator's remote control."""
        assert self._process.stdin is not None
        print(json.dumps({verb: {"serial": serial, **arguments}}), file=self._process.stdin, flush=True)
        answer = self._line()
        if not answer["ok"]:
            raise RuntimeError(answer["error"])

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line: dict[str, Any] = json.loads(self._process.stdout.readline())
        return line


@contextmanager
def simulated(*options: str, count: int = 1) -> Iterator[Terminals]:
    process = subprocess.Popen(
        [sys.executable, "-m", "devices.simulator", "--port=0", "--control", f"--count={count}", *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Terminals(process, count)
    finally:
        process.terminate()
        process.wait(timeout=30)
