"""The platform in processes that may be killed, on stores that may be stopped, beside terminals that keep a ledger."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import redis
import requests

from devices.simulator import SimPunch, SimulatedTerminal, SimUser, TerminalSpec
from zkbio.launcher.environment import program_environment
from zkbio.launcher.options import Options
from zkbio.launcher.postgres import EmbeddedPostgres
from zkbio.launcher.processes import Running, spawn, wait_until
from zkbio.launcher.roles import STOP_SECONDS, WEB_SETTINGS, beat_command, web_command, worker_command
from zkbio.launcher.state import ROOT, StateDir
from zkbio.launcher.throwaway import OPERATORS, throwaway_state
from zkbio.launcher.valkey import EmbeddedValkey, free_port

TERMINALS = 100
DIALLING = 261
PEOPLE = tuple(SimUser(uid, str(1000 + uid), f"Person {uid}") for uid in range(1, 31))
MORNING = datetime(2026, 3, 2, 8, 0, 0)
READY_SECONDS = 60
# Scaled down; what a test wants otherwise it says.
SETTINGS = {"TICK_SECONDS": "1", "DATABASE_LOCK_SECONDS": "2"}
# The lock for which writers take turns (iclock.domain.ingest.TURN): the tests know it as a stranger would.
TURN = 0x70756E6368

_FURNISH = """
import json, sys
from django.contrib.auth import get_user_model
from devices.models import Device
from iclock.domain.terminals import add_terminal
from zkbio.accounts.domain.tokens import issue_token
for serial in json.loads(sys.argv[2]):
    add_terminal(sn=serial, alias=serial, time_zone="UTC")
for serial, port in json.loads(sys.argv[1]).items():
    Device(key=serial.lower(), name=serial, host="127.0.0.1", port=port, timeout=2, interval=1, enabled=False).save()
print(issue_token(get_user_model().objects.create_superuser("faults", password=None)))
"""
_DJANGO = "import django, sys, zkbio.celery; django.setup(); exec(sys.argv.pop(1))"


class Unit(SimulatedTerminal):
    """A simulated terminal that can be filled to any length."""

    def fill_to(self, count: int) -> None:
        first = len(self.ledger())
        self.fill(SimPunch(str(1001 + n % 30), MORNING + timedelta(seconds=n)) for n in range(first, count))

    def identities(self) -> list[tuple[str, datetime]]:
        """What has to be in the database, once each."""
        return sorted({(punch.user_id, punch.time) for punch in self.ledger()})


@dataclass
class Web:
    """A running web server, and a client with a token."""

    running: Running
    port: int
    token: str

    def get(
        self, path: str = "/iclock/api/terminals/?page_size=1", *, timeout: float = 10, **more: str
    ) -> requests.Response:
        headers = {"Authorization": f"Token {self.token}", "Connection": "close", **more}
        return requests.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=timeout)

    def status(self) -> int:
        try:
            return self.get().status_code
        except requests.ConnectionError:
            return 0

    def workers(self) -> dict[int, psutil.Process]:
        return {child.pid: child for child in psutil.Process(self.running.pid).children()}


class Stack:
    def __init__(self, state: StateDir, base: Mapping[str, str]) -> None:
        self.state = state
        self.postgres = EmbeddedPostgres(state.root, durable=False)
        self.redis = EmbeddedValkey(state.root)
        self._base = {name: value for name, value in base.items() if name not in OPERATORS}
        self._units: list[Unit] = []
        self._serials: list[str] = []
        self._token = ""
        self.environ: dict[str, str] = {}

    @contextmanager
    def up(self) -> Iterator[None]:
        with ExitStack() as running:
            self.postgres.start()
            # What was committed survives the end of the process, though not that of the machine.
            self.execute("ALTER ROLE zkbio SET synchronous_commit = on", superuser=True)
            running.callback(self.redis.stop)
            self.redis.start()
            self.environ = {
                **program_environment(
                    self._base, Options(state=self.state), database_url=self.postgres.url, redis_url=self.redis.url
                ),
                **SETTINGS,
            }
            self.finish([sys.executable, "manage.py", "migrate", "-v", "0"])
            specs = [TerminalSpec(serial=f"FLT{number:04}", users=PEOPLE) for number in range(TERMINALS)]
            self._units = [running.enter_context(Unit(spec)) for spec in specs]
            ports = json.dumps({unit.spec.serial: unit.port for unit in self._units})
            self._serials = [f"DIAL{number:04}" for number in range(DIALLING)]
            self._token = self.django(_FURNISH, ports, json.dumps(self._serials)).strip()
            yield

    # -- terminals and their devices

    @contextmanager
    def units(self, count: int, *, punches: int) -> Iterator[list[Unit]]:
        """So many fresh terminals, each polled every second by whoever is running, until the end."""
        fresh, self._units = self._units[:count], self._units[count:]
        assert len(fresh) == count, "the fixture has too few terminals"
        for unit in fresh:
            unit.fill_to(punches)
        keys = [key_of(unit) for unit in fresh]
        self.execute("UPDATE devices_device SET enabled = true, next_poll_at = now() WHERE key = ANY(%s)", keys)
        try:
            yield fresh
        finally:
            if self.postgres.running is None:
                self.postgres.start()
            self.execute("UPDATE devices_device SET enabled = false WHERE key = ANY(%s)", keys)

    def serials(self, count: int) -> list[str]:
        """Of so many terminals that may dial and never did."""
        fresh, self._serials = self._serials[:count], self._serials[count:]
        assert len(fresh) == count, "the fixture has too few terminals that dial"
        return fresh

    def elapse(self, seconds: float) -> None:
        """What PostgreSQL's clock decides about devices is decided as if so much time had passed."""
        self.execute(
            "UPDATE devices_device SET next_poll_at = next_poll_at - %s, lease_expires_at = lease_expires_at - %s",
            *[timedelta(seconds=seconds)] * 2,
        )

    def identities(self, unit: Unit) -> list[tuple[str, datetime]]:
        return self.query(
            "SELECT emp_code, punch_time FROM iclock_transaction WHERE terminal_sn = %s ORDER BY 1, 2",
            unit.spec.serial,
        )

    def stored(self, unit: Unit) -> int:
        return int(self.query("SELECT count(*) FROM iclock_transaction WHERE terminal_sn = %s", unit.spec.serial)[0][0])

    def runs(self, unit: Unit) -> list[tuple[str, str]]:
        """Outcome and error of each visit, oldest first."""
        return self.query(
            "SELECT outcome, error FROM devices_syncrun JOIN devices_device d ON d.id = device_id"
            " WHERE d.key = %s ORDER BY devices_syncrun.id",
            key_of(unit),
        )

    def device_ids(self, units: Sequence[Unit]) -> list[int]:
        rows = self.query("SELECT id FROM devices_device WHERE key = ANY(%s)", [key_of(unit) for unit in units])
        return [device_id for (device_id,) in rows]

    def holds_all_of(self, units: Sequence[Unit]) -> bool:
        return all(self.stored(unit) == len(unit.identities()) for unit in units)

    def assert_equal_to_the_ledgers(self, units: Sequence[Unit]) -> None:
        for unit in units:
            assert self.identities(unit) == unit.identities()

    # -- programs

    def worker(self, *, log: Path | None = None, **more: str) -> Running:
        return self._spawn("worker", worker_command(), more, log)

    def beat(self, *, log: Path | None = None, **more: str) -> Running:
        return self._spawn("beat", beat_command(), more, log)

    @contextmanager
    def working(
        self, *, workers: int = 1, beats: int = 1, log: Path | None = None, **more: str
    ) -> Iterator[list[Running]]:
        """Workers and schedulers, in this order, that consume and tick; ended afterwards."""
        running = [self.worker(log=log, **more) for _ in range(workers)]
        running += [self.beat(log=log, **more) for _ in range(beats)]
        try:
            yield running
        finally:
            for process in running:
                process.send(signal.SIGTERM)
            for process in running:
                process.stop(signal.SIGTERM, STOP_SECONDS["worker"])

    @contextmanager
    def web(self, **more: str) -> Iterator[Web]:
        port = free_port()
        options = Options(state=self.state, host="127.0.0.1", port=port)
        running = self._spawn("web", web_command(options), {**WEB_SETTINGS, **more})
        web = Web(running, port, self._token)
        try:
            assert wait_until(lambda: web.status() == 200, READY_SECONDS), self.log("web")
            yield web
        finally:
            running.stop(signal.SIGTERM, STOP_SECONDS["web"])

    def sync_command(self, *units: Unit) -> list[str]:
        chosen = [word for unit in units for word in ("--device", key_of(unit))]
        return [sys.executable, "manage.py", "sync_devices", "--json", *chosen]

    def start_sync(self, *units: Unit) -> subprocess.Popen[str]:
        """The sync in a process of its own, to be killed."""
        return subprocess.Popen(
            self.sync_command(*units), cwd=ROOT, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def sync(self, *units: Unit) -> list[dict[str, Any]]:
        """One visit to each, to its end; the reports."""
        done = subprocess.run(
            self.sync_command(*units), cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=90,
            check=False,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()]

    def django(self, source: str, *arguments: str) -> str:
        """Run a few lines inside the platform, in a process of their own; gives what they print."""
        return self.finish([sys.executable, "-c", _DJANGO, source, *arguments])

    def finish(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self, key: str) -> str:
        path = self.state.log / f"{key}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _spawn(self, key: str, command: Sequence[str], more: Mapping[str, str], log: Path | None = None) -> Running:
        log = log or self.state.log / f"{key}.log"
        return spawn(command, environ={**self.environ, **more}, log=log, cwd=ROOT, user={})

    # -- stores

    def query(self, sql: str, *values: object, superuser: bool = False) -> list[tuple[Any, ...]]:
        url = self.postgres.superuser_url if superuser else self.postgres.url
        with closing(psycopg2.connect(url, connect_timeout=5)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def execute(self, sql: str, *values: object, superuser: bool = False) -> None:
        self.query(sql, *values, superuser=superuser)

    @contextmanager
    def holding(self, sql: str, *values: object) -> Iterator[Callable[[], None]]:
        """A lock that another session holds; gives the function that lets go of it."""
        with closing(psycopg2.connect(self.postgres.url, connect_timeout=5)) as connection:
            connection.cursor().execute(sql, values or None)
            yield connection.rollback

    def waiting_for_the_turn(self) -> int:
        """How many sessions stand in the queue of writers."""
        rows = self.query(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND (classid::bigint << 32 | objid::bigint) = %s",
            TURN,
        )
        return int(rows[0][0])

    def messages(self) -> int:
        """How many messages wait in the broker."""
        with redis.Redis.from_url(self.redis.url, socket_timeout=5) as client:
            waiting = client.llen("celery")
            assert isinstance(waiting, int)
            return waiting

    def flush_broker(self) -> None:
        with redis.Redis.from_url(self.redis.url, socket_timeout=5) as client:
            client.flushall()


@contextmanager
def brought_up(base: Mapping[str, str]) -> Iterator[Stack]:
    with throwaway_state() as state:
        stack = Stack(state, base)
        with stack.up():
            yield stack


class Doorman:
    """Stands where PostgreSQL was, turns everybody away and counts who came."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._tallies: list[Counter[int]] = []

    @contextmanager
    def counting(self, knocks: Counter[int]) -> Iterator[None]:
        """Who comes meanwhile, by process id."""
        self._tallies.append(knocks)
        yield
        self._tallies.remove(knocks)

    def __enter__(self) -> Doorman:
        self._path.unlink(missing_ok=True)
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(self._path))
        self._path.chmod(0o777)
        self._door.listen(256)
        self._thread = threading.Thread(target=self._stand, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._door.close()
        self._path.unlink()

    def _stand(self) -> None:
        while True:
            try:
                visitor, _ = self._door.accept()
            except OSError:  # the door was closed
                return
            with visitor:
                credentials = visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                for knocks in self._tallies:
                    knocks[int.from_bytes(credentials[:4], sys.byteorder)] += 1


def key_of(unit: Unit) -> str:
    return unit.spec.serial.lower()


def eventually(holds: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it comes true in time; a store that is just coming back counts as not yet."""

    def answer() -> bool:
        try:
            return holds()
        except psycopg2.OperationalError:
            return False

    return wait_until(answer, seconds)
