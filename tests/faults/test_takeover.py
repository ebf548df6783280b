"""Row 17 of the fault matrix: the worker dies in the middle of a pull, and another has the terminal again."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devices.protocol import CMD_READ_BUFFER
from devices.simulator.faults import Drip, Faults, Latency
from tests.faults.stack import Stack, Unit, eventually

PUNCHES = 20_000
LEASE_SECONDS = 60
BAR_SECONDS = 90


@contextmanager
def orphaned(stack: Stack, *, tick: int = 1) -> Iterator[tuple[Unit, float]]:
    """A terminal whose worker was killed in mid-pull, and when; nobody but a scheduler runs."""
    with stack.units(1, punches=PUNCHES) as (unit,), stack.working(workers=0, TICK_SECONDS=str(tick)):
        unit.faults = Faults(Latency(seconds=0.1), Drip(command=CMD_READ_BUFFER, size=1024, seconds=0.2))
        doomed = stack.worker()
        assert eventually(lambda: CMD_READ_BUFFER in unit.commands())
        doomed.send(signal.SIGKILL)
        assert doomed.wait(5)
        doomed.collect()
        killed = time.monotonic()
        unit.faults = Faults()
        assert (stack.stored(unit), stack.runs(unit)) == (0, [])
        yield unit, killed


@pytest.mark.long
def test_row_17_a_worker_started_anew_reads_the_terminal_once_the_lease_is_over(stack: Stack) -> None:
    """The minute of the lease passes by the database's clock; the last test waits for it."""
    with orphaned(stack) as (unit, _), stack.working(beats=0):
        stack.elapse(LEASE_SECONDS)

        assert eventually(lambda: stack.holds_all_of([unit]))
        stack.assert_equal_to_the_ledgers([unit])


def test_row_17_a_worker_that_runs_already_takes_over(stack: Stack) -> None:
    with stack.units(1, punches=10) as (bystander,), orphaned(stack) as (unit, _), stack.working(beats=0):
        assert eventually(lambda: stack.holds_all_of([bystander]))
        assert stack.stored(unit) == 0, "the lease keeps everybody off"
        stack.elapse(LEASE_SECONDS)

        assert eventually(lambda: stack.holds_all_of([unit]))
        stack.assert_equal_to_the_ledgers([unit, bystander])


@pytest.mark.long
@pytest.mark.timeout(240)
def test_row_17_all_rows_are_there_within_ninety_seconds_of_the_kill(stack: Stack) -> None:
    """Nothing scaled: a lease of a minute, a tick of five seconds."""
    with orphaned(stack, tick=5) as (unit, killed), stack.working(beats=0):
        assert eventually(lambda: stack.holds_all_of([unit]), 2 * BAR_SECONDS)
        taken = time.monotonic() - killed

        print(f"taken over and read {taken:.1f} s after the kill")  # noqa: T201 - a figure
        assert taken < BAR_SECONDS
        stack.assert_equal_to_the_ledgers([unit])
