"""Rows 18 to 22 and 42 of the fault matrix: PostgreSQL and Redis are stopped, refuse, or forget; disks are full."""

from __future__ import annotations

import html
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from devices.protocol import CMD_READ_BUFFER
from devices.simulator.faults import Close, Faults, Latency
from tests.faults.stack import MORNING, TURN, Doorman, Stack, Unit, Web, eventually
from zkbio.celery import app as celery
from zkbio.launcher.processes import wait_until

LEASE_SECONDS = 61
SENTENCE = "The database doesn't answer at the moment. Nothing was changed; please try again."
OFTEN = {"TICK_SECONDS": "2", "KNOCK_SECONDS": "10", "PUSH_FEED_SECONDS": "10"}


def test_row_18_a_postgresql_that_dies_in_a_merge_loses_and_doubles_nothing(stack: Stack) -> None:
    with stack.units(1, punches=3_000) as (unit,):
        with stack.holding("SELECT pg_advisory_xact_lock(%s)", TURN), stack.start_sync(unit) as sync:
            assert eventually(lambda: stack.waiting_for_the_turn() == 1)
            stack.postgres.stop_immediately()
            said, _ = sync.communicate(timeout=60)
        assert sync.returncode == 1
        assert '"outcome": "failed"' in said, said
        stack.postgres.start()
        assert stack.stored(unit) == 0
        stack.elapse(LEASE_SECONDS)

        assert [report["outcome"] for report in stack.sync(unit)] == ["ok"]
        stack.assert_equal_to_the_ledgers([unit])


def test_row_18_a_postgresql_that_dies_between_two_turns_keeps_what_it_committed(stack: Stack) -> None:
    with stack.units(1, punches=60_000) as (unit,):
        with stack.start_sync(unit) as sync:
            assert eventually(lambda: stack.stored(unit) > 0)
            stack.postgres.stop_immediately()
            sync.communicate(timeout=60)
        stack.postgres.start()
        kept = stack.stored(unit)
        assert kept % 5_000 == 0
        assert 0 < kept < 60_000
        stack.elapse(LEASE_SECONDS)

        (report,) = stack.sync(unit)

        assert (report["outcome"], report["new"], report["duplicate"]) == ("ok", 60_000 - kept, kept)
        stack.assert_equal_to_the_ledgers([unit])


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(6, id="scaled"),
        pytest.param(600, id="ten minutes", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_row_19_while_postgresql_is_away_nobody_storms_and_afterwards_nobody_is_needed(
    stack: Stack, seconds: int
) -> None:
    """Ticks of two seconds instead of five, and knocks that fall at most once into the time; a client asks ten times a
    second."""
    with stack.units(3, punches=100) as units, stack.web() as web, stack.working(**OFTEN) as programs:
        assert eventually(lambda: stack.holds_all_of(units))
        web_workers = set(web.workers())
        stack.postgres.stop_immediately()
        with Doorman(stack.postgres.socket_dir() / ".s.PGSQL.5432") as doorman:
            assert wait_until(lambda: web.get().status_code == 503, 10)
            knocks = Counter[int]()
            with doorman.counting(knocks):
                answers = ask_again_and_again(web, seconds)
            page = web.get("/admin/", Cookie=f"sessionid={'a' * 32}")

        assert answers == {(503, SENTENCE)}
        assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
        assert SENTENCE in html.unescape(page.text)
        assert knocks, "nobody knocked, so nothing was measured"
        assert max(knocks.values()) < seconds, f"connects in {seconds} s, by process: {knocks}"
        for unit in units:
            unit.punch("1001")
        stack.postgres.start()
        stack.elapse(LEASE_SECONDS)

        assert eventually(lambda: stack.holds_all_of(units))
        assert wait_until(lambda: web.status() == 200, 10)
        assert [program.alive() for program in programs] == [True, True]
        assert set(web.workers()) == web_workers
        stack.assert_equal_to_the_ledgers(units)


def ask_again_and_again(web: Web, seconds: float) -> set[tuple[int, str]]:
    """What a client that asks ten times a second is told."""
    end, told = time.monotonic() + seconds, set()

    def asked() -> bool:
        answer = web.get()
        told.add((answer.status_code, answer.json()["detail"]))
        return time.monotonic() >= end

    assert wait_until(asked, seconds + 10)
    return told


def test_row_20_a_database_that_turned_read_only_in_mid_visit_is_said_and_nothing_is_lost(stack: Stack) -> None:
    with stack.units(1, punches=3_000) as (unit,):
        unit.faults = Faults(Latency(command=CMD_READ_BUFFER, seconds=1.0, times=1))
        with stack.start_sync(unit) as sync:
            assert eventually(lambda: CMD_READ_BUFFER in unit.commands())
            stack.execute("ALTER DATABASE zkbio SET default_transaction_read_only = on", superuser=True)
            said, _ = sync.communicate(timeout=60)
        stack.execute("ALTER DATABASE zkbio RESET default_transaction_read_only", superuser=True)

        assert '"outcome": "failed"' in said, said
        assert "in a read-only transaction" in said
        assert stack.stored(unit) == 0
        assert_the_next_visit_brings_everything(stack, unit)


def test_row_20_a_lock_that_is_not_given_is_said_in_the_run_and_nothing_is_lost(stack: Stack) -> None:
    with stack.units(1, punches=3_000) as (unit,):
        with stack.holding("LOCK TABLE iclock_transaction IN ACCESS EXCLUSIVE MODE"):
            (report,) = stack.sync(unit)

        assert report["outcome"] == "failed"
        ((outcome, sentence),) = stack.runs(unit)
        assert (outcome, sentence) == ("failed", report["error"])
        assert "lock timeout" in sentence
        assert_the_next_visit_brings_everything(stack, unit)


def test_row_20_a_full_disk_is_said_in_the_run_and_nothing_is_lost(stack: Stack) -> None:
    with stack.units(1, punches=60_000) as (unit,), small_disk(stack) as make_room:
        (report,) = stack.sync(unit)
        assert report["outcome"] == "failed"
        ((_, sentence),) = stack.runs(unit)
        assert "No space left on device" in sentence

        make_room()

        assert_the_next_visit_brings_everything(stack, unit)


@contextmanager
def small_disk(stack: Stack) -> Iterator[Callable[[], None]]:
    """The table of punches on a disk with room for two megabytes more; gives the function that enlarges it."""
    disk = stack.state.root / "small"
    disk.mkdir()
    used = stack.query("SELECT pg_table_size('iclock_transaction')")[0][0]
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={used + 2 * 2**20}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True, check=False).returncode:
        disk.rmdir()
        pytest.skip("only root may mount a small disk")
    try:
        owner = stack.postgres.owner
        os.chown(disk, owner.uid if owner.is_other else os.getuid(), owner.gid if owner.is_other else os.getgid())
        stack.execute(f"CREATE TABLESPACE small LOCATION '{disk}'", superuser=True)
        _move(stack, "small")
        yield lambda: _finish(["mount", "-o", "remount,size=1g", str(disk)])
        _move(stack, "pg_default")
        stack.execute("DROP TABLESPACE small", superuser=True)
    finally:
        _finish(["umount", "--lazy", str(disk)])
        disk.rmdir()


def _move(stack: Stack, tablespace: str) -> None:
    """Only a superuser may use that tablespace, and only in its own database may it do so."""
    url = stack.postgres.superuser_url.rpartition("/")[0] + "/zkbio"
    with closing(psycopg2.connect(url, connect_timeout=5)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"ALTER TABLE iclock_transaction SET TABLESPACE {tablespace}")


def _finish(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=20)


def test_row_21_a_broker_that_forgot_every_message_costs_only_time(stack: Stack) -> None:
    with stack.units(5, punches=100) as units:
        stack.flush_broker()
        stack.django("from devices.tasks import claim_due; claim_due()")
        assert stack.messages() == len(units)

        stack.flush_broker()
        stack.elapse(LEASE_SECONDS)

        with stack.working():
            assert eventually(lambda: stack.holds_all_of(units))
            stack.assert_equal_to_the_ledgers(units)


def test_row_21_a_broker_flushed_again_and_again_under_a_running_worker_stops_nothing(stack: Stack) -> None:
    with stack.units(3, punches=100) as units, stack.working() as programs:
        for expected in (101, 102, 103):
            for unit in units:
                unit.punch("1001", at=MORNING + timedelta(days=1, seconds=expected))
            stack.flush_broker()
            stack.elapse(LEASE_SECONDS)
            assert eventually(lambda: stack.holds_all_of(units))

        assert [program.alive() for program in programs] == [True, True]
        stack.assert_equal_to_the_ledgers(units)


def test_row_22_without_redis_the_web_reads_and_polling_resumes_by_itself(stack: Stack) -> None:
    with stack.units(3, punches=100) as units, stack.web() as web, stack.working() as programs:
        assert eventually(lambda: stack.holds_all_of(units))
        stack.redis.stop_immediately()
        for unit in units:
            unit.punch("1001")
        answers = {web.status() for _ in range(20)}
        late = [stack.worker(), stack.beat()]
        try:
            assert wait_until(lambda: "Cannot connect to redis" in stack.log("worker"), 30)
            assert wait_until(lambda: "Connection error" in stack.log("beat"), 30)
            stack.redis.start()
            stack.elapse(LEASE_SECONDS)

            assert eventually(lambda: stack.holds_all_of(units), 60)
            assert answers == {200}
            assert [program.alive() for program in [*programs, *late]] == [True] * 4
            stack.assert_equal_to_the_ledgers(units)
        finally:
            for program in late:
                program.stop(signal.SIGTERM, 6)


def test_row_22_however_long_redis_is_away_nobody_gives_up() -> None:
    assert celery.conf.broker_connection_retry_on_startup is True
    assert celery.conf.broker_connection_max_retries is None


def test_row_22_doubled_messages_store_nothing_twice(stack: Stack) -> None:
    with stack.units(3, punches=3_000) as units, stack.working(beats=0):
        send = "import sys; from devices.tasks import sync_device\n"
        send += "for word in sys.argv[1:]: sync_device.delay(device_id=int(word))"
        stack.django(send, *[str(number) for number in stack.device_ids(units) * 4])

        assert eventually(lambda: stack.holds_all_of(units))
        assert eventually(lambda: stack.messages() == 0)
        stack.assert_equal_to_the_ledgers(units)


def test_row_42_a_full_log_disk_stops_no_punch(stack: Stack) -> None:
    """Everything that worker and scheduler write into files fails as on a full disk."""
    full = Path("/dev/full")
    with stack.units(2, punches=100) as units:
        with stack.working(log=full, MEDIA_ROOT=str(full / "media")) as programs:
            units[0].faults = Faults(Close(nth=3))  # something to complain about
            assert eventually(lambda: stack.holds_all_of(units), 60)
            assert [program.alive() for program in programs] == [True, True]
        stack.assert_equal_to_the_ledgers(units)


def assert_the_next_visit_brings_everything(stack: Stack, unit: Unit) -> None:
    stack.elapse(LEASE_SECONDS)
    (report,) = stack.sync(unit)
    assert (report["outcome"], report["error"]) == ("ok", "")
    stack.assert_equal_to_the_ledgers([unit])
