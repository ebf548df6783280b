"""Who belongs on a terminal, by areas; asked of PostgreSQL, whatever the number of terminals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from iclock.domain.belonging import belonging_to, count_belonging
from iclock.models import Terminal
from personnel.domain.resignations import reinstate, resign
from personnel.models import Area, Department, Employee
from personnel.models.organisation import UNAUTHORIZED_AREA_ID

pytestmark = pytest.mark.django_db
Hire = Callable[..., Employee]


@pytest.fixture
def areas() -> dict[str, Area]:
    """Spain > Madrid > Gate, and France beside it."""
    spain = Area.objects.create(area_code="2", area_name="Spain")
    madrid = Area.objects.create(area_code="3", area_name="Madrid", parent_area=spain)
    gate = Area.objects.create(area_code="4", area_name="Gate", parent_area=madrid)
    return {"Spain": spain, "Madrid": madrid, "Gate": gate, "France": Area.objects.create(area_code="5")}


@pytest.fixture
def hire(areas: dict[str, Area]) -> Hire:
    department = Department.objects.earliest("pk")

    def make(code: str, *names: str, **columns: object) -> Employee:
        person = Employee.objects.create(emp_code=code, department=department, **columns)
        person.areas.set([areas[name] for name in names])
        return person

    return make


@pytest.fixture
def madrid(areas: dict[str, Area]) -> Terminal:
    return Terminal.objects.create(sn="M1", alias="Madrid", area=areas["Madrid"])


def codes(terminal: Terminal) -> list[str]:
    return [*belonging_to(terminal).values_list("emp_code", flat=True)]


def test_people_belong_on_the_terminals_of_their_areas(madrid: Terminal, hire: Hire) -> None:
    hire("1", "Madrid")
    hire("2", "France", "Madrid")
    hire("3", "France")
    hire("4", "Spain")
    hire("5", "Gate")

    assert codes(madrid) == ["1", "2"]
    assert count_belonging([madrid]) == {madrid.pk: 2}


@override_settings(AREAS_INCLUDE_SUBAREAS=True)
def test_with_the_setting_people_belong_on_terminals_below_their_areas_too(
    madrid: Terminal, areas: dict[str, Area], hire: Hire
) -> None:
    gate = Terminal.objects.create(sn="G1", alias="Gate", area=areas["Gate"])
    for code, area in enumerate(("Spain", "Madrid", "Gate", "France"), 1):
        hire(str(code), area)

    assert (codes(madrid), codes(gate)) == (["1", "2"], ["1", "2", "3"])
    assert count_belonging([gate, madrid]) == {gate.pk: 3, madrid.pk: 2}


@override_settings(AREAS_INCLUDE_SUBAREAS=True)
def test_somebody_in_an_area_and_in_one_above_it_is_one_person(madrid: Terminal, hire: Hire) -> None:
    hire("1", "Spain", "Madrid")

    assert (codes(madrid), count_belonging([madrid])) == (["1"], {madrid.pk: 1})


def test_who_resigned_belongs_nowhere_until_they_are_back(madrid: Terminal, hire: Hire) -> None:
    person = hire("1", "Madrid")
    resign([person.pk], resign_date=date(2026, 3, 2), disableatt=False)
    assert (codes(madrid), count_belonging([madrid])) == ([], {madrid.pk: 0})

    reinstate([person.pk])
    assert codes(madrid) == ["1"]


def test_who_is_no_part_of_attendance_belongs_nowhere(madrid: Terminal, hire: Hire) -> None:
    hire("1", "Madrid", enable_attendance=False)

    assert codes(madrid) == []


@pytest.mark.parametrize("below", [False, True])
def test_area_one_puts_nobody_anywhere(below: bool, areas: dict[str, Area], hire: Hire) -> None:
    nowhere = Area.objects.get(pk=UNAUTHORIZED_AREA_ID)
    nowhere.parent_area = areas["Spain"]
    nowhere.save()
    Area.objects.filter(pk=areas["Gate"].pk).update(parent_area=nowhere)
    hire("1").areas.set([nowhere])
    hire("2", "Spain")
    terminals = [
        Terminal.objects.create(sn="N1", alias="Nowhere"),
        Terminal.objects.create(sn="G1", alias="Gate", area=areas["Gate"]),
    ]

    with override_settings(AREAS_INCLUDE_SUBAREAS=below):
        assert [codes(terminal) for terminal in terminals] == [[], []]
        assert list(count_belonging(terminals).values()) == [0, 0]


def test_the_stored_area_counts_and_not_what_a_caller_has_in_hand(
    madrid: Terminal, areas: dict[str, Area], hire: Hire
) -> None:
    hire("1", "France")
    Terminal.objects.filter(pk=madrid.pk).update(area=areas["France"])

    assert codes(madrid) == ["1"]


def test_the_people_of_many_terminals_are_counted_by_one_query(areas: dict[str, Area], hire: Hire) -> None:
    hire("1", "Madrid")
    terminals = [Terminal.objects.create(sn=f"M{n}", alias="M", area=areas["Madrid"]) for n in range(30)]

    with CaptureQueriesContext(connection) as asked:
        counted = count_belonging(terminals)

    assert (len(asked), counted) == (1, {terminal.pk: 1 for terminal in terminals})


def test_people_who_belong_can_be_asked_further(madrid: Terminal, hire: Hire) -> None:
    hire("1", "Madrid", first_name="Ana")
    hire("2", "Madrid", first_name="Bob")

    assert belonging_to(madrid).filter(first_name="Ana").exclude(emp_code="2").count() == 1


@override_settings(AREAS_INCLUDE_SUBAREAS=True)
def test_a_circle_of_areas_ends(madrid: Terminal, areas: dict[str, Area], hire: Hire) -> None:
    Area.objects.filter(pk=areas["Spain"].pk).update(parent_area=areas["Gate"])
    hire("1", "Gate")

    assert codes(madrid) == ["1"]
