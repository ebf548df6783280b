"""Rows 15, 16 and 23 of the fault matrix: processes are killed, and nothing is lost, doubled or left waiting."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from iclock.domain.ingest import ROWS_PER_TURN
from tests.faults.stack import TURN, Stack, Unit, eventually, key_of
from zkbio.launcher.roles import WEB_WORKERS

LEASE_SECONDS = 61
TAKE_THE_TURN = "SELECT pg_advisory_xact_lock(%s)"


def assert_the_next_visit_brings_everything(stack: Stack, unit: Unit) -> None:
    stack.elapse(LEASE_SECONDS)  # the killed process can't give its lease back
    (report,) = stack.sync(unit)
    assert (report["outcome"], report["error"]) == ("ok", "")
    stack.assert_equal_to_the_ledgers([unit])
    assert [outcome for outcome, _ in stack.runs(unit)] == ["ok"]


def test_row_15_a_sync_killed_before_its_commit_leaves_nothing_and_loses_nothing(stack: Stack) -> None:
    with stack.units(1, punches=3_000) as (unit,):
        with stack.holding(TAKE_THE_TURN, TURN), stack.start_sync(unit) as doomed:
            assert eventually(lambda: stack.waiting_for_the_turn() == 1)
            doomed.kill()
        assert eventually(lambda: stack.waiting_for_the_turn() == 0)

        assert stack.stored(unit) == 0
        assert_the_next_visit_brings_everything(stack, unit)


def test_row_15_a_sync_killed_between_two_commits_keeps_the_first_and_brings_the_rest(stack: Stack) -> None:
    with stack.units(1, punches=2 * ROWS_PER_TURN + 1) as (unit,):
        with stack.holding(TAKE_THE_TURN, TURN) as let_go, stack.start_sync(unit) as doomed:
            assert eventually(lambda: stack.waiting_for_the_turn() == 1)
            behind = _queue_up(stack)
            assert eventually(lambda: stack.waiting_for_the_turn() == 2)
            let_go()  # the sync has its turn, then we have ours, and it waits for its second
            assert eventually(lambda: stack.stored(unit) == ROWS_PER_TURN and stack.waiting_for_the_turn() == 1)
            doomed.kill()
            doomed.wait(timeout=10)
            behind.set()
        assert eventually(lambda: stack.waiting_for_the_turn() == 0)

        assert stack.stored(unit) == ROWS_PER_TURN
        assert_the_next_visit_brings_everything(stack, unit)


def _queue_up(stack: Stack) -> threading.Event:
    """Stand in the queue of writers, and keep the turn until the event is set."""
    done = threading.Event()

    def stand() -> None:
        with stack.holding(TAKE_THE_TURN, TURN):
            done.wait(60)

    threading.Thread(target=stand, daemon=True).start()
    return done


def test_row_15_a_sync_killed_right_after_its_commit_has_stored_everything_once(stack: Stack) -> None:
    """What follows the COMMIT is the run: held up here, so that the process dies in between."""
    with stack.units(1, punches=3_000) as (unit,):
        with (
            stack.holding("LOCK TABLE devices_syncrun IN EXCLUSIVE MODE"),
            stack.start_sync(unit) as doomed,
        ):
            assert eventually(lambda: stack.stored(unit) == 3_000)
            doomed.kill()
            doomed.wait(timeout=10)
        assert stack.runs(unit) == []

        stack.elapse(LEASE_SECONDS)
        (report,) = stack.sync(unit)

        # The cursor moved with the rows, so the log is known: it isn't even downloaded.
        assert (report["outcome"], report["new"]) == ("unchanged", 0)
        stack.assert_equal_to_the_ledgers([unit])


def test_row_16_a_killed_web_worker_is_replaced_and_nobody_waits_for_it(stack: Stack) -> None:
    with stack.web() as web:
        assert eventually(lambda: len(web.workers()) == WEB_WORKERS)
        victim = min(web.workers())
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda _: web.status(), range(40)))

        # A request that the victim had taken is cut; the others are answered.
        assert answers.count(200) >= 38, answers
        assert time.monotonic() - began < 20
        assert eventually(lambda: len(web.workers()) == WEB_WORKERS and victim not in web.workers(), 10)
        assert web.status() == 200


def test_row_23_a_killed_scheduler_is_started_again_and_polling_goes_on(stack: Stack) -> None:
    with stack.units(2, punches=10) as units, stack.working() as (_, beat):
        assert eventually(lambda: stack.holds_all_of(units))
        beat.send(signal.SIGKILL)
        assert beat.wait(5)
        for unit in units:
            unit.punch("1001")

        heir = stack.beat()

        try:
            assert eventually(lambda: stack.holds_all_of(units))
            stack.assert_equal_to_the_ledgers(units)
        finally:
            heir.stop(signal.SIGTERM, 5)


def test_row_23_two_schedulers_visit_no_device_more_often_than_it_is_due(stack: Stack) -> None:
    interval, visits = 2, 4
    with stack.units(3, punches=10) as units:
        keys = [key_of(unit) for unit in units]
        stack.execute("UPDATE devices_device SET interval = %s WHERE key = ANY(%s)", interval, keys)
        with stack.working(workers=2, beats=2) as running:
            assert eventually(lambda: stack.holds_all_of(units))
            assert eventually(lambda: min(len(stack.runs(unit)) for unit in units) >= visits)
            gaps = stack.query(
                "SELECT min(gap) FROM (SELECT extract(epoch FROM started_at - lag(finished_at)"
                " OVER (PARTITION BY device_id ORDER BY started_at)) AS gap FROM devices_syncrun"
                " JOIN devices_device d ON d.id = device_id WHERE d.key = ANY(%s)) AS gaps",
                keys,
            )
            assert all(psutil.pid_exists(process.pid) for process in running)

        # The interval is spread by a tenth either way.
        assert float(gaps[0][0]) >= interval * 0.9
        stack.assert_equal_to_the_ledgers(units)
