"""A seeded soak of units that dial: whatever befalls them at random, the rows are their ledgers at the end."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import pytest

from devices.simulator import (
    PUSH_2_2,
    PUSH_2_4,
    PUSH_3,
    CutBody,
    DuplicatePost,
    ExtraLine,
    LostAnswer,
    OffLine,
    PushFault,
    PushFaults,
    RebootBeforeAnswer,
    SilentCommands,
    SimPunch,
    SlowBody,
    WrongClock,
)
from tests.faults.dialling import (
    Dialler,
    all_caught_up,
    assert_right,
    diallers,
    on_line,
    quarantined,
    without_tracebacks,
)
from tests.faults.stack import PEOPLE, Stack, Web, eventually

Draw = Callable[[random.Random], PushFault]

_BAD_LINES: Final = (
    "1001\t2026-13-01 08:00:00\t0\t1",
    "1002\tyesterday\t0\t1",
    "no TAB at all",
    "\t2026-03-02 08:00:00\t0\t1",
    "time=2026-03-02 08:00:00\tpin=1",
)
_TOLD: Final = (None, "cdata", "getrequest", "devicecmd", "ATTLOG", "rtlog", "options")
_FAULTS: Final[tuple[Draw, ...]] = (
    lambda r: LostAnswer(on=r.choice(_TOLD), nth=r.randrange(1, 4), times=r.randrange(1, 4)),
    lambda r: CutBody(nth=r.randrange(1, 3), after=r.choice((None, 0, 1, 44, 500))),
    lambda r: DuplicatePost(times=None),
    lambda r: SlowBody(bytes_per_second=r.choice((2_000.0, 20_000.0)), times=2),
    lambda r: OffLine(times=r.randrange(1, 6)),
    lambda r: ExtraLine(text=r.choice(_BAD_LINES), nth=r.randrange(1, 3)),
    lambda r: SilentCommands(times=5),
    lambda r: RebootBeforeAnswer(nth=r.randrange(1, 3)),
    lambda r: WrongClock(by_seconds=float(r.randrange(-100_000, 100_000))),
)


def soak(stack: Stack, web: Web, seed: int, *, count: int, seconds: float) -> None:
    draw = random.Random(seed)
    units = [furnish(stack, web, draw) for _ in range(count)]
    with without_tracebacks(stack), stack.working(PUSH_FEED_SECONDS="1", PUSH_LEASE_SECONDS="2"):
        deadline, day = time.monotonic() + seconds, 0
        with on_line(units):
            while time.monotonic() < deadline:
                day += 1
                for unit in units:
                    suffer(unit, draw)
                    live(unit, day, draw)
                eventually(all_caught_up(units), 1)  # most are; what is left over is part of it
            for unit in units:
                unit.faults = PushFaults()
            assert eventually(all_caught_up(units), 60), behind(units)
    check(stack, units)


def behind(units: Sequence[Dialler]) -> list[tuple[str, int, object]]:
    """Of those that have something to tell yet: how much of it was taken, and what happened last."""
    return [(unit.serial, unit.acknowledged, unit.requests[-1]) for unit in units if not unit.caught_up()]


def furnish(stack: Stack, web: Web, draw: random.Random) -> Dialler:
    """Of any generation; some have a log from before, and send a few lines at a time."""
    generation = draw.choice((PUSH_2_2, PUSH_2_4, PUSH_3))
    return diallers(
        stack, web, 1, punches=draw.choice((0, 100, 700)), generation=generation, batch=draw.choice((5, 50, 500)),
        suffix=draw.choice(("", ".aspx")), line_end=draw.choice(("\n", "\r\n")), timeout=5.0,
    )[0]  # fmt: skip


def suffer(unit: Dialler, draw: random.Random) -> None:
    """A new set of faults, or none."""
    unit.faults = PushFaults(*(draw.choice(_FAULTS)(draw) for _ in range(draw.choice((0, 1, 1, 2)))))


def live(unit: Dialler, day: int, draw: random.Random) -> None:
    """Somebody punches; now and then the unit restarts."""
    start = datetime(2026, 1, 1, 8) + timedelta(days=day % 60, seconds=draw.randrange(3_000))
    punches = [
        SimPunch(draw.choice(PEOPLE).user_id, start + timedelta(seconds=n)) for n in range(draw.randrange(0, 40))
    ]
    draw.shuffle(punches)
    unit.state.fill(punches)
    if draw.random() < 0.1:
        unit.reboot()


def check(stack: Stack, units: Sequence[Dialler]) -> None:
    assert_right(stack, units)
    for unit in units:
        assert {raw.decode() for raw, _ in quarantined(stack, unit.serial)} <= set(_BAD_LINES)
        assert not unit.forbidden


def soak_and_tell(stack: Stack, web: Web, *, count: int, seconds: float) -> None:
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**9))
    try:
        soak(stack, web, seed, count=count, seconds=seconds)
    except BaseException as error:
        error.add_note(f"the seed was {seed}: SOAK_SEED={seed} draws the same faults again")
        raise


def test_a_short_soak_of_20_units_that_dial(stack: Stack, dialled: Web) -> None:
    soak_and_tell(stack, dialled, count=20, seconds=5)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_long_soak_of_30_units_that_dial(stack: Stack, dialled: Web) -> None:
    soak_and_tell(stack, dialled, count=30, seconds=60)
