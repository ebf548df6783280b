"""What is enrolled; templates themselves only for whoever may read them, and never unseen."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from iclock.models import Biodata
from personnel.models import Department, Employee
from personnel.models.scope import DepartmentLimit
from zkbio.accounts.models import AuditEntry, User

from .conftest import Reader

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/biodatas/"


@pytest.fixture
def hr(hr: User) -> User:
    hr.user_permissions.add(Permission.objects.get(codename="view_biodata"))
    return hr


@pytest.fixture
def may_read(hr: User) -> None:
    hr.user_permissions.add(Permission.objects.get(codename="read_template"))


@pytest.fixture
def ana(db: None) -> Employee:
    return Employee.objects.create(emp_code="7", first_name="Ana", department_id=1)


def enrol(person: Employee, **columns: Any) -> Biodata:
    given = {"bio_type": 1, "bio_no": 0, "major_ver": "10", "sn": "CKJF201260077", **columns}
    biodata = Biodata(employee=person, **given)
    biodata.template = b"ridges \xff of " + person.emp_code.encode()
    biodata.save()
    return biodata


def test_a_row_says_what_is_enrolled_and_not_the_template(ana: Employee, get: Reader) -> None:
    finger = enrol(ana, bio_no=6)

    row = {
        "id": finger.id,
        "employee": ana.id,
        "bio_type": 1,
        "bio_no": 6,
        "major_ver": "10",
        "update_time": f"{finger.update_time:%Y-%m-%d %H:%M:%S}",
        "sn": "CKJF201260077",
    }
    assert get(PATH)["data"] == [row]
    assert list(get(f"{PATH}{finger.id}/").items()) == list(row.items())
    assert not AuditEntry.objects.exists()


def test_the_sealed_template_doesnt_leave_the_database(ana: Employee, get: Reader) -> None:
    enrol(ana)
    with CaptureQueriesContext(connection) as queries:
        get(PATH)

    assert not [query["sql"] for query in queries if '"sealed"' in query["sql"]]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [({"bio_type": 9}, [1]), ({"bio_type": 1}, [0, 2]), ({"bio_type": 3}, []), ({"ordering": "-id"}, [2, 1, 0])],
)
def test_filters(parameters: dict[str, Any], found: list[int], ana: Employee, get: Reader) -> None:
    ben = Employee.objects.create(emp_code="8", department_id=1)
    ids = [enrol(ana).id, enrol(ana, bio_type=9).id, enrol(ben).id]

    assert [ids.index(row["id"]) for row in get(PATH, **parameters)["data"]] == found
    assert [row["id"] for row in get(PATH, employee=ben.id)["data"]] == [ids[2]]


@pytest.mark.parametrize(("name", "value"), [("bio_type", "x"), ("bio_type", 40_000), ("employee", "x")])
def test_a_filter_that_cant_be_read_is_refused_by_name(name: str, value: Any, get: Reader) -> None:
    assert list(get(PATH, status=400, **{name: value})) == [name]


def test_templates_ask_for_a_permission_of_their_own(ana: Employee, get: Reader) -> None:
    finger = enrol(ana)

    get(PATH, status=403, include="template")
    get(f"{PATH}{finger.id}/", status=403, include="template")
    assert not AuditEntry.objects.exists()


def test_templates_come_in_base64_and_leave_a_trail(may_read: None, ana: Employee, hr: User, get: Reader) -> None:
    first, second = enrol(ana), enrol(ana, bio_no=1)

    rows = get(PATH, include="template")["data"]
    one = get(f"{PATH}{second.id}/", include="template")

    text = b64encode(b"ridges \xff of 7").decode()
    assert [row["template"] for row in rows] == [text, text]
    assert one["template"] == text
    trail = AuditEntry.objects.order_by("id").values_list("user", "action", "subject", "detail")
    assert list(trail) == [
        (hr.id, "iclock.read_template", "2 templates", {"ids": [first.id, second.id], "employees": [ana.id]}),
        (hr.id, "iclock.read_template", "1 templates", {"ids": [second.id], "employees": [ana.id]}),
    ]


def test_without_asking_there_are_no_templates(may_read: None, ana: Employee, get: Reader) -> None:
    enrol(ana)

    assert "template" not in get(PATH, include="everything")["data"][0]
    assert not AuditEntry.objects.exists()


def test_a_page_with_templates_is_bounded(may_read: None, get: Reader) -> None:
    assert get(PATH, status=400, include="template", page_size=1001) == {
        "page_size": ["With templates, a page has 1000 rows at most."]
    }
    assert get(PATH, include="template", page_size=1000)["count"] == 0


def test_reading_asks_for_the_permission_to_view(hr: User, may_read: None, get: Reader) -> None:
    hr.user_permissions.remove(Permission.objects.get(codename="view_biodata"))

    get(PATH, status=403)
    get(PATH, status=403, include="template")


def test_people_outside_of_the_limits_are_not_shown(may_read: None, ana: Employee, hr: User, get: Reader) -> None:
    sales = Department.objects.create(dept_code="2", dept_name="Sales")
    ben = Employee.objects.create(emp_code="8", department=sales)
    hidden, shown = enrol(ana), enrol(ben)
    DepartmentLimit.objects.create(user=hr, department=sales)

    assert [row["id"] for row in get(PATH, include="template")["data"]] == [shown.id]
    get(f"{PATH}{hidden.id}/", status=404)


def test_nothing_is_written_here(ana: Employee, token_client: Client) -> None:
    finger = enrol(ana)

    assert token_client.post(PATH, {}).status_code == 405
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        assert token_client.generic(method, f"{PATH}{finger.id}/", b"{}", "application/json").status_code == 405


@pytest.mark.parametrize("include", ["", "template"])
def test_a_page_costs_as_many_queries_for_three_rows_as_for_one(
    include: str, may_read: None, ana: Employee, get: Reader
) -> None:
    enrol(ana)
    get(PATH)
    with CaptureQueriesContext(connection) as one:
        get(PATH, include=include)
    enrol(ana, bio_no=1)
    enrol(Employee.objects.create(emp_code="8", department_id=1))
    with CaptureQueriesContext(connection) as three:
        get(PATH, include=include)

    assert len(one) == len(three)
