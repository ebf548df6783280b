"""Who is limited to departments or areas meets nothing outside of them: no list, no object, no deletion, no file."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from iclock.models import Terminal, Transaction
from personnel.domain.staff import log_in_for_token
from personnel.models import Area, Department, Employee
from personnel.models.scope import AreaLimit, DepartmentLimit
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User

from .conftest import Punches, Reader

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/transactions/"

INSIDE, OUTSIDE, STRANGER, NO_TERMINAL, GONE_TERMINAL, ELSEWHERE = range(1, 7)


@pytest.fixture
def hr(hr: User) -> User:
    hr.user_permissions.add(Permission.objects.get(codename="delete_transaction"))
    return hr


@pytest.fixture
def company(punches: Punches) -> tuple[Department, Area]:
    """A department and an area with a person and a terminal of their own, and punches in and out of them."""
    sales = Department.objects.create(dept_code="2", dept_name="Sales")
    shop = Area.objects.create(area_code="2", area_name="Shop")
    seller = Employee.objects.create(emp_code="S1", department=sales)
    seller.areas.set([shop])
    Employee.objects.create(emp_code="O1", department_id=1).areas.set([1])
    Terminal.objects.create(sn="SHOP", alias="Shop", area=shop)
    Terminal.objects.create(sn="MAIN", alias="Main")
    punches(INSIDE, emp_code="S1", terminal_sn="SHOP")
    punches(OUTSIDE, emp_code="O1", terminal_sn="MAIN")
    punches(STRANGER, emp_code="X9", terminal_sn="SHOP")
    punches(NO_TERMINAL, emp_code="S1", terminal_sn="")
    punches(GONE_TERMINAL, emp_code="S1", terminal_sn="SOLD")
    punches(ELSEWHERE, emp_code="S1", terminal_sn="MAIN")
    return sales, shop


def limit(user: User, company: tuple[Department, Area], *, department: bool = False, area: bool = False) -> None:
    if department:
        DepartmentLimit.objects.create(user=user, department=company[0])
    if area:
        AreaLimit.objects.create(user=user, area=company[1])


CASES = pytest.mark.parametrize(
    ("limits", "seen"),
    [
        ({}, {INSIDE, OUTSIDE, STRANGER, NO_TERMINAL, GONE_TERMINAL, ELSEWHERE}),
        ({"department": True}, {INSIDE, NO_TERMINAL, GONE_TERMINAL, ELSEWHERE}),
        ({"area": True}, {INSIDE, STRANGER, NO_TERMINAL}),
        ({"department": True, "area": True}, {INSIDE, NO_TERMINAL}),
    ],
    ids=["no limits", "a department", "an area", "both"],
)


@CASES
def test_the_list_and_every_way_through_it(
    limits: dict[str, bool], seen: set[int], company: tuple[Department, Area], hr: User, get: Reader
) -> None:
    limit(hr, company, **limits)

    ways: list[dict[str, Any]] = [
        {},
        {"since_id": 0},
        {"ordering": "-punch_time"},
        {"page_size": 5_000},
        {"start_time": "2000-01-01"},
    ]
    for way in ways:
        answer = get(PATH, **way)
        assert (answer["count"], {row["id"] for row in answer["data"]}) == (len(seen), seen), way
    assert {row["id"] for page in range(1, len(seen) + 1) for row in get(PATH, page=page, page_size=1)["data"]} == seen
    get(PATH, status=404, page=len(seen) + 1, page_size=1)
    assert {row["id"] for row in get(PATH, emp_code="O1").get("data")} == seen & {OUTSIDE}


@CASES
def test_single_punches(
    limits: dict[str, bool], seen: set[int], company: tuple[Department, Area], hr: User, token_client: Client
) -> None:
    limit(hr, company, **limits)

    found = {each: token_client.get(f"{PATH}{each}/").status_code for each in range(1, 7)}
    assert found == {each: 200 if each in seen else 404 for each in range(1, 7)}


@CASES
def test_deletions(
    limits: dict[str, bool], seen: set[int], company: tuple[Department, Area], hr: User, token_client: Client
) -> None:
    limit(hr, company, **limits)

    found = {each: token_client.delete(f"{PATH}{each}/").status_code for each in range(1, 7)}
    assert found == {each: 204 if each in seen else 404 for each in range(1, 7)}
    assert set(Transaction.objects.live().values_list("id", flat=True)) == {*range(1, 7)} - seen


@CASES
def test_files(
    limits: dict[str, bool], seen: set[int], company: tuple[Department, Area], hr: User, token_client: Client
) -> None:
    limit(hr, company, **limits)

    response: Any = token_client.get(f"{PATH}export/", {"export_type": "csv"})
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))

    codes = dict(Transaction.objects.values_list("id", "emp_code"))
    assert sorted(row["emp_code"] for row in rows) == sorted(codes[each] for each in seen)


def test_an_employees_own_login_meets_their_own_punches_only(company: tuple[Department, Area]) -> None:
    Employee.objects.filter(emp_code="S1").update(self_password=make_password("open sesame 42"))
    token = log_in_for_token("S1", "open sesame 42", address="10.0.0.1")
    client = Client(headers={"Authorization": f"Token {token}"})

    assert {row["emp_code"] for row in client.get(PATH).json()["data"]} == {"S1"}
    assert client.get(PATH).json()["count"] == 4
    assert client.get(PATH, {"emp_code": "O1"}).json()["count"] == 0
    assert [client.get(f"{PATH}{each}/").status_code for each in (INSIDE, OUTSIDE, STRANGER)] == [200, 404, 404]
    assert client.delete(f"{PATH}{INSIDE}/").status_code == 403
    response: Any = client.get(f"{PATH}export/", {"export_type": "csv"})
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))
    assert [row["emp_code"] for row in rows] == ["S1"] * 4
    for path in ("terminals", "commands", "biodatas"):
        assert client.get(f"/iclock/api/{path}/").status_code == 403


def test_limits_reach_below(company: tuple[Department, Area], hr: User, get: Reader) -> None:
    limit(hr, company, department=True)
    below = Department.objects.create(dept_code="3", dept_name="Abroad", parent_dept=company[0])
    Employee.objects.filter(emp_code="O1").update(department=below)

    assert OUTSIDE in {row["id"] for row in get(PATH)["data"]}


def test_limits_count_from_the_next_request_on(company: tuple[Department, Area], hr: User, get: Reader) -> None:
    assert get(PATH)["count"] == 6
    limit(hr, company, department=True, area=True)
    assert get(PATH)["count"] == 2
    AreaLimit.objects.all().delete()
    assert get(PATH)["count"] == 4


def test_a_superusers_page_costs_no_query_more(company: tuple[Department, Area], hr: User) -> None:
    boss = User.objects.create_superuser("boss", password="open sesame 42")
    client = Client(headers={"Authorization": f"Token {issue_token(boss)}"})
    client.get(PATH)
    with CaptureQueriesContext(connection) as queries:
        client.get(PATH)

    assert len(queries) == 2
