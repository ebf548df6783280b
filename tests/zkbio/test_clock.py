"""Wall clocks in their zones: half hours, changes of the clock, hours that happen twice or never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from zkbio.clock import ClockNote, DayOffsets, Reading, fixed_zone_name, read_wall, validate_zone, zone

ZONES = [
    "UTC",
    "UTC+05:30",
    "UTC-09:30",
    "Europe/Madrid",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Cairo",
]


@pytest.mark.parametrize(
    ("name", "wall", "reading"),
    [
        ("Europe/Madrid", datetime(2026, 1, 15, 12), Reading(60, ClockNote.PLAIN)),
        ("Europe/Madrid", datetime(2026, 7, 15, 12), Reading(120, ClockNote.PLAIN)),
        ("Europe/Madrid", datetime(2026, 3, 29, 2, 30), Reading(60, ClockNote.MISSING)),
        ("Europe/Madrid", datetime(2026, 10, 25, 2, 30), Reading(120, ClockNote.AMBIGUOUS)),
        ("Europe/Madrid", datetime(2026, 10, 25, 3, 0), Reading(60, ClockNote.PLAIN)),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 1, 45), Reading(660, ClockNote.AMBIGUOUS)),
        ("Asia/Kathmandu", datetime(2026, 7, 15, 12), Reading(345, ClockNote.PLAIN)),
        ("UTC-09:30", datetime(2026, 7, 15, 12), Reading(-570, ClockNote.PLAIN)),
        ("Pacific/Apia", datetime(2011, 12, 30, 12), Reading(-600, ClockNote.MISSING)),
    ],
)
def test_a_wall_clock_is_placed_in_its_zone(name: str, wall: datetime, reading: Reading) -> None:
    assert read_wall(wall, zone(name)) == reading


def test_the_instant_behind_a_wall_clock() -> None:
    wall = datetime(2026, 7, 15, 1, 30)

    assert read_wall(wall, zone("UTC+05:30")).instant(wall) == datetime(2026, 7, 14, 20, 0, tzinfo=UTC)


@given(
    st.sampled_from(ZONES), st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)), st.lists(st.integers(0, 86_399))
)
def test_reading_many_times_of_a_day_gives_the_same_as_each_alone(name: str, day: datetime, seconds: list[int]) -> None:
    where = zone(name)
    offsets = DayOffsets(where)
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)

    for wall in (midnight + timedelta(seconds=second) for second in seconds):
        assert offsets.read(wall) == read_wall(wall, where)


def test_both_days_of_a_clock_change_are_read_second_by_second() -> None:
    offsets = DayOffsets(ZoneInfo("Europe/Madrid"))
    walls = [datetime(2026, 10, 25, 1, 59, 59), datetime(2026, 10, 25, 2, 0), datetime(2026, 10, 25, 3, 0)]

    assert [offsets.read(wall).offset_minutes for wall in walls] == [120, 120, 60]


@pytest.mark.parametrize(
    ("minutes", "name"), [(330, "UTC+05:30"), (-570, "UTC-09:30"), (0, "UTC+00:00"), (840, "UTC+14:00")]
)
def test_a_fixed_offset_has_a_name_that_leads_back_to_it(minutes: int, name: str) -> None:
    assert fixed_zone_name(minutes) == name
    assert read_wall(datetime(2026, 1, 1), zone(name)).offset_minutes == minutes


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "UTC+5", "UTC+15:00", "UTC+05:75", "../etc/passwd", "UTC+aa:bb", "UTC+05:300", "\0"]
)
def test_what_is_no_zone_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValidationError, match=r"neither an IANA time zone|is no offset|more than 14 hours"):
        validate_zone(name)


def test_an_offset_beyond_14_hours_has_no_name() -> None:
    with pytest.raises(ValueError, match="within 14 hours"):
        fixed_zone_name(15 * 60)
