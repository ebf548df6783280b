"""What a log that isn't as it was says about the punches that nobody read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from devices.domain.memory import Loss, known_bytes, loss_of, remember
from devices.driver.tables import Rows
from devices.driver.unit import Sizes
from devices.models import Device
from devices.protocol import PUNCH_8, PUNCH_16, PUNCH_40, encode_time

MORNING = datetime(2026, 3, 2, 8)
ROOM = 100


def log(width: int, *numbers: int, uid: int = 1) -> Rows:
    """One row for each number: its minute."""
    packers: dict[int, Callable[[int], bytes]] = {
        8: lambda moment: PUNCH_8.pack(uid, 1, moment, 0),
        16: lambda moment: PUNCH_16.pack(7, moment, 1, 0, 0),
        40: lambda moment: PUNCH_40.pack(uid, b"7", 1, moment, 0, b""),
    }
    pack = packers[width]
    return Rows(width, b"".join(pack(encode_time(MORNING + timedelta(minutes=number))) for number in numbers))


def device_that_read(rows: Rows) -> Device:
    columns = {name: value for name, value in remember(rows).items() if name != "log_read_at"}
    return Device(**columns)


def loss(before: Rows, now: Rows, *, room: int = ROOM) -> Loss | None:
    free = max(0, room - len(now))
    return loss_of(device_that_read(before), Sizes(0, 0, 0, len(now), room, free), now)


every_width = pytest.mark.parametrize("width", [8, 16, 40])


@every_width
def test_a_log_that_grew_or_dropped_what_was_read_lost_nothing(width: int) -> None:
    before = log(width, *range(ROOM))

    assert loss(before, log(width, *range(ROOM))) is None
    assert loss(before, log(width, *range(ROOM + 5)), room=2 * ROOM) is None
    assert loss(before, log(width, *range(60, 60 + ROOM))) is None
    assert loss(before, log(width, *range(ROOM - 1, 2 * ROOM - 1))) is None, "its last punch is still there"


@every_width
def test_a_unit_that_drops_its_oldest_thousand_at_once_was_not_cleared(width: int) -> None:
    assert loss(log(width, *range(ROOM)), log(width, *range(80, ROOM))) is None


@every_width
def test_fewer_rows_and_none_of_the_last_is_a_cleared_log(width: int) -> None:
    before = log(width, *range(ROOM))

    assert loss(before, Rows(0, b"")) is Loss.CLEARED
    assert loss(before, log(width, 200, 201)) is Loss.CLEARED
    assert loss(before, log(width, 200, 201), room=0) is Loss.CLEARED


@every_width
def test_a_log_that_was_cleared_and_filled_again_is_a_cleared_one(width: int) -> None:
    assert loss(log(width, *range(50)), log(width, *range(200, 250))) is Loss.CLEARED
    assert loss(log(width, *range(50)), log(width, *range(200, 260))) is Loss.CLEARED


@every_width
def test_a_full_log_without_any_of_its_last_rows_overran(width: int) -> None:
    before = log(width, *range(ROOM))

    assert loss(before, log(width, *range(ROOM, 2 * ROOM))) is Loss.OVERRUN
    assert loss(before, log(width, *range(ROOM, 2 * ROOM)), room=0) is Loss.OVERRUN


def test_rows_whose_uids_were_given_anew_are_the_same_punches() -> None:
    assert loss(log(40, *range(ROOM), uid=1), log(40, *range(50, 50 + ROOM), uid=2)) is None


@every_width
def test_nothing_is_lost_where_nothing_is_remembered(width: int) -> None:
    assert loss(Rows(0, b""), log(width, 1, 2)) is None


def test_a_firmware_that_writes_rows_in_another_width_cleared_nothing() -> None:
    assert loss(log(16, *range(ROOM)), log(40, *range(ROOM))) is None
    assert loss(log(16, *range(ROOM)), log(40, 200)) is Loss.CLEARED


@every_width
def test_punches_in_front_of_the_last_ones_that_were_read_are_news(width: int) -> None:
    """A log that was cleared, filled, and holds the same last row once more."""
    device = device_that_read(log(width, 5))

    assert known_bytes(device, log(width, 4, 5)) == 0
    assert known_bytes(device, log(width, 5, 6)) == width


@every_width
def test_a_log_that_dropped_its_first_punches_is_known_up_to_where_it_was_read(width: int) -> None:
    device = device_that_read(log(width, *range(ROOM)))

    assert known_bytes(device, log(width, *range(40, 40 + ROOM))) == 60 * width
