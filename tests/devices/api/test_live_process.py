"""What a real web process keeps while the logs of all devices are gathered and sent, and what ends it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.db import connection
from django.db.backends.utils import CursorWrapper

from devices.models import Device
from devices.simulator import Silent, SimulatedTerminal, TerminalSpec
from iclock.domain.ingest import TURN
from iclock.models import Transaction
from tests.devices.api.web_process import WebProcess, web_process
from tests.devices.conftest import a_log
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.launcher.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 10_000
LOG = a_log(ROWS)
# Whoever takes nothing for so long is hung up on.
SEND_SECONDS = 3


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[WebProcess]:
    with web_process(SEND_SECONDS=str(SEND_SECONDS)) as process:
        yield process


@pytest.fixture
def token(admin: User) -> str:
    return issue_token(admin)


@pytest.fixture
def fleet(add_device: Callable[..., Device]) -> Iterator[Callable[[int], list[SimulatedTerminal]]]:
    """Adds so many terminals with long logs."""
    with ExitStack() as stack:

        def add(count: int) -> list[SimulatedTerminal]:
            first = Device.objects.count()
            units = []
            for number in range(first, first + count):
                spec = TerminalSpec(serial=f"CKJF2012{number:05}", punches=LOG)
                units.append(stack.enter_context(SimulatedTerminal(spec)))
                add_device(units[-1], key=f"d{number}")
            Device.objects.update(timeout=30)
            return units

        yield add


@contextmanager
def asking(web: WebProcess, path: str, token: str) -> Iterator[socket.socket]:
    """A client that has asked, and takes hardly anything at a time."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", web.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n\r\n".encode())
        yield client


def held() -> int:
    return Device.objects.filter(lease_expires_at__isnull=False).count()


def peak_of(web: WebProcess, path: str, token: str, *, total: int) -> int:
    """The most memory that the worker had meanwhile, in MiB."""
    process = Path(f"/proc/{web.worker().pid}")
    (process / "clear_refs").write_text("5")  # forgets the peak until now
    client_of = web.get(path, token)[1]
    assert (client_of["total"], len(client_of["data"]), client_of["errors"]) == (total, total, {})
    peak = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) // 1024


def test_the_memory_of_all_logs_does_not_grow_with_the_devices(
    web: WebProcess, fleet: Callable[[int], list[SimulatedTerminal]], token: str
) -> None:
    fleet(4)
    few = peak_of(web, "/attendance/all", token, total=4 * ROWS)
    fleet(8)
    many = peak_of(web, "/attendance/all", token, total=12 * ROWS)

    assert many - few < 20  # MiB: eight logs more are 3 as they come, 9 as JSON, and 40 decoded
    assert Transaction.objects.count() == 12 * ROWS


def test_who_hangs_up_while_all_logs_are_gathered_frees_the_devices(
    web: WebProcess, fleet: Callable[[int], list[SimulatedTerminal]], token: str
) -> None:
    for unit in fleet(3):
        unit.faults.add(Silent(times=None))

    with asking(web, "/attendance/all", token):
        assert wait_until(lambda: held() == 3, 10)

    assert wait_until(lambda: held() == 0, 5)


def test_who_hangs_up_on_the_answer_or_takes_nothing_of_it_frees_its_files(
    web: WebProcess, fleet: Callable[[int], list[SimulatedTerminal]], token: str
) -> None:
    fleet(6)

    with asking(web, "/attendance/all", token) as client:
        assert (client.recv(12), web.temporary_files()) == (b"HTTP/1.1 200", 6)
    assert wait_until(lambda: web.temporary_files() == 0, SEND_SECONDS / 2)

    with asking(web, "/attendance/all", token) as client:
        assert (client.recv(12), web.temporary_files()) == (b"HTTP/1.1 200", 6)
        assert wait_until(lambda: web.temporary_files() == 0, SEND_SECONDS + 3)
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))
        assert (len(received) > 0, received.endswith(b"0\r\n\r\n")) == (True, False)


def test_a_web_process_that_stops_waits_for_no_terminal(
    fleet: Callable[[int], list[SimulatedTerminal]], token: str
) -> None:
    (unit,) = fleet(1)
    unit.faults.add(Silent(times=None))
    answers: list[int] = []
    with web_process() as web:
        client = threading.Thread(target=lambda: answers.append(web.get("/devices/d0/time", token)[0]))
        client.start()
        assert wait_until(lambda: held() == 1, 10)

        began = time.monotonic()
        web.process.terminate()
        web.process.wait(timeout=40)
        seconds = time.monotonic() - began
        client.join(timeout=10)

    assert (answers, held(), seconds < 3.5) == ([503], 0, True), seconds


def test_a_web_process_serves_others_while_it_waits_to_store(
    web: WebProcess, fleet: Callable[[int], list[SimulatedTerminal]], token: str
) -> None:
    fleet(1)
    answers: list[int] = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [TURN])  # another writer's turn
        try:
            reader = threading.Thread(target=lambda: answers.append(web.get("/devices/d0/attendance", token)[0]))
            reader.start()
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            assert wait_until(lambda: bool(cursor.execute(waiting) or cursor.fetchone()[0]), 10)

            assert (web.get("/devices", token)[0], answers) == (200, [])
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [TURN])
        reader.join(timeout=20)

    assert answers == [200]


WAITS_FOR_A_TURN = """SELECT extract(epoch FROM clock_timestamp() - query_start) FROM pg_stat_activity
JOIN pg_locks USING (pid) WHERE locktype = 'advisory' AND NOT granted"""


def test_a_log_that_was_read_waits_for_its_turn_longer_than_requests_and_their_statements_may(
    fleet: Callable[[int], list[SimulatedTerminal]], token: str
) -> None:
    fleet(1)
    answers: list[int] = []
    with web_process(DATABASE_LOCK_SECONDS="1", DATABASE_STATEMENT_SECONDS="1") as web, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [TURN])  # another writer's turn
        try:
            reader = threading.Thread(target=lambda: answers.append(web.get("/devices/d0/attendance", token)[0]))
            reader.start()
            wait_until(lambda: waits(cursor) > 2.5 or bool(answers), 10)
            assert answers == []
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [TURN])
        reader.join(timeout=20)

    assert (answers, Transaction.objects.count()) == ([200], ROWS)


def waits(cursor: CursorWrapper) -> float:
    """How long somebody has waited for a turn, in seconds."""
    cursor.execute(WAITS_FOR_A_TURN)
    return max((float(seconds) for (seconds,) in cursor.fetchall()), default=0.0)


def test_who_takes_nothing_of_a_stored_answer_keeps_no_connection(
    fleet: Callable[[int], list[SimulatedTerminal]], token: str
) -> None:
    fleet(6)
    with web_process(DATABASE_POOL="3") as web, ExitStack() as stack:
        assert web.get("/attendance/all", token)[1]["total"] == 6 * ROWS
        for _ in range(4):
            client = stack.enter_context(asking(web, "/attendance/all?source=database", token))
            assert client.recv(12) == b"HTTP/1.1 200"

        assert web.get("/devices", token)[0] == 200
