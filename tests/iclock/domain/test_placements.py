"""What is kept of people on terminals, while others change them at the same moment."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from iclock.domain import comparing, placements
from iclock.domain.kept import Held, Outcome
from iclock.domain.marks import mark
from iclock.domain.plan import Fields, Intent, Kind
from iclock.domain.wanted import Room
from iclock.models import PersonIntent, SyncMark, Terminal, TerminalPerson
from personnel.domain import people
from personnel.models import Area, Department, Employee

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(area_code="2")


@pytest.fixture
def gate(area: Area) -> Terminal:
    return Terminal.objects.create(sn="GATE", alias="Gate", area=area, fp_version="10")


@pytest.fixture
def staff(area: Area) -> list[Employee]:
    department = Department.objects.earliest("pk")
    hired = [Employee(emp_code=code, first_name="Ana", department=department) for code in ("10", "9", "7")]
    return [people.create_employee(employee, areas=[area]) for employee in hired]


def note(terminal: Terminal, held: dict[str, Held]) -> placements.Sides:
    return placements.note_held(terminal, held, fingers={}, remarks={}, room=Room())


def wait_until_somebody_waits() -> None:
    deadline = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits for a lock")


def everybody(staff: list[Employee], name: str = "Ana") -> dict[str, Held]:
    return {each.emp_code: Held(number, Fields(name)) for number, each in enumerate(staff, start=1)}


def test_who_notes_what_came_of_people_waits_for_their_edit_and_keeps_nothing_that_it_needs(
    gate: Terminal, staff: list[Employee]
) -> None:
    """The mark first, then the people: the other way round both would wait for ever."""
    comparing.begin(gate)
    sides = note(gate, everybody(staff, "Ana Z"))
    intents = [Intent(Kind.UPDATE, each.emp_code, ("name",)) for each in staff]
    outcomes = [Outcome(intent, "refused", again=timedelta(days=1)) for intent in intents]

    def note_outcomes() -> None:
        try:
            placements.note_outcomes(gate, sides, outcomes, held={}, fingers={})
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads, transaction.atomic():
        mark([gate.pk])
        noting = threads.submit(note_outcomes)
        wait_until_somebody_waits()
        people.resync([each.pk for each in staff])
        transaction.on_commit(lambda: noting.result(30))

    rows = TerminalPerson.objects.filter(terminal=gate)
    assert [row.refusal for row in rows] == ["refused"] * len(staff)
    assert {row.retry_at for row in rows} == {None}, "they were edited meanwhile"


def test_what_is_worth_another_try_makes_a_terminal_due(gate: Terminal, staff: list[Employee]) -> None:
    mark = comparing.begin(gate)
    note(gate, everybody(staff))
    comparing.finish(gate, mark, people=3, fingers=0, fingers_read=True, complete=True)
    assert not comparing.is_due(gate, people=3, fingers=0)
    TerminalPerson.objects.filter(emp_code="9").update(retry_at=timezone.now() + timedelta(minutes=1))
    assert not comparing.is_due(gate, people=3, fingers=0)

    TerminalPerson.objects.filter(emp_code="9").update(retry_at=timezone.now())

    assert comparing.is_due(gate, people=3, fingers=0)
    note(gate, everybody(staff))
    assert not comparing.is_due(gate, people=3, fingers=0)


@pytest.mark.parametrize(("counted", "due"), [((3, 1), True), ((2, 0), True), ((3, 0), False)])
def test_a_counter_that_moved_makes_a_terminal_due(
    gate: Terminal, staff: list[Employee], counted: tuple[int, int], due: bool
) -> None:
    mark = comparing.begin(gate)
    comparing.finish(gate, mark, people=3, fingers=0, fingers_read=True, complete=True)

    assert comparing.is_due(gate, people=counted[0], fingers=counted[1]) is due


def test_what_fails_in_two_ways_is_told_once_each(gate: Terminal, staff: list[Employee]) -> None:
    comparing.begin(gate)
    intents = [Intent(Kind.TAKE_FIELDS, "7", ("card",)), Intent(Kind.TAKE_FINGER, "7", finger=1)]
    for _ in range(3):
        sides = note(gate, everybody(staff))
        outcomes = [Outcome(intent, f"not {intent.kind}") for intent in intents]
        placements.note_outcomes(gate, sides, outcomes, held={}, fingers={})

    assert PersonIntent.objects.count() == len(intents)


def test_a_terminal_says_things_that_can_be_printed(gate: Terminal, staff: list[Employee]) -> None:
    comparing.begin(gate)
    note(gate, {"7": Held(1, Fields("\x1b[2JBob"))})

    refusal = TerminalPerson.objects.get(emp_code="7").refusal
    assert refusal.isprintable()
    assert "?[2JBob" in refusal


def test_a_change_during_the_comparison_is_still_to_be_done_after_it(gate: Terminal, staff: list[Employee]) -> None:
    mark = comparing.begin(gate)
    people.resync([staff[0].pk])

    more = comparing.finish(gate, mark, people=0, fingers=0, fingers_read=True, complete=True)

    assert more
    after = SyncMark.objects.get(terminal=gate)
    assert (after.pending, after.fingers_read_at) == (True, None)
