"""Terminals that are away, and alarms that are told once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from iclock.domain.alarms import Kind, check_away, end_alarm, note_event, purge_alarms, raise_alarm
from iclock.domain.presence import expect, expect_no_more
from iclock.models import Alarm, Terminal, TerminalPresence

pytestmark = pytest.mark.django_db
# What is rolled back is said by nobody, and what these tests do is, unless they commit.
committed = pytest.mark.django_db(transaction=True)
LIMIT = timedelta(minutes=settings.OFFLINE_ALARM_MINUTES)
SECOND = timedelta(seconds=1)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "iclock.domain.alarms")
    return lambda: [each.getMessage() for each in caplog.records if each.name == "iclock.domain.alarms"]


def heard(terminal: Terminal, ago: timedelta, **columns: Any) -> None:
    moment = Now() - ago
    state = {"online": False, "since": moment, "last_activity": moment, **columns}
    TerminalPresence.objects.update_or_create(terminal=terminal, defaults=state)


def away() -> list[str]:
    return [*Alarm.objects.open().filter(kind=Kind.AWAY).order_by("terminal").values_list("terminal__sn", flat=True)]


@committed
def test_a_terminal_away_and_back_is_told_twice_however_often_it_is_looked_at(terminal: Terminal, told: Any) -> None:
    heard(terminal, LIMIT + SECOND)
    assert [check_away() for _ in range(3)] == [(1, 0), (0, 0), (0, 0)]
    heard(terminal, timedelta(0), online=True)
    assert [check_away() for _ in range(3)] == [(0, 1), (0, 0), (0, 0)]

    alarm = Alarm.objects.get()
    assert alarm.ending == "It is heard of again."
    assert told() == [
        f"Alarm, terminal CKJF201260077 (Gate): {alarm.sentence}",
        "Alarm over, terminal CKJF201260077 (Gate): It is heard of again.",
    ]


@override_settings(ZKBIO_TIME_ZONE="Asia/Kolkata")
def test_the_sentence_says_since_when_in_the_platforms_zone(terminal: Terminal) -> None:
    heard(terminal, LIMIT + SECOND)
    TerminalPresence.objects.update(last_activity="2026-03-02T10:12:40Z")

    check_away()

    sentence = "Not heard of since 2026-03-02 15:42: look at its power, its network and its address."
    assert Alarm.objects.get().sentence == sentence


def test_a_terminal_within_its_limit_is_not_away(terminal: Terminal) -> None:
    heard(terminal, LIMIT - timedelta(seconds=30))

    assert check_away() == (0, 0)


@pytest.mark.parametrize(("minutes", "away"), [(5, 1), (7, 0)])
def test_a_terminals_own_limit_counts(minutes: int, away: int, terminal: Terminal) -> None:
    Terminal.objects.update(away_minutes=minutes)
    heard(terminal, timedelta(minutes=6))

    assert check_away() == (away, 0)


def test_a_terminal_that_is_online_is_not_away_however_long_nobody_asked_it(terminal: Terminal) -> None:
    heard(terminal, timedelta(days=2), online=True)

    assert check_away() == (0, 0)


def test_a_terminal_that_nobody_waits_for_is_not_away_and_one_that_is_waited_for_again_is_given_a_moment(
    terminal: Terminal,
) -> None:
    heard(terminal, LIMIT + SECOND)
    check_away()
    expect_no_more([terminal.pk])
    assert (check_away(), Alarm.objects.get().ending) == ((0, 1), "Nobody waits for it any more.")

    expect([terminal.pk])
    assert check_away() == (0, 0)
    TerminalPresence.objects.update(since=Now() - LIMIT - SECOND)
    assert check_away() == (1, 0)


def test_a_terminal_that_is_asked_seldom_is_away_only_after_its_limit_since_it_failed(terminal: Terminal) -> None:
    heard(terminal, timedelta(hours=8), since=Now() - LIMIT + timedelta(seconds=30))
    assert check_away() == (0, 0)

    TerminalPresence.objects.update(since=Now() - LIMIT - SECOND)
    assert check_away() == (1, 0)


def test_a_terminal_that_was_never_heard_of_is_not_away(terminal: Terminal) -> None:
    assert check_away() == (0, 0)


@pytest.mark.parametrize("admission", ["pending", "blocked"])
def test_a_terminal_that_is_not_approved_is_not_away(admission: str, terminal: Terminal) -> None:
    Terminal.objects.update(admission=admission)
    heard(terminal, LIMIT + SECOND)

    assert check_away() == (0, 0)


def test_a_terminal_that_is_blocked_is_not_waited_for_any_more(terminal: Terminal) -> None:
    heard(terminal, LIMIT + SECOND)
    check_away()
    Terminal.objects.update(admission="blocked")

    assert check_away() == (0, 1)
    assert Alarm.objects.get().ending == "Nobody waits for it any more."


def test_a_deleted_terminal_is_not_away(terminal: Terminal) -> None:
    heard(terminal, LIMIT + SECOND)
    check_away()
    terminal.delete()

    assert check_away() == (0, 0)
    assert away() == []


def test_ten_terminals_cost_as_many_statements_as_one(terminal: Terminal) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            check_away()
        return len(asked)

    heard(terminal, LIMIT + SECOND)
    one = statements()
    for number in range(10):
        heard(Terminal.objects.create(sn=f"SN{number}", alias="Gate"), LIMIT + SECOND)

    assert statements() == one
    assert len(away()) == 11


@pytest.mark.django_db(transaction=True)
def test_of_four_that_look_at_once_one_tells(told: Any) -> None:
    terminals = [Terminal.objects.create(sn=f"SN{number}", alias="Gate") for number in range(20)]
    for each in terminals:
        heard(each, LIMIT + SECOND)
    start = Barrier(4)

    def look(_: int) -> None:
        start.wait(timeout=20)
        try:
            check_away()
        finally:
            connection.close()

    def all_look() -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(look, range(4)))

    all_look()
    assert len(away()) == 20
    assert len(told()) == 20

    TerminalPresence.objects.update(online=True)
    all_look()
    check_away()  # what the others held was passed over
    assert away() == []
    assert len(told()) == 40


@committed
def test_a_state_is_raised_once_and_ended_once(terminal: Terminal, told: Any) -> None:
    assert [raise_alarm(terminal, Kind.TWIN, "Two."), raise_alarm(terminal, Kind.TWIN, "Again.")] == [True, False]
    assert [end_alarm(terminal, Kind.TWIN, "One."), end_alarm(terminal, Kind.TWIN, "None.")] == [True, False]

    alarm = Alarm.objects.get()
    assert (alarm.sentence, alarm.ending, len(told())) == ("Two.", "One.", 2)


@committed
def test_what_is_rolled_back_is_not_said(terminal: Terminal, told: Any) -> None:
    for failing in (True, True, False):
        with suppress(DatabaseError), transaction.atomic():
            note_event(terminal, Kind.LOG_CLEARED, "It held 100 rows.")
            raise_alarm(terminal, Kind.TWIN, "Two.")
            end_alarm(terminal, Kind.TWIN, "One.")
            if failing:
                raise DatabaseError

    assert len(told()) == Alarm.objects.count() + 1 == 3


@committed
def test_an_event_is_over_as_soon_as_it_is_known(terminal: Terminal, told: Any) -> None:
    note_event(terminal, Kind.LOG_CLEARED, "It held 100 rows.")

    alarm = Alarm.objects.get()
    assert (alarm.closed_at, len(told())) == (alarm.opened_at, 1)


@pytest.mark.parametrize(("history", "kept"), [(30, 90), (400, 400)])
def test_alarms_are_kept_as_long_as_the_history_and_90_days_at_least(
    history: int, kept: int, terminal: Terminal
) -> None:
    for days in (kept + 1, kept - 1):
        note_event(terminal, Kind.LOG_CLEARED, f"{days}")
        Alarm.objects.filter(sentence=f"{days}").update(closed_at=Now() - timedelta(days=days))
    raise_alarm(terminal, Kind.AWAY, "open")
    Alarm.objects.filter(sentence="open").update(opened_at=Now() - timedelta(days=999))

    with override_settings(RUN_HISTORY_DAYS=history):
        assert purge_alarms() == 1

    assert {*Alarm.objects.values_list("sentence", flat=True)} == {f"{kept - 1}", "open"}
