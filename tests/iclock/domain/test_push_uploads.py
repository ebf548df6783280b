"""What units that dial bring is stored once, and acknowledged when it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test import override_settings
from django.utils import timezone

from iclock.domain.ingest import ROWS_PER_TURN, Counts, record_punches
from iclock.domain.push_events import purge_events
from iclock.domain.push_uploads import store_attendance, store_events
from iclock.lines import Attendance, OperationLine
from iclock.models import (
    PushPosition,
    PushState,
    QuarantinedRecord,
    Terminal,
    TerminalEvent,
    TerminalPresence,
    Transaction,
)
from iclock.punch import Punch, Reject, Source
from zkbio.clock import ClockNote, zone

pytestmark = pytest.mark.django_db(transaction=True)

EIGHT = datetime(2026, 3, 2, 8)
TOGETHER = 4


@pytest.fixture
def gate(db: None) -> Terminal:
    terminal = Terminal.objects.create(sn="PUSH1", alias="Gate", time_zone="Europe/Madrid")
    PushState.objects.create(terminal=terminal)
    return again(terminal)


def again(terminal: Terminal) -> Terminal:
    """As whoever admits it loads it."""
    return Terminal.objects.select_related("area", "push", "presence").get(pk=terminal.pk)


def a_day(count: int = 50) -> list[Punch]:
    return [Punch(str(1 + n % 20), EIGHT + timedelta(seconds=7 * n), n % 2, 1) for n in range(count)]


def post(gate: Terminal, punches: list[Punch], *rejects: Reject, stamp: str = "") -> Counts:
    return store_attendance(gate, Attendance(punches, rejects), table="ATTLOG", stamp=stamp)


def rows() -> set[tuple[str, datetime, int, int]]:
    return {*Transaction.objects.values_list("emp_code", "punch_time", "punch_state", "verify_type")}


def at_once(work: Callable[[int], Any], count: int = TOGETHER) -> list[Any]:
    barrier = Barrier(count)

    def one(number: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_a_post_becomes_rows_that_say_who_brought_them(gate: Terminal) -> None:
    seen = Punch("7", EIGHT, 0, 15, "5", is_mask=1, temperature=36.6)

    counts = post(gate, [seen, Punch("8", EIGHT, 1, 1)])

    assert counts == Counts(new=2)
    columns = ("emp_code", "source", "work_code", "is_mask", "temperature")
    told = Transaction.objects.order_by("emp_code").values_list(*columns)
    assert list(told) == [("7", Source.PUSH, "5", 1, 36.6), ("8", Source.PUSH, None, None, None)]


def test_what_a_large_post_tells_of_masks_is_kept_too(gate: Terminal) -> None:
    day = [punch._replace(is_mask=n % 2, temperature=36 + n % 7 / 10) for n, punch in enumerate(a_day(1_000))]

    post(gate, [*day, Punch("9", EIGHT - timedelta(days=1), 0, 1)])

    told = Transaction.objects.values_list("emp_code", "punch_time", "is_mask", "temperature")
    assert {*told} == {(p.emp_code, p.punch_time, p.is_mask, p.temperature) for p in day} | {
        ("9", EIGHT - timedelta(days=1), None, None)
    }


def test_a_line_that_is_no_punch_costs_its_neighbours_nothing(gate: Terminal) -> None:
    counts = post(gate, a_day(3), Reject(b"7\tnever", "the time can't be read"))

    assert counts == Counts(new=3, quarantined=1)
    assert QuarantinedRecord.objects.values_list("source", "reason").get() == (Source.PUSH, "the time can't be read")


def test_a_replay_adds_nothing(gate: Terminal) -> None:
    post(gate, a_day())

    assert post(gate, a_day()) == Counts(duplicate=50)


@pytest.mark.parametrize("count", [1, 40, ROWS_PER_TURN + 1])
def test_the_position_and_the_lines_move_with_the_rows(gate: Terminal, count: int) -> None:
    post(gate, a_day(count), Reject(b"?", "no"), stamp="4711")
    post(gate, a_day(1), stamp="")

    position = PushPosition.objects.get(terminal=gate)
    assert (position.stamps, position.lines) == ({"ATTLOG": "4711"}, count + 2)


def test_the_positions_of_other_tables_stay(gate: Terminal) -> None:
    PushPosition.objects.create(terminal=gate, stamps={"OPERLOG": "5"})

    post(gate, a_day(1), stamp="6")

    assert PushPosition.objects.get(terminal=gate).stamps == {"OPERLOG": "5", "ATTLOG": "6"}


def test_what_cannot_be_stored_moves_no_position(gate: Terminal) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE iclock_transaction ADD CONSTRAINT never CHECK (emp_code <> '20') NOT VALID")
    try:
        with pytest.raises(DatabaseError):
            post(gate, a_day(), stamp="4711")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE iclock_transaction DROP CONSTRAINT never")

    assert (PushPosition.objects.exists(), rows()) == (False, set())


def test_an_empty_post_is_a_contact_and_moves_the_position(gate: Terminal) -> None:
    assert post(gate, [], stamp="9") == Counts()

    assert PushPosition.objects.get(terminal=gate).stamps == {"ATTLOG": "9"}


def test_the_same_lines_in_several_posts_at_once_are_stored_once(gate: Terminal) -> None:
    counts = at_once(lambda _: post(again(gate), a_day(), Reject(b"?", "no"), stamp="1"))

    assert sum(each.new for each in counts) == 50 == Transaction.objects.count()
    assert QuarantinedRecord.objects.get().times == TOGETHER
    assert PushPosition.objects.get(terminal=gate).lines == TOGETHER * 51


@pytest.mark.parametrize("count", [120, ROWS_PER_TURN + 500])
def test_by_pull_by_push_by_both_and_twice_a_day_is_the_same_rows(gate: Terminal, count: int) -> None:
    day = a_day(count)

    def bring(number: int) -> None:
        unit = again(gate)
        if number % 2:
            record_punches(unit, day, source=Source.PULL)
        else:
            for start in range(0, count, 500):
                post(unit, day[start : start + 500])

    at_once(bring)

    assert rows() == {(p.emp_code, p.punch_time, p.punch_state, p.verify_type) for p in day}
    assert Transaction.objects.count() == count


@pytest.mark.parametrize("drift", [3_600, -3_600])
def test_stamps_of_a_clock_that_is_known_to_be_wrong_are_noted(gate: Terminal, drift: int) -> None:
    now = timezone.now()
    TerminalPresence.objects.update_or_create(
        terminal=gate, defaults={"since": now, "clock_drift": drift, "clock_read_at": now - timedelta(minutes=1)}
    )
    wall = now.astimezone(zone(gate.time_zone)).replace(tzinfo=None, microsecond=0)
    stamp = wall + timedelta(seconds=drift)

    post(again(gate), [Punch("1", stamp, 0, 1), Punch("1", stamp - timedelta(hours=2), 0, 1)])

    notes = list(Transaction.objects.order_by("-punch_time").values_list("clock_note", flat=True))
    assert notes == [ClockNote.FUTURE if drift > 0 else ClockNote.OFF, ClockNote.PLAIN]


def test_a_right_clock_is_not_doubted(gate: Terminal) -> None:
    now = timezone.now()
    TerminalPresence.objects.update_or_create(
        terminal=gate, defaults={"since": now, "clock_drift": 60, "clock_read_at": now - timedelta(days=1)}
    )
    wall = now.astimezone(zone(gate.time_zone)).replace(tzinfo=None, microsecond=0)

    post(again(gate), [Punch("1", wall, 0, 1)])

    assert Transaction.objects.get().clock_note == ClockNote.PLAIN


def operation(code: int = 4, **changed: Any) -> OperationLine:
    return OperationLine(**{"code": code, "person": "7", "moment": EIGHT, "values": ("1", "0"), **changed})


def test_what_happened_at_a_unit_is_kept_once(gate: Terminal) -> None:
    told = [operation(), operation(), operation(5, moment=None), operation(source="door")]

    at_once(lambda _: store_events(again(gate), told))

    kept = TerminalEvent.objects.values_list("source", "code", "person", "moment", "values")
    assert {(*row[:-1], *row[-1]) for row in kept} == {
        ("menu", 4, "7", EIGHT, "1", "0"),
        ("menu", 5, "7", None, "1", "0"),
        ("door", 4, "7", EIGHT, "1", "0"),
    }
    assert len(kept) == 3


def test_what_is_odd_about_an_event_is_cut_and_never_an_error(gate: Terminal) -> None:
    store_events(gate, [operation(2**40), operation(1, person="p" * 99, values=("\0v" * 99,) * 99)])

    kept = TerminalEvent.objects.get()
    assert (kept.code, kept.person, kept.values) == (1, "p" * 24, ["?v" * 32] * 10)


def test_operations_that_come_with_punches_are_kept_with_them(gate: Terminal) -> None:
    store_attendance(gate, Attendance(a_day(2), (), [operation(source="door")]), table="RTLOG", stamp="")

    assert (TerminalEvent.objects.count(), Transaction.objects.count()) == (1, 2)
    assert PushPosition.objects.get(terminal=gate).lines == 3


@override_settings(RUN_HISTORY_DAYS=30)
def test_old_events_are_forgotten(gate: Terminal) -> None:
    store_events(gate, [operation(1), operation(2)])
    TerminalEvent.objects.filter(code=1).update(received_at=timezone.now() - timedelta(days=31))

    assert purge_events() == 1

    assert TerminalEvent.objects.get().code == 2


def begin_posts(serial: str) -> subprocess.Popen[str]:
    """A process of gevent's with few pooled connections, on the tests' database, ready to go."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    few = {"DATABASE_URL": url, "DATABASE_POOL": "4", "DATABASE_LOCK_SECONDS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("posts.py")), serial],
        cwd=settings.BASE_DIR,
        env={**os.environ, **few, "PYTHONPATH": str(settings.BASE_DIR)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told


def test_a_locked_table_has_units_send_again_and_holds_up_nobody_else(gate: Terminal) -> None:
    with begin_posts(gate.sn) as process:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE iclock_transaction")
                locked = go(process)
            free = go(process)
        finally:
            process.kill()

    assert locked["outcomes"] == ["send again"]
    assert locked["slowest"] < 4
    assert locked["longest"] < 0.5
    assert free["outcomes"] == ["stored"]
    assert Transaction.objects.count() == 6
    assert PushPosition.objects.get(terminal=gate).lines == 6
