"""A decoded punch as bytes and back, for the quarantine."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from iclock.punch import Punch, punch_from_bytes, punch_to_bytes


def test_a_punch_is_kept_as_a_line_of_json() -> None:
    punch = Punch("7\0", datetime(2026, 3, 2, 9), 0, 1)

    assert punch_to_bytes(punch) == b'{"punch": ["7\\u0000", "2026-03-02T09:00:00", 0, 1, null]}'


def test_what_was_not_always_told_stands_there_only_where_it_is() -> None:
    punch = Punch("7", datetime(2026, 3, 2, 9), 0, 1, None, None, 36.6)

    assert punch_to_bytes(punch) == b'{"punch": ["7", "2026-03-02T09:00:00", 0, 1, null, null, 36.6]}'


@pytest.mark.parametrize(
    "punch",
    [
        Punch("7", datetime(2026, 3, 2, 9), 0, 1, "5", 1, 36.6),
        Punch("7", datetime(2026, 3, 2, 9), 0, 1, None, 255),
        Punch("", datetime(2026, 3, 2, 9), 0, 1),
        Punch("1\udcff", datetime(2026, 3, 2, 9, 0, 1), 40_000, -5, "w" * 30),
        Punch("ü", datetime(2026, 3, 2, 9, tzinfo=UTC), 0, 1),
    ],
)
def test_a_kept_punch_is_read_again_as_it_was(punch: Punch) -> None:
    assert punch_from_bytes(punch_to_bytes(punch)) == punch


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"7\t2026-03-02 09:00:00",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"punch": 7}',
        b'{"punch": ["7", "2026-02-31T09:00:00", 0, 1, null]}',
        b'{"punch": [7, "2026-03-02T09:00:00", 0, 1, null]}',
        b'{"punch": ["7", "2026-03-02T09:00:00", true, 1, null]}',
        b'{"punch": ["7", "2026-03-02T09:00:00", 0, "1", null]}',
        b'{"punch": ["7", "2026-03-02T09:00:00", 0, 1, 5]}',
        b'{"punch": ["7", "2026-03-02T09:00:00", 0, 1]}',
        b'{"punch": ["7", "2026-03-02T09:00:00", 0, 1, null, true, null]}',
        b'{"punch": ["7", "2026-03-02T09:00:00", 0, 1, null, null, "36.6"]}',
        b'{"punch": ["7", "2026-03-02T09:00:00", 0, 1, null, null, null, null]}',
    ],
)
def test_bytes_of_another_origin_are_no_kept_punch(raw: bytes) -> None:
    assert punch_from_bytes(raw) is None
