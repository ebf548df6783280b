"""Resignations, and the way back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from personnel.domain.resignations import resign
from personnel.models import Employee, Resignation
from tests.personnel.api.conftest import Api, Caller
from tests.personnel.api.resource import ResourceCase
from tests.personnel.api.trees import at_once

PATH = "/personnel/api/resigns/"
EMPLOYEES = "/personnel/api/employees/"
DAY = dt.date(2024, 6, 26)


class TestResignations(ResourceCase):
    path = PATH
    model = Resignation
    keys = ["id", "resign_date", "resign_type", "disableatt", "reason", "employee", "first_name", "last_name"]
    flat_keys = ["id", "resign_date", "resign_type", "disableatt", "reason", "employee"]
    change = ("reason", "changed their mind")
    missing = ["employee", "resign_date"]

    @property
    def body(self) -> dict[str, Any]:  # type: ignore[override]
        return {
            "employee": self.somebody(9).pk,
            "resign_date": "2024-06-26",
            "resign_type": 3,
            "disableatt": True,
            "reason": "",
        }

    def somebody(self, number: int) -> Employee:
        employee = Employee.objects.create(emp_code=f"E{number}", department_id=1)
        employee.areas.set([1])
        return employee

    def make(self, number: int) -> Resignation:
        return resign([self.somebody(number).pk], resign_date=DAY)[0]


def test_a_row_names_its_person(api: Api, person: Caller) -> None:
    employee = person("7", first_name="Ada", last_name=None)
    made = api.post(
        PATH, {"employee": str(employee.pk), "resign_date": "2024-6-1", "resign_type": "4", "disableatt": "false"}
    )
    assert api.get(f"{PATH}{made['id']}/") == {
        "id": made["id"],
        "resign_date": "2024-06-01",
        "resign_type": 4,
        "disableatt": False,
        "reason": None,
        "employee": {"id": employee.pk, "emp_code": "7", "first_name": "Ada", "last_name": None},
        "first_name": "Ada",
        "last_name": None,
    }


def test_who_resigned_stays_in_the_list_without_card_and_attendance(
    api: Api, person: Caller, places: Any, news: Any
) -> None:
    employee = person("7", 2, card_no="12")
    api.post(PATH, {"employee": employee.pk, "resign_date": "2024-06-26", "disableatt": True})
    row = api.get(f"{EMPLOYEES}{employee.pk}/")
    assert (row["card_no"], row["attemployee"]["enable_attendance"]) == (None, False)
    assert [area["id"] for area in row["area"]] == [2]
    assert news == [({2}, {"7"})]


@pytest.mark.parametrize("way", ["resigns", "employees", "delete"])
def test_a_reinstatement_gives_back_what_was_taken(api: Api, person: Caller, places: Any, news: Any, way: str) -> None:
    employee = person("7", 2, card_no="12")
    [resignation] = resign([employee.pk], resign_date=DAY)
    if way == "delete":
        api.delete(f"{PATH}{resignation.pk}/")
    else:
        pk = resignation.pk if way == "resigns" else employee.pk
        assert api.post(f"{PATH}reinstatement/", {way: [pk]}, 200) == {"code": 0, "msg": "success", "data": []}
    employee.refresh_from_db()
    assert (employee.card_no, employee.enable_attendance, Resignation.objects.count()) == ("12", True, 0)
    assert news == [({2}, {"7"})] * 2


def test_attendance_that_was_off_before_stays_off(api: Api, person: Caller) -> None:
    employee = person("7", enable_attendance=False)
    [resignation] = resign([employee.pk], resign_date=DAY)
    api.post(f"{PATH}reinstatement/", {"resigns": str(resignation.pk)}, 200)
    employee.refresh_from_db()
    assert employee.enable_attendance is False


def test_a_card_that_is_somebody_else_s_by_now_stays_theirs(api: Api, person: Caller) -> None:
    employee = person("7", card_no="12")
    resign([employee.pk], resign_date=DAY)
    person("8", card_no="12")
    api.post(f"{PATH}reinstatement/", {"employees": employee.pk}, 200)
    employee.refresh_from_db()
    assert employee.card_no is None


def test_disableatt_takes_effect_when_it_changes(api: Api, person: Caller) -> None:
    employee = person("7")
    [resignation] = resign([employee.pk], resign_date=DAY, disableatt=False)
    for wanted in (True, False, True):
        api.put(f"{PATH}{resignation.pk}/", {"disableatt": wanted})
        employee.refresh_from_db()
        assert employee.enable_attendance is not wanted


def test_whose_it_is_does_not_change(api: Api, person: Caller) -> None:
    [resignation] = resign([person("7").pk], resign_date=DAY)
    answer = api.patch(f"{PATH}{resignation.pk}/", {"employee": person("8").pk})
    assert answer["employee"] == resignation.employee_id


def test_nobody_resigns_twice(api: Api, person: Caller) -> None:
    employees = [person("7").pk, person("8").pk]
    resign(employees[:1], resign_date=DAY)
    sentence = {"employees": ["Already resigned: 7. Nothing was changed."]}
    assert list(api.post(PATH, {"employee": employees[0], "resign_date": "2024-06-26"}, 400)) == ["employee"]
    body = {"employees": employees, "resign_date": "2024-06-26", "resign_type": 1, "disableatt": False}
    assert api.post(f"{EMPLOYEES}adjust_resign/", body, 400) == sentence
    assert Resignation.objects.count() == 1


def test_only_who_resigned_comes_back(api: Api, person: Caller) -> None:
    resigned, working = person("7"), person("8")
    resign([resigned.pk], resign_date=DAY)
    body = {"employees": [resigned.pk, working.pk]}
    assert api.post(f"{PATH}reinstatement/", body, 400) == {"employees": ["Not resigned: 8. Nothing was changed."]}
    assert list(api.post(f"{PATH}reinstatement/", {}, 400)) == ["resigns"]
    assert list(api.post(f"{PATH}reinstatement/", {"resigns": [999999]}, 400)) == ["resigns"]
    assert Resignation.objects.count() == 1


def test_filters(api: Api, person: Caller) -> None:
    [one], [two] = (
        resign([person(code).pk], resign_date=DAY + dt.timedelta(days=kind), resign_type=kind)
        for code, kind in (("7", 1), ("8", 2))
    )

    def found(**asked: Any) -> list[int]:
        return [row["id"] for row in api.get(PATH, **asked)["data"]]

    assert found(employee=one.employee_id) == found(resign_type=1) == found(resign_date="2024-06-27") == [one.pk]
    assert found(ordering="-resign_date") == [two.pk, one.pk]
    assert list(api.get(PATH, 400, resign_date="soon")) == ["resign_date"]
    assert list(api.get(PATH, 400, employee="x")) == ["employee"]


@pytest.mark.django_db(transaction=True)
def test_of_two_resignations_at_once_one_is_refused() -> None:
    employee = Employee.objects.create(emp_code="7", department_id=1)
    body = {"employee": employee.pk, "resign_date": "2024-06-26"}
    assert at_once(("POST", PATH, body), ("POST", PATH, body)) == [201, 400]


@pytest.mark.parametrize("day", ["2024-06-26", "2024-6-26", "2024-06-26 00:00:00", "2024-06-26T00:00"])
def test_a_day_is_asked_for_in_any_spelling(api: Api, person: Caller, day: str) -> None:
    resign([person("7").pk], resign_date=dt.date(2024, 6, 26))

    assert api.get(PATH, resign_date=day)["count"] == 1
    assert api.get(PATH, resign_date="2024-06-27")["count"] == 0
    assert list(api.get(PATH, 400, resign_date="June")) == ["resign_date"]


def test_many_resign_in_as_many_queries_as_few(api: Api, person: Caller, django_assert_max_num_queries: Any) -> None:
    people = [person(str(number)).pk for number in range(30)]

    with django_assert_max_num_queries(25):
        api.post(f"{EMPLOYEES}adjust_resign/", {"employees": people, "resign_date": "2024-06-26"}, 200)
