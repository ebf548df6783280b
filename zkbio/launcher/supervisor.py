"""Keeps the platform's programs running, and stops them in the reverse order of their start."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from zkbio.launcher.processes import Running
from zkbio.launcher.trouble import LaunchError, in_a_sentence

LONGEST_PAUSE = 60.0
STEADY_SECONDS = 60.0  # after which an earlier failure is forgotten
LOG_BYTES = 10 * 1024 * 1024


def say(line: str) -> None:
    """A closed terminal must not keep the launcher from stopping what it started."""
    try:
        print(line, flush=True)
    except OSError:
        return


@dataclass
class Service:
    name: str
    launch: Callable[[], Running]
    end: Callable[[Running], None]
    running: Running | None = None
    failures: int = 0
    since: float = 0.0
    retry_at: float = 0.0

    def start(self) -> None:
        self.running = self.launch()
        self.since = time.monotonic()

    def tend(self, now: float) -> None:
        """Notices a program that ended, and starts it again after a pause that doubles; told once, not each time."""
        if self.running is not None and self.running.alive():
            self._forget_failures(now)
        elif self.running is not None:
            self._failed(now, self.running.collect())
        elif now >= self.retry_at:
            self._try_again(now)

    def _forget_failures(self, now: float) -> None:
        if self.failures and now - self.since > STEADY_SECONDS:
            say(f"{self.name} is steady again.")
            self.failures = 0

    def _try_again(self, now: float) -> None:
        try:
            self.start()
        except (LaunchError, OSError) as error:
            self._failed(now, in_a_sentence(error) if isinstance(error, OSError) else str(error))

    def _failed(self, now: float, how: str) -> None:
        self.running = None
        pause = min(LONGEST_PAUSE, 2.0 ** min(self.failures, 10))
        if self.failures == 0:
            say(f"{self.name} stopped ({how}); it is started again, after longer and longer pauses if need be.")
        self.failures += 1
        self.retry_at = now + pause

    def stop(self) -> None:
        if self.running is not None:
            self.end(self.running)
            self.running = None


@dataclass
class Supervisor:
    log_folder: Path
    services: list[Service] = field(default_factory=list)

    def start(self, service: Service) -> None:
        self.services.append(service)
        service.start()

    def tend(self) -> None:
        now = time.monotonic()
        for service in self.services:
            service.tend(now)
        bound_logs(self.log_folder)

    def stop_all(self) -> None:
        for service in reversed(self.services):
            began = time.monotonic()
            if service.running is None:
                continue
            try:
                service.stop()
            except OSError as error:  # the others are stopped all the same
                say(f"{service.name}: {in_a_sentence(error)}")
            say(f"{service.name} stopped in {time.monotonic() - began:.1f} s")


def bound_logs(folder: Path) -> None:
    """Keeps each log and one older part of it. The programs append, so a log that is cut goes on at its beginning."""
    for log in folder.glob("*.log"):
        if log.stat().st_size > LOG_BYTES:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            with log.open("r+b") as file:
                file.truncate(0)
