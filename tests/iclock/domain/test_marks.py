"""A change of people marks and wakes the terminals on which they belong, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from iclock.domain.marks import mark, mark_terminals
from iclock.domain.terminals import add_terminal, approve_terminals, change_terminal
from iclock.models import SyncMark, Terminal, TerminalPerson
from iclock.signals import terminals_marked
from personnel.domain import people
from personnel.domain.resignations import reinstate, resign
from personnel.domain.tree import delete_node, save_node
from personnel.models import Area, Department, Employee
from personnel.models.scope import Scope
from personnel.signals import people_changed

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree(db: None) -> None:
    """Areas 1 > 2 > 3 > 4 and 1 > 5, each with a terminal that is named after it."""
    for number, parent in ((2, 1), (3, 2), (4, 3), (5, 1)):
        Area.objects.create(id=number, area_code=str(number), area_name=str(number), parent_area_id=parent)
    for number in range(1, 6):
        Terminal.objects.create(sn=str(number), alias=str(number), area_id=number)


def marked() -> dict[str, int]:
    return dict(SyncMark.objects.order_by("terminal__sn").values_list("terminal__sn", "wanted"))


@pytest.fixture
def woken() -> Iterator[list[set[str]]]:
    """The terminals that whoever dials them was told of, by each telling."""
    heard: list[set[str]] = []

    def listen(*, terminal_ids: frozenset[int], **_: Any) -> None:
        heard.append(set(Terminal.objects.filter(pk__in=terminal_ids).values_list("sn", flat=True)))

    terminals_marked.connect(listen)
    yield heard
    terminals_marked.disconnect(listen)


@pytest.fixture
def person(tree: None) -> Callable[..., Employee]:
    """An employee in these areas, before anything is marked."""

    def write(code: str, *areas: int) -> Employee:
        employee = Employee.objects.create(emp_code=code, department_id=1, card_no=f"88{code}")
        employee.areas.set(areas)
        return employee

    return write


AddPerson = Callable[..., Employee]


@pytest.mark.parametrize(
    ("areas", "here", "with_those_below"),
    [
        ({3}, {"3"}, {"3", "4"}),
        ({2, 5}, {"2", "5"}, {"2", "3", "4", "5"}),
        ({4}, {"4"}, {"4"}),
        ({1}, set(), set()),
        ({1, 5}, {"5"}, {"5"}),
        ({77}, set(), set()),
        (set(), set(), set()),
    ],
)
def test_whom_a_change_marks(
    areas: set[int], here: set[str], with_those_below: set[str], tree: None, settings: Settings
) -> None:
    assert mark_terminals(areas) == len(here)
    assert marked() == dict.fromkeys(here, 1)

    SyncMark.objects.all().delete()
    settings.AREAS_INCLUDE_SUBAREAS = True
    assert mark_terminals(areas) == len(with_those_below)
    assert marked() == dict.fromkeys(with_those_below, 1)


def test_nobody_reaches_a_terminal_by_way_of_area_1(tree: None, settings: Settings) -> None:
    settings.AREAS_INCLUDE_SUBAREAS = True
    Area.objects.create(id=9, area_code="9", area_name="9")
    Area.objects.filter(pk=1).update(parent_area=9)

    assert mark_terminals({9}) == 0


def test_each_change_counts_once(tree: None) -> None:
    mark_terminals({5})
    SyncMark.objects.update(done=1)
    assert not SyncMark.objects.pending().exists()

    mark_terminals({5, 4})

    assert marked() == {"4": 1, "5": 2}
    assert SyncMark.objects.pending().count() == 2


@pytest.mark.parametrize(
    ("deed", "terminals"),
    [
        (lambda ana: people.update_employee(ana.pk, {"first_name": "Ana"}), {"3"}),
        (lambda ana: people.update_employee(ana.pk, {"card_no": "4711"}), {"3"}),
        (lambda ana: people.update_employee(ana.pk, {"device_password": "1234"}), {"3"}),
        (lambda ana: people.update_employee(ana.pk, {"enable_attendance": False}), {"3"}),
        (lambda ana: people.update_employee(ana.pk, {}, areas=Area.objects.filter(pk__in=[3, 5])), {"3", "5"}),
        (lambda ana: people.update_employee(ana.pk, {"city": "Vigo"}), set()),
        (lambda ana: people.delete_employees([ana.pk]), {"3"}),
        (lambda ana: people.adjust_areas([ana.pk], Area.objects.filter(pk=5)), {"3", "5"}),
        (lambda ana: people.adjust_areas([ana.pk], Area.objects.filter(pk=1)), {"3"}),
        (lambda ana: people.adjust_department([ana.pk], Department.objects.get()), set()),
        (lambda ana: people.resync([ana.pk]), {"3"}),
        (lambda ana: people.withdraw_templates([ana.pk], ["finger_print"]), {"3"}),
        (lambda ana: resign([ana.pk], resign_date=date(2026, 3, 2)), {"3"}),
    ],
)
def test_what_is_done_to_people_marks_their_terminals(
    deed: Callable[[Employee], object], terminals: set[str], person: AddPerson
) -> None:
    ana = person("1001", 3)

    deed(ana)

    assert set(marked()) == terminals


def test_a_reinstatement_marks_the_terminals(person: AddPerson) -> None:
    ana = person("1001", 3, 5)
    resign([ana.pk], resign_date=date(2026, 3, 2))
    SyncMark.objects.all().delete()

    reinstate([ana.pk])

    assert marked() == {"3": 1, "5": 1}


def test_a_new_person_marks_the_terminals(tree: None) -> None:
    people.create_employee(Employee(emp_code="1001", department_id=1), areas=Area.objects.filter(pk=4))

    assert marked() == {"4": 1}


def test_whoever_sees_some_areas_marks_the_others_too(person: AddPerson) -> None:
    """A name is the same on all terminals, and who is limited to an area changes nothing elsewhere."""
    ana, limited = person("1001", 3, 5), Scope(areas=frozenset({3, 4}))
    people.adjust_areas([ana.pk], Area.objects.filter(pk=4), scope=limited)

    assert marked() == {"3": 1, "4": 1, "5": 1}


def test_whoever_sees_some_departments_marks_all_terminals_of_a_person(person: AddPerson) -> None:
    ana = person("1001", 3, 5)

    people.update_employee(ana.pk, {"last_name": "Ruiz"}, scope=Scope(departments=frozenset({1})))

    assert marked() == {"3": 1, "5": 1}


@pytest.mark.parametrize("parent", [5, None])
def test_an_area_that_moves_marks_its_terminals_and_those_below(
    parent: int | None, tree: None, settings: Settings
) -> None:
    """Whoever was above them brought people there, and whoever is now does."""
    settings.AREAS_INCLUDE_SUBAREAS = True
    there = None if parent is None else Area.objects.get(pk=parent)

    save_node(Area.objects.get(pk=3), {"parent_area": there})

    assert {"3", "4"} <= set(marked()) <= {"2", "3", "4"}


def test_an_area_that_is_deleted_has_neither_people_nor_terminals_nor_areas_below(tree: None) -> None:
    Area.objects.create(id=9, area_code="9", area_name="9", parent_area_id=3)

    delete_node(Area.objects.get(pk=9))

    assert marked() == {}


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"area": 5}, True),
        ({"area": 3}, False),
        ({"direction": "import"}, True),
        ({"strangers": "removed"}, True),
        ({"admission": "blocked"}, True),
        ({"alias": "Gate", "heartbeat": 20}, False),
    ],
)
def test_which_changes_of_a_terminal_concern_its_people(changes: dict[str, Any], waits: bool, tree: None) -> None:
    if "area" in changes:
        changes = {"area": Area.objects.get(pk=changes["area"])}

    change_terminal(Terminal.objects.get(sn="3"), **changes)

    assert marked() == ({"3": 1} if waits else {})


def test_new_and_approved_terminals_are_marked(tree: None) -> None:
    add_terminal(sn="9", alias="9")
    approve_terminals([Terminal.objects.get(sn="4")], actor="somebody")

    assert marked() == {"4": 1, "9": 1}


def test_a_transaction_tells_once_of_all_it_marked(
    tree: None, woken: list[set[str]], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(1_000):
            mark_terminals({5})
        with transaction.atomic():
            mark_terminals({4})
        assert woken == []

    assert woken == [{"4", "5"}]


@pytest.mark.django_db(transaction=True)
def test_what_a_savepoint_takes_back_doesnt_take_the_rest_with_it(tree: None, woken: list[set[str]]) -> None:
    with transaction.atomic():
        mark_terminals({5})
        with transaction.atomic():
            mark_terminals({4})
            transaction.set_rollback(True)
        with transaction.atomic():
            mark_terminals({3})

    assert marked() == {"3": 1, "5": 1}
    assert [told & {"3", "5"} for told in woken] == [{"3", "5"}]


@pytest.mark.django_db(transaction=True)
def test_nobody_is_told_of_a_change_that_was_taken_back(tree: None, woken: list[set[str]]) -> None:
    with transaction.atomic():
        mark_terminals({5})
        transaction.set_rollback(True)
    mark_terminals({4})

    assert woken == [{"4"}]


def test_what_terminals_refused_of_a_person_is_tried_again(person: AddPerson) -> None:
    ana, later = person("1001", 3), timezone.now()
    for code, sn in (("1001", "3"), ("1001", "5"), ("1002", "3")):
        terminal = Terminal.objects.get(sn=sn)
        TerminalPerson.objects.create(terminal=terminal, emp_code=code, refusal="No.", retry_at=later)

    people.resync([ana.pk])

    waiting = TerminalPerson.objects.exclude(retry_at=None).values_list("emp_code", "terminal__sn")
    assert list(waiting) == [("1002", "3")]
    assert set(TerminalPerson.objects.values_list("refusal", flat=True)) == {"No."}


def test_personnels_news_is_heard_in_its_transaction(tree: None) -> None:
    news = {"area_ids": frozenset({5}), "emp_codes": frozenset({"7"})}
    with transaction.atomic():
        people_changed.send(sender=Area, **news)
        assert marked() == {"5": 1}
        transaction.set_rollback(True)

    assert marked() == {}


def test_terminals_are_marked_themselves(tree: None) -> None:
    ids = list(Terminal.objects.filter(sn__in=["4", "5"]).values_list("id", flat=True))

    assert mark([*ids, 77_777]) == 2
    assert marked() == {"4": 1, "5": 1}


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_neither_deadlock_nor_lose_a_mark(tree: None) -> None:
    barrier, rounds = Barrier(4), 25

    def write(areas: set[int]) -> None:
        barrier.wait(timeout=10)
        for _ in range(rounds):
            with transaction.atomic():
                mark_terminals(areas)
        connection.close()

    threads = [Thread(target=write, args=(areas,)) for areas in ({3}, {4, 5}, {5, 2}, {2})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert marked() == {"2": 50, "3": 25, "4": 25, "5": 50}
