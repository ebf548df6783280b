"""Processes that outlive the launcher's memory of them: recorded, recognised again, and never mistaken for another."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zkbio.launcher.state import write_private

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Identity:
    """Which process a number means: process ids are used again, starting times (clock ticks since boot) are not."""

    pid: int
    started: int
    command: tuple[str, ...]


def identify(pid: int) -> Identity | None:
    """The living process of that number; None for none, or for one that has ended and was not yet collected."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = status.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return None
    return Identity(pid, int(fields[19]), tuple(os.fsdecode(word) for word in command.rstrip(b"\0").split(b"\0")))


@dataclass
class Running:
    identity: Identity
    child: subprocess.Popen[bytes] | None = None  # None: started by an earlier launcher

    @property
    def pid(self) -> int:
        return self.identity.pid

    def alive(self) -> bool:
        found = identify(self.pid)
        return found is not None and found.started == self.identity.started

    def send(self, number: signal.Signals) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        return wait_until(lambda: not self.alive(), seconds)

    def collect(self) -> str:
        """Ends what is left of the process group, then reads the exit status; to be called once it isn't alive."""
        if self.child is None:
            return "ended"
        if self.child.returncode is None:  # not collected yet, so the number can't be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return describe_exit(self.child.wait(timeout=10))

    def stop(self, first: signal.Signals, seconds: float) -> None:
        """Politely, then not: SIGKILL for the whole group after `seconds`."""
        self.send(first)
        if not self.wait(seconds):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.wait(2)
        self.collect()


def describe_exit(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def spawn(
    command: Sequence[str | Path], *, environ: Mapping[str, str], log: Path, cwd: Path, user: Mapping[str, Any]
) -> Running:
    """Starts it in a session of its own, so that the terminal's Ctrl-C doesn't reach it before its turn."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(
            [str(word) for word in command],
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            **user,
        )
    finally:
        os.close(descriptor)
    return Running(identity_of_new(child.pid), child)


def identity_of_new(pid: int) -> Identity:
    """For a moment after exec a process has no command line; one that has ended already never gets one."""
    nothing = Identity(pid, -1, ("",))
    for _ in range(100):
        found = identify(pid)
        if found is None or found.command != ("",):
            return found or nothing
        time.sleep(0.01)
    return nothing


def remember(path: Path, running: Running) -> None:
    write_private(path, json.dumps(asdict(running.identity)))


def recall(path: Path) -> Running | None:
    """The recorded process, if that very process is still alive."""
    try:
        said = json.loads(path.read_text())
        identity = Identity(int(said["pid"]), int(said["started"]), tuple(said["command"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return Running(identity) if identify(identity.pid) == identity else None
