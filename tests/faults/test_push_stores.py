"""Rows 16, 19, 22, 42 and 43 of the fault matrix for units that dial: what is acknowledged is there, whatever dies."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.faults.dialling import (
    Dialler,
    all_caught_up,
    assert_right,
    diallers,
    identities,
    on_line,
    stored,
)
from tests.faults.stack import MORNING, Stack, Web, eventually
from zkbio.launcher.processes import wait_until

KILLS = 10


def test_row_16_no_acknowledged_row_is_lost_when_the_web_worker_dies_right_behind_its_answer(
    stack: Stack, dialled: Web
) -> None:
    (serial,) = stack.serials(1)
    acknowledged = [post_and_kill(dialled, serial, number) for number in range(KILLS)]
    assert identities(stack, serial) == acknowledged
    assert eventually(lambda: len(dialled.workers()) == 2)


def post_and_kill(web: Web, serial: str, number: int) -> tuple[str, object]:
    """The identity of a punch that was answered, by a worker that was then killed at once."""
    moment = MORNING + timedelta(minutes=number)
    line = HTTPConnection("127.0.0.1", web.port, timeout=20)
    with contextlib.closing(line):
        line.connect()
        here = line.sock.getsockname()
        line.request("POST", f"/iclock/cdata?SN={serial}&table=ATTLOG&Stamp=1", f"1001\t{moment}\t0\t1\n")
        with line.getresponse() as answer:
            told = answer.read()
            server = _who_holds(web, here)
            server.send_signal(signal.SIGKILL)
    assert told.strip() == b"OK: 1", told
    server.wait(timeout=10)
    return "1001", moment


def _who_holds(web: Web, caller: tuple[str, int]) -> psutil.Process:
    """The worker at the other end of this line, which is kept open for the next request."""
    for worker in web.workers().values():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(tuple(line.raddr) == caller for line in worker.net_connections("tcp") if line.raddr):
                return worker
    raise AssertionError("no worker answered")


def test_row_19_while_postgresql_is_away_units_are_told_to_come_again_and_then_bring_everything(
    stack: Stack, dialled: Web
) -> None:
    units = diallers(stack, dialled, 6, punches=100)
    with on_line(units):
        assert eventually(all_caught_up(units))
        stack.postgres.stop_immediately()
        for unit in units:
            unit.fill_to(300)
        try:
            assert wait_until(lambda: all(503 in unit.statuses() for unit in units), 20)
            last = [unit.requests[-1] for unit in units]
        finally:
            stack.postgres.start()
        assert eventually(all_caught_up(units))
    assert {exchange.status for exchange in last} <= {0, 503}
    assert all(b"OK" not in exchange.answer for unit in units for exchange in unit.requests if exchange.status != 200)
    assert {status for unit in units for status in unit.statuses()} <= {0, 200, 503}
    assert_right(stack, units)


def test_row_22_without_redis_every_punch_is_stored_and_every_heartbeat_answered(stack: Stack, dialled: Web) -> None:
    units = diallers(stack, dialled, 4, punches=50)
    stack.redis.stop_immediately()
    try:
        for unit in units:
            for count in (100, 150):
                happened = unit.step()
                assert happened.ok, happened.error
                unit.fill_to(count)
            assert unit.step().ok
        assert_right(stack, units)
    finally:
        stack.redis.start()
    assert {status for unit in units for status in unit.statuses()} == {200}


def test_row_42_photos_wait_for_room_on_their_disk_and_punches_do_not(stack: Stack, dialled: Web) -> None:
    unit, other = diallers(stack, dialled, 2, punches=100)
    with full_disk(stack.state.media):
        unit.take_photo("1001", a_photo())
        for _ in range(2):
            happened = unit.step()
            assert "503" in happened.error
            assert "getrequest" in happened.exchanges[-1].target, "it may not even ask what it is to do"
            unit.fill_to(200)
        assert other.step().ok
        assert_right(stack, [other])
        assert stored(stack, [unit]) == 200
        assert photos(stack, unit) == 0
    assert unit.step().ok
    assert photos(stack, unit) == 1
    assert len([path for path in stack.state.media.rglob("*.bin") if path.is_file()]) == 1
    assert_right(stack, [unit])


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A disk without room, mounted over the folder meanwhile."""
    mounting = ["mount", "-t", "tmpfs", "-o", "size=4096,mode=0777", "tmpfs", str(folder)]
    if subprocess.run(mounting, capture_output=True, check=False, timeout=20).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


def a_photo() -> bytes:
    """Noise, which can't be packed into a few bytes."""
    noise = Image.frombytes("RGB", (120, 160), random.Random(7).randbytes(120 * 160 * 3))
    written = BytesIO()
    noise.save(written, "JPEG")
    return written.getvalue()


def photos(stack: Stack, unit: Dialler) -> int:
    rows = stack.query(
        "SELECT count(*) FROM iclock_terminalphoto p JOIN iclock_terminal t ON t.id = p.terminal_id WHERE t.sn = %s",
        unit.serial,
    )
    return int(rows[0][0])


def test_row_43_a_lock_on_the_table_of_punches_turns_posts_away_and_holds_up_nobody_else(
    stack: Stack, dialled: Web
) -> None:
    units, others = diallers(stack, dialled, 30, punches=100), diallers(stack, dialled, 3)
    slowest, turned_away = 0.0, set[str]()
    with on_line(units):
        assert eventually(all_caught_up(units))
        with stack.holding("LOCK TABLE iclock_transaction IN ACCESS EXCLUSIVE MODE") as let_go:
            for number, unit in enumerate(units):
                unit.fill_to(150 if number % 2 else 101)  # these share a COMMIT, those have one of their own
            end = time.monotonic() + 20
            while len(turned_away) < 6:
                assert time.monotonic() < end, "nobody was turned away"
                slowest = max(slowest, *map(_seconds_of_a_heartbeat, others), _seconds_of_a_page(dialled))
                turned_away = {unit.serial for unit in units if 503 in unit.statuses()}
            assert {unit.acknowledged for unit in units} == {100}
            let_go()
        assert eventually(all_caught_up(units))
    assert slowest < 2.0
    assert {status for unit in units for status in unit.statuses()} <= {0, 200, 503}
    assert_right(stack, [*units, *others])


def _seconds_of_a_heartbeat(unit: Dialler) -> float:
    began = time.monotonic()
    happened = unit.step()
    assert happened.ok, happened.error
    return time.monotonic() - began


def _seconds_of_a_page(web: Web) -> float:
    began = time.monotonic()
    assert web.status() == 200
    return time.monotonic() - began
