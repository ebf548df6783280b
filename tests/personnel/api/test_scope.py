"""Users with limits: what lies outside doesn't exist for them, and stays as it is."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any

import pytest
from django.db import connection, transaction

from personnel.domain.people import lock_employees
from personnel.domain.resignations import resign
from personnel.models import Area, Department, Employee, Resignation
from tests.personnel.api.conftest import Api, Caller

EMPLOYEES = "/personnel/api/employees/"
AREAS = "/personnel/api/areas/"
DEPARTMENTS = "/personnel/api/departments/"
RESIGNS = "/personnel/api/resigns/"
DAY = "2024-06-26"


def shown(api: Api, path: str, **asked: Any) -> list[int]:
    return [row["id"] for row in api.get(path, **asked)["data"]]


@pytest.fixture
def people(person: Caller, places: Any, offices: Any) -> dict[str, Employee]:
    """Of area 2, of area 4 below it, of area 3, of both, and of none but 1."""
    return {
        "in": person("in", 2, department_id=2),
        "below": person("below", 4, department_id=4),
        "out": person("out", 3, department_id=3),
        "both": person("both", 2, 3, department_id=2),
        "none": person("none", 1),
    }


@pytest.fixture
def ids(people: dict[str, Employee]) -> dict[str, int]:
    return {code: employee.pk for code, employee in people.items()}


def test_lists_end_at_the_limits(limited: Api, of_department: Api, ids: dict[str, int]) -> None:
    assert shown(limited, EMPLOYEES) == [ids["in"], ids["below"], ids["both"]]
    assert shown(of_department, EMPLOYEES) == [ids["in"], ids["below"], ids["both"]]
    assert (shown(limited, AREAS), shown(of_department, DEPARTMENTS)) == ([2, 4], [2, 4])
    assert (len(shown(limited, DEPARTMENTS)), len(shown(of_department, AREAS))) == (4, 4)


def test_a_person_is_shown_without_areas_outside(limited: Api, ids: dict[str, int]) -> None:
    assert [area["id"] for area in limited.get(f"{EMPLOYEES}{ids['both']}/")["area"]] == [2]
    assert limited.patch(f"{EMPLOYEES}{ids['both']}/", {"mobile": "1"})["area"] == [2]


@pytest.mark.parametrize(
    "told", [{"first_name": "Ada"}, {"dev_privilege": 14}, {"card_no": "7"}, {"device_password": "7"}]
)
def test_what_terminals_outside_are_told_of_is_not_changed(limited: Api, ids: dict[str, int], told: Any) -> None:
    limited.patch(f"{EMPLOYEES}{ids['both']}/", told, 403)
    assert limited.patch(f"{EMPLOYEES}{ids['in']}/", told)["id"] == ids["in"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "POST", "DELETE"])
def test_what_lies_outside_is_not_found(limited: Api, of_department: Api, ids: dict[str, int], method: str) -> None:
    for code in ("out", "none"):
        assert limited(method, f"{EMPLOYEES}{ids[code]}/", {}).status_code == 404
        assert of_department(method, f"{EMPLOYEES}{ids[code]}/", {}).status_code == 404
    assert limited(method, f"{AREAS}3/", {}).status_code == 404
    assert of_department(method, f"{DEPARTMENTS}3/", {}).status_code == 404


def test_filters_by_what_lies_outside_find_nothing(limited: Api, of_department: Api, ids: dict[str, int]) -> None:
    for asked in ({"areas": 3}, {"areas": "3,1"}, {"department": 3}, {"emp_code": "out"}, {"search": "out"}):
        assert shown(limited, EMPLOYEES, **asked) == []
    assert shown(limited, EMPLOYEES, areas="2,3") == [ids["in"], ids["both"]]
    assert shown(of_department, EMPLOYEES, departments="1,3") == shown(of_department, EMPLOYEES, department=3) == []
    Area.objects.filter(pk=2).update(parent_area=1)
    assert shown(limited, AREAS, parent_area=1) == []
    assert shown(of_department, DEPARTMENTS, parent_dept=1) == []


def test_a_parent_outside_is_not_shown(limited: Api, of_department: Api) -> None:
    Area.objects.filter(pk=2).update(parent_area=3)
    row = limited.get(f"{AREAS}2/")
    assert (row["parent_area"], row["parent_area_name"]) == (None, None)
    assert of_department.get(f"{DEPARTMENTS}2/")["parent_dept"] is None


def test_nobody_is_put_outside(limited: Api, of_department: Api, ids: dict[str, int]) -> None:
    new = {"emp_code": "new", "department": 1, "area": [2]}
    assert list(limited.post(EMPLOYEES, {**new, "area": [2, 3]}, 400)) == ["area"]
    assert list(of_department.post(EMPLOYEES, new, 400)) == ["department"]
    assert list(limited.patch(f"{EMPLOYEES}{ids['in']}/", {"area": [3]}, 400)) == ["area"]
    assert list(of_department.patch(f"{EMPLOYEES}{ids['in']}/", {"department": 3}, 400)) == ["department"]
    body = {"employees": [ids["in"]], "areas": [3], "department": 3}
    assert list(limited.post(f"{EMPLOYEES}adjust_area/", body, 400)) == ["areas"]
    assert list(of_department.post(f"{EMPLOYEES}adjust_department/", body, 400)) == ["department"]
    assert limited.post(EMPLOYEES, new)["area"] == [2]
    assert of_department.post(EMPLOYEES, {**new, "emp_code": "new2", "department": 4})["department"] == 4


def test_areas_outside_stay(limited: Api, ids: dict[str, int], people: dict[str, Employee]) -> None:
    assert limited.patch(f"{EMPLOYEES}{ids['both']}/", {"area": [4]})["area"] == [4]
    assert {area.pk for area in people["both"].areas.all()} == {3, 4}
    limited.post(f"{EMPLOYEES}adjust_area/", {"employees": [ids["both"], ids["in"]], "areas": [2]}, 200)
    assert [{area.pk for area in people[code].areas.all()} for code in ("both", "in")] == [{2, 3}, {2}]


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("adjust_area", {"areas": [2]}),
        ("adjust_department", {"department": 2}),
        ("adjust_position", {"position": 1}),
        ("adjust_regsin", {"resign_date": DAY}),
        ("adjust_resign", {"resign_date": DAY}),
        ("del_bio_template", {"face": 1}),
        ("resync_to_device", {}),
    ],
)
def test_actions_on_people_outside_do_nothing(
    limited: Api, ids: dict[str, int], news: list[Any], action: str, body: Any
) -> None:
    sent = {**body, "employees": [ids["in"], ids["out"]]}
    assert list(limited.post(f"{EMPLOYEES}{action}/", sent, 400)) == ["employees"]
    assert (news, Resignation.objects.count()) == ([], 0)


def test_codes_outside_are_unknown(limited: Api, ids: dict[str, int]) -> None:
    assert list(limited.post(f"{EMPLOYEES}resync_to_device/", {"emp_code": ["in", "out"]}, 400)) == ["emp_code"]


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("adjust_regsin", {"resign_date": DAY}),
        ("adjust_resign", {"resign_date": DAY}),
        ("del_bio_template", {"face": 1}),
    ],
)
def test_what_would_take_a_person_from_outside_is_forbidden(
    limited: Api, ids: dict[str, int], news: list[Any], action: str, body: Any
) -> None:
    sentence = {"detail": "Also in areas outside of your limits: both. Nothing was changed."}
    assert limited.post(f"{EMPLOYEES}{action}/", {**body, "employees": [ids["in"], ids["both"]]}, 403) == sentence
    assert (news, Resignation.objects.count()) == ([], 0)


def test_who_is_elsewhere_too_is_neither_deleted_nor_resigned_nor_reinstated(limited: Api, ids: dict[str, int]) -> None:
    assert limited("DELETE", f"{EMPLOYEES}{ids['both']}/").status_code == 403
    assert limited("POST", RESIGNS, {"employee": ids["both"], "resign_date": DAY}).status_code == 403
    [resignation] = resign([ids["both"]], resign_date=DAY)
    assert limited("DELETE", f"{RESIGNS}{resignation.pk}/").status_code == 403
    assert limited("POST", f"{RESIGNS}reinstatement/", {"employees": [ids["both"]]}).status_code == 403
    assert Resignation.objects.count() == 1


def test_resignations_end_at_the_limits(limited: Api, ids: dict[str, int]) -> None:
    [inside], [outside] = (resign([ids[code]], resign_date=DAY) for code in ("in", "out"))
    assert shown(limited, RESIGNS) == [inside.pk]
    assert shown(limited, RESIGNS, employee=ids["out"]) == []
    for method in ("GET", "PATCH", "PUT", "POST", "DELETE"):
        assert limited(method, f"{RESIGNS}{outside.pk}/", {}).status_code == 404
    assert list(limited.post(f"{RESIGNS}reinstatement/", {"resigns": [outside.pk]}, 400)) == ["resigns"]
    assert list(limited.post(f"{RESIGNS}reinstatement/", {"employees": [ids["out"]]}, 400)) == ["employees"]
    assert list(limited.post(RESIGNS, {"employee": ids["none"], "resign_date": DAY}, 400)) == ["employee"]


@pytest.mark.parametrize("parent", [None, 1, 3])
def test_rows_are_made_and_moved_within_the_limits(limited: Api, of_department: Api, parent: int | None) -> None:
    area = {"area_code": "new", "area_name": "New", "parent_area": parent}
    department = {"dept_code": "new", "dept_name": "New", "parent_dept": parent}
    assert list(limited.post(AREAS, area, 400)) == ["parent_area"]
    assert list(of_department.post(DEPARTMENTS, department, 400)) == ["parent_dept"]
    assert list(limited.patch(f"{AREAS}4/", {"parent_area": parent}, 400)) == ["parent_area"]
    assert list(of_department.patch(f"{DEPARTMENTS}4/", {"parent_dept": parent}, 400)) == ["parent_dept"]
    assert limited.post(AREAS, {**area, "parent_area": 2})["parent_area"] == 2
    assert of_department.post(DEPARTMENTS, {**department, "parent_dept": 4})["parent_dept"] == 4


def test_without_a_parent_nothing_is_made(limited: Api) -> None:
    assert list(limited.post(AREAS, {"area_code": "new", "area_name": "New"}, 400)) == ["parent_area"]


def test_a_put_with_nulls_keeps_the_parent_that_is_not_seen(of_department: Api) -> None:
    of_department.put(f"{DEPARTMENTS}2/", {"dept_code": "d2", "dept_name": "Renamed", "parent_dept": None})
    assert Department.objects.values_list("dept_name", "parent_dept").get(pk=2) == ("Renamed", 1)


@pytest.mark.django_db(transaction=True)
def test_whoever_was_moved_out_while_a_request_waited_is_left_alone(limited: Api, ids: dict[str, int]) -> None:
    """The person's row is held by somebody who moves them to area 3, until the request waits for it."""
    asked: list[int] = []

    def ask() -> None:
        try:
            body = {"employees": [ids["in"]], "areas": [4]}
            asked.append(limited("POST", f"{EMPLOYEES}adjust_area/", body).status_code)
        finally:
            connection.close()

    request = threading.Thread(target=ask)
    with transaction.atomic():
        [employee] = lock_employees([ids["in"]])
        employee.areas.set([3])
        request.start()
        wait_for_a_waiting_backend()
    request.join(30)

    assert (asked, [area.pk for area in Employee.objects.get(pk=ids["in"]).areas.all()]) == ([404], [3])


def wait_for_a_waiting_backend() -> None:
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits for the row")


def test_a_resignation_of_somebody_who_is_elsewhere_too_is_not_changed(limited: Api, ids: dict[str, int]) -> None:
    [resignation] = resign([ids["both"]], resign_date=dt.date(2024, 6, 26))

    limited.patch(f"{RESIGNS}{resignation.pk}/", {"disableatt": False}, 403)
