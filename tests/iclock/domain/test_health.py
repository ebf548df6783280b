"""What a terminal tells of itself: written where it changed, judged once."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from iclock.domain.health import Report, drift_in_words, note_contact, seconds_in_words
from iclock.models import Alarm, Terminal, TerminalPresence

pytestmark = pytest.mark.django_db
HEARD_AT = datetime(2026, 3, 2, 10, 12, tzinfo=UTC)
ORDINARY = Report(100, 120, 30, 4_000, 1_000, 3_000, 500, 100_000, drift=3, heard_at=HEARD_AT)


def hear(terminal: Terminal, **told: Any) -> None:
    """As a visit does: with the row as it stands."""
    note_contact(Terminal.objects.get(pk=terminal.pk), ORDINARY._replace(**told))


# What is rolled back is said by nobody, and what these tests do is, unless they commit.
committed = pytest.mark.django_db(transaction=True)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records if record.name == "iclock.domain.alarms"]


def open_kinds() -> list[str]:
    return [*Alarm.objects.open().order_by("kind").values_list("kind", flat=True)]


def test_what_was_told_is_kept(terminal: Terminal) -> None:
    hear(terminal)

    terminal.refresh_from_db()
    assert (terminal.user_count, terminal.fp_count, terminal.face_count) == (100, 120, 30)
    assert (terminal.transaction_count, terminal.transaction_capacity) == (4_000, 100_000)
    assert (terminal.user_capacity, terminal.fp_capacity, terminal.face_capacity) == (1_000, 3_000, 500)
    presence = TerminalPresence.objects.get()
    assert (presence.online, presence.clock_drift, presence.clock_read_at) == (True, 3, HEARD_AT)


def test_what_was_not_told_stays_as_it_was(terminal: Terminal) -> None:
    hear(terminal)
    nothing = dict.fromkeys(Report._fields[:4]) | dict.fromkeys(Report._fields[4:8], 0)
    hear(terminal, **nothing, drift=None, heard_at=datetime(2026, 3, 3, tzinfo=UTC))

    terminal.refresh_from_db()
    assert (terminal.user_count, terminal.user_capacity, terminal.face_capacity) == (100, 1_000, 500)
    presence = TerminalPresence.objects.get()
    assert (presence.clock_drift, presence.clock_read_at) == (3, HEARD_AT)


def test_what_no_store_can_hold_was_not_told(terminal: Terminal) -> None:
    hear(terminal)
    hear(terminal, user_count=-1, face_capacity=-1, fp_count=7)

    terminal.refresh_from_db()
    assert (terminal.user_count, terminal.face_capacity, terminal.fp_count) == (100, 500, 7)


def test_a_store_that_was_emptied_is_empty(terminal: Terminal) -> None:
    hear(terminal)
    hear(terminal, transaction_count=0)

    terminal.refresh_from_db()
    assert terminal.transaction_count == 0


def test_an_ordinary_contact_is_one_statement(terminal: Terminal) -> None:
    hear(terminal)
    known = Terminal.objects.get(pk=terminal.pk)

    with CaptureQueriesContext(connection) as asked:
        note_contact(known, ORDINARY)

    assert [query["sql"].split()[:2] for query in asked] == [["UPDATE", "iclock_terminalpresence"]]


def test_a_state_that_lasts_is_not_asked_for_again(terminal: Terminal) -> None:
    hear(terminal, user_count=900, drift=500)
    known = Terminal.objects.get(pk=terminal.pk)

    with CaptureQueriesContext(connection) as asked:
        note_contact(known, ORDINARY._replace(user_count=900, drift=500))

    assert len(asked) == 1


def test_the_alarm_of_a_terminal_nearly_full_names_the_numbers_and_the_remedy(terminal: Terminal) -> None:
    hear(terminal, user_count=799, transaction_count=80_000)

    assert Alarm.objects.get().sentence == (
        "80\u202f000 of 100\u202f000 punches, 80 %. Clear its log, or it overwrites its oldest punches."
    )


def test_people_without_room_are_told_of_with_their_remedy(terminal: Terminal) -> None:
    hear(terminal, user_count=800, fp_count=2_999)

    assert Alarm.objects.get().sentence == (
        "800 of 1\u202f000 people, 80 %; 2\u202f999 of 3\u202f000 fingerprints, 99 %."
        " Remove who doesn't belong on it, or nobody more can be entered."
    )


@committed
def test_a_terminal_is_nearly_full_once_until_there_is_room_again(
    terminal: Terminal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "iclock.domain.alarms")
    for users in (799, 800, 950, 799, 799):
        hear(terminal, user_count=users)

    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.closed_at is None) == ("nearly_full", False)
    assert alarm.ending.startswith("There is room again: 799 of 1\u202f000 people, 79 %; ")
    assert told(caplog) == ["WARNING", "INFO"]


def test_a_second_store_that_fills_is_told_of_and_one_that_empties_is_not(terminal: Terminal) -> None:
    for users, punches in ((900, 10), (900, 95_000), (900, 95_000), (900, 10), (900, 10), (900, 95_000), (10, 10)):
        hear(terminal, user_count=users, transaction_count=punches)

    first, second, third = Alarm.objects.order_by("pk")
    assert first.sentence.startswith("900 of 1\u202f000 people, 90 %. Remove")
    assert first.ending == "There is little room for punches now, too: the next alarm names all."
    assert third.sentence.startswith("900 of 1\u202f000 people, 90 %; 95\u202f000 of 100\u202f000 punches, 95 %. Clear")
    assert second.sentence == first.sentence
    assert third.ending.startswith("There is room again: 10 of")


def test_a_capacity_that_was_never_told_is_no_alarm(terminal: Terminal) -> None:
    hear(terminal, user_count=5_000, user_capacity=0, transaction_count=99_999, transaction_capacity=None)

    assert open_kinds() == []


@committed
def test_a_clock_is_wrong_once_until_it_is_right(terminal: Terminal, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "iclock.domain.alarms")
    for drift in (120, -3_725, -4_000, None, -120, -108, -107, 4):
        hear(terminal, drift=drift)

    alarm = Alarm.objects.get()
    assert alarm.sentence == (
        "Its clock was 1 h 2 min behind when it was read at 2026-03-02 10:12."
        " Set it, or let it be set at each visit; look at its time zone here too."
    )
    assert alarm.ending == "Its clock is right again (1 min 47 s behind)."
    assert told(caplog) == ["WARNING", "INFO"]


def test_a_clock_that_could_not_be_read_ends_no_alarm(terminal: Terminal) -> None:
    hear(terminal, drift=500)
    hear(terminal, drift=None)

    assert open_kinds() == ["clock"]


def test_a_terminal_that_was_offline_is_online_with_its_drift(terminal: Terminal) -> None:
    hear(terminal)
    TerminalPresence.objects.update(online=False)

    hear(terminal, drift=500)

    assert (TerminalPresence.objects.get().online, TerminalPresence.objects.get().clock_drift) == (True, 500)
    assert open_kinds() == ["clock"]


@pytest.mark.parametrize(
    ("drift", "words"),
    [
        (0, "exact"),
        (35, "35 s ahead"),
        (-125, "2 min 5 s behind"),
        (3_600, "1 h ahead"),
        (90_061, "1 d 1 h ahead"),
    ],
)
def test_a_drift_in_words(drift: int, words: str) -> None:
    assert drift_in_words(drift) == words


def test_no_seconds_are_told_as_such() -> None:
    assert seconds_in_words(0) == "0 s"
