"""What is odd about a stamp is noted beside it: nothing is hidden, nothing rewritten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from iclock.domain.ingest import ARRAY_ROWS, WallRange, record_punches
from iclock.models import Terminal, Transaction
from iclock.punch import Punch, Source
from zkbio.clock import ClockNote

pytestmark = pytest.mark.django_db(transaction=True)

NINE = datetime(2026, 3, 2, 9)
TWICE = datetime(2025, 10, 26, 2, 30)  # in Madrid
both_ways_in = pytest.mark.parametrize("others", [0, ARRAY_ROWS], ids=["as arrays", "by COPY"])


@pytest.fixture
def madrid(terminal: Terminal) -> Terminal:
    terminal.time_zone = "Europe/Madrid"
    terminal.save()
    return terminal


def note_of(terminal: Terminal, wall: datetime, *, others: int, doubtful: WallRange | None = None) -> ClockNote:
    crowd = [Punch("9", datetime(2026, 1, 5, 8) + timedelta(seconds=n), 0, 1) for n in range(others)]
    record_punches(terminal, [Punch("7", wall, 0, 1), *crowd], source=Source.PULL, doubtful=doubtful)
    assert set(Transaction.objects.filter(emp_code="9").values_list("clock_note", flat=True)) <= {ClockNote.PLAIN}
    return ClockNote(Transaction.objects.get(emp_code="7", punch_time=wall).clock_note)


@both_ways_in
@pytest.mark.parametrize(
    ("wall", "note"),
    [
        (NINE, ClockNote.PLAIN),
        (datetime(1999, 12, 31, 23, 59, 59), ClockNote.PLAIN),
        (datetime(2000, 1, 1), ClockNote.RESET),
        (datetime(2000, 12, 31, 23, 59, 59), ClockNote.RESET),
        (datetime(2001, 1, 1), ClockNote.PLAIN),
        (TWICE, ClockNote.AMBIGUOUS),
        (datetime(2025, 3, 30, 2, 30), ClockNote.MISSING),
        (datetime(2098, 10, 26, 2, 30), ClockNote.FUTURE),
    ],
)
def test_a_stamp_tells_what_is_odd_about_it(madrid: Terminal, wall: datetime, note: ClockNote, others: int) -> None:
    assert note_of(madrid, wall, others=others) == note


@both_ways_in
@pytest.mark.parametrize(("minutes", "note"), [(4, ClockNote.PLAIN), (7, ClockNote.FUTURE)])
def test_a_stamp_is_of_the_future_five_minutes_after_its_arrival(
    madrid: Terminal, minutes: int, note: ClockNote, others: int
) -> None:
    there = datetime.now(UTC).astimezone(ZoneInfo("Europe/Madrid")).replace(tzinfo=None, microsecond=0)

    assert note_of(madrid, there + timedelta(minutes=minutes), others=others) == note


@both_ways_in
@pytest.mark.parametrize(
    ("wall", "note"),
    [
        (NINE - timedelta(seconds=1), ClockNote.PLAIN),
        (NINE, ClockNote.OFF),
        (NINE + timedelta(hours=1), ClockNote.OFF),
        (NINE + timedelta(hours=1, seconds=1), ClockNote.PLAIN),
    ],
)
def test_stamps_of_a_clock_that_was_wrong_then_are_doubted(
    madrid: Terminal, wall: datetime, note: ClockNote, others: int
) -> None:
    assert note_of(madrid, wall, others=others, doubtful=(NINE, NINE + timedelta(hours=1))) == note


def test_what_the_zone_says_of_a_stamp_goes_before_what_the_visit_says(madrid: Terminal) -> None:
    doubtful = (TWICE - timedelta(hours=1), TWICE + timedelta(hours=1))

    assert note_of(madrid, TWICE, others=0, doubtful=doubtful) == ClockNote.AMBIGUOUS


def test_a_punch_that_is_here_keeps_its_note(madrid: Terminal) -> None:
    note_of(madrid, NINE, others=0)

    assert note_of(madrid, NINE, others=0, doubtful=(NINE, NINE)) == ClockNote.PLAIN
