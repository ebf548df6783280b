"""The embedded Redis: a Valkey server on loopback with a password, its data in the state folder."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import redis

from zkbio.launcher import programs, secret_file
from zkbio.launcher.owner import ENVIRON
from zkbio.launcher.postgres import last_line
from zkbio.launcher.processes import Running, recall, remember, spawn, wait_until
from zkbio.launcher.state import StateDir, write_private
from zkbio.launcher.trouble import LaunchError

READY_SECONDS = 60.0
_UNASSIGNED: Final = range(20_000, 32_000)
_PORT_TRIES: Final = 100


def configuration(*, port: int, folder: Path, password: str) -> str:
    """Bounded, persistent, on loopback only; a file, since command lines can be read by every user."""
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    return f"""\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir "{quoted}"
daemonize no
set-proc-title no
appendonly yes
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy noeviction
loglevel notice
logfile ""
"""


class EmbeddedValkey:
    def __init__(self, state_dir: Path) -> None:
        self.state = StateDir(state_dir)
        self.folder = state_dir / "valkey"
        self.running: Running | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self._password()}@127.0.0.1:{self.port()}/0"

    @property
    def record(self) -> Path:
        return self.state.run / "redis.json"

    def _password(self) -> str:
        return secret_file.load_or_make(self.state.root / "secrets.env")["REDIS_PASSWORD"]

    def port(self) -> int:
        """Chosen once and remembered, so that clients find the server again after it was restarted."""
        note = self.state.run / "redis-port"
        if not note.exists():
            write_private(note, f"{free_port()}\n")
        return int(note.read_text())

    def prepare(self) -> None:
        self.state.prepare()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if recall(self.record) is None and not can_listen(self.port()):
            (self.state.run / "redis-port").unlink()  # another program has it now
        text = configuration(port=self.port(), folder=self.folder, password=self._password())
        write_private(self.folder / "valkey.conf", text)

    def launch(self) -> Running:
        """Starts the server, or takes over the one that an earlier launcher left; returns before it is ready."""
        self.running = recall(self.record) or spawn(
            [programs.valkey_server(), self.folder / "valkey.conf"],
            environ=ENVIRON,
            log=self.state.log / "redis.log",
            cwd=self.folder,
            user={},
        )
        remember(self.record, self.running)
        return self.running

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        wait_until(lambda: self._answers() or not self._alive(), seconds)
        if not self._alive():
            log = self.state.log / "redis.log"
            raise LaunchError(f"Redis did not start: {last_line(log.read_text(errors='replace'))} (see {log})")
        if time.monotonic() >= deadline:
            raise LaunchError(f"Redis was not ready after {seconds:.0f} s; see {self.state.log}/redis.log")

    def _alive(self) -> bool:
        return self.running is not None and self.running.alive()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:  # not there yet, or still loading its data
            return False

    def start(self) -> None:
        self.prepare()
        self.launch()
        self.wait_ready()

    def stop(self, seconds: float = 10.0) -> None:
        if self.running is not None:
            self.running.stop(signal.SIGTERM, seconds)
            self.record.unlink(missing_ok=True)
            self.running = None

    def stop_immediately(self) -> None:
        if self.running is not None:
            self.running.stop(signal.SIGKILL, 5.0)
            self.record.unlink(missing_ok=True)
            self.running = None


def free_port() -> int:
    """A port of this machine that nobody listens on.

    Below the range from which systems take ports for outgoing connections: one out of that range may be taken by any
    client before the server that it was meant for listens. Raises LaunchError.
    """
    for port in random.sample(_UNASSIGNED, _PORT_TRIES):
        if can_listen(port):
            return port
    raise LaunchError(f"None of {_PORT_TRIES} ports between {_UNASSIGNED[0]} and {_UNASSIGNED[-1]} is free.")


def can_listen(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def embedded_valkey(state_dir: Path) -> Iterator[str]:
    """A server for the length of a block; gives its URL."""
    server = EmbeddedValkey(state_dir)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
