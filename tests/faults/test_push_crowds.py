"""Rows 38 and 39 of the fault matrix: units beside hundreds of slow sockets, and hundreds of units that return."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from devices.simulator import SlowBody
from tests.faults.dialling import (
    Dialler,
    all_caught_up,
    assert_right,
    bystander,
    diallers,
    head,
    on_line,
)
from tests.faults.stack import Stack, Web, eventually
from tests.faults.test_slow_sockets import SOCKETS, dripping, still_open

PATIENCE = 4.0
_REGISTER = """
import sys
from iclock.domain.terminals import add_terminal
for number in range(int(sys.argv[1])):
    add_terminal(sn=f"BACK{number:04}", alias=f"Back {number}", time_zone="UTC")
"""


@pytest.fixture(autouse=True)
def _enough_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4 * SOCKETS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8 * SOCKETS), hard))


@pytest.mark.parametrize("length", [4_000, 400_000], ids=["small posts", "large posts"])
@pytest.mark.parametrize("known", [True, False], ids=["of a unit", "of strangers"])
def test_row_38_units_are_answered_beside_five_hundred_posts_that_drip(
    stack: Stack, dialled: Web, known: bool, length: int
) -> None:
    units = diallers(stack, dialled, 10, punches=5)
    serial = stack.serials(1)[0] if known else "NOBODY"
    began = head(serial, f"Content-Length: {length}") + b"1001\t2026-03-02"
    with dripping(dialled.port, began) as sockets, ThreadPoolExecutor(len(units)) as clients:
        for count in (10, 15):
            assert max(clients.map(_seconds_of_a_round, units)) < PATIENCE
            for unit in units:
                unit.fill_to(count)
        assert max(clients.map(_seconds_of_a_round, units)) < PATIENCE
        if known or length == 4_000:
            assert still_open(sockets) == SOCKETS, "the test did not measure what it says"
    assert_right(stack, units)


def test_row_38_units_whose_own_lines_are_slow_are_waited_for(stack: Stack, dialled: Web) -> None:
    units = diallers(stack, dialled, 20, punches=100)
    for unit in units:
        unit.faults.add(SlowBody(on="ATTLOG", bytes_per_second=4_000))
    with bystander(stack, dialled):
        bring_back(units)
    assert {status for unit in units for status in unit.statuses()} <= {0, 200}, "some were turned away"
    assert_right(stack, units)


def bring_back(units: Sequence[Dialler]) -> None:
    with on_line(units):
        assert eventually(all_caught_up(units))


def _seconds_of_a_round(unit: Dialler) -> float:
    began = time.monotonic()
    happened = unit.step()
    assert happened.ok, happened.error
    return time.monotonic() - began


def test_row_39_forty_units_return_with_a_thousand_punches_each(stack: Stack, dialled: Web) -> None:
    return_together(stack, dialled, diallers(stack, dialled, 40, punches=1_000, batch=200))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_row_39_five_hundred_units_return_with_fifty_thousand_punches(stack: Stack, dialled: Web) -> None:
    stack.django(_REGISTER, "500")
    serials = [f"BACK{number:04}" for number in range(500)]
    return_together(
        stack, dialled, diallers(stack, dialled, 500, serials=serials, punches=100, batch=20), patience=10.0
    )


def return_together(stack: Stack, web: Web, units: Sequence[Dialler], *, patience: float = PATIENCE) -> None:
    """All at once; who only asks is answered meanwhile, and nobody is left behind.

    Five hundred units in one process delay each other: there the patience is that of a unit.
    """
    others = diallers(stack, web, 5)
    for other in others:
        assert other.step().ok
    slowest, halfway = 0.0, 0
    half = sum(len(unit.state.ledger()) for unit in units) // 2
    with on_line(units), ThreadPoolExecutor(len(others)) as clients:
        end = time.monotonic() + 300
        while not all_caught_up(units)():
            assert time.monotonic() < end
            slowest = max(slowest, *clients.map(_seconds_of_a_round, others))
            if not halfway and sum(unit.acknowledged for unit in units) >= half:
                halfway = sum(unit.acknowledged > 0 for unit in units)
    assert slowest < patience
    assert halfway >= len(units) * 9 // 10, "some had everything taken and others nothing yet"
    assert {status for unit in units for status in unit.statuses()} <= {0, 200}, "some were turned away"
    assert_right(stack, units)
