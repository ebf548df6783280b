"""Requests of employees for themselves: what their tokens may, and when they end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from iclock.models import Transaction
from iclock.punch import Source
from personnel.domain.staff import (
    StaffUser,
    log_in_for_signed_token,
    log_in_for_token,
    refresh_signed_staff_token,
    revoke_staff_tokens,
    verify_signed_staff_token,
    verify_staff_token,
)
from personnel.models import Department, Employee, Resignation, StaffToken
from zkbio.accounts.domain.signed_tokens import issue_signed_token, verify_signed_token
from zkbio.accounts.domain.signing import Signer
from zkbio.accounts.domain.tokens import issue_token, verify_token
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db
PASSWORD = "open sesame 42"
PUNCHES, TERMINALS = "/iclock/api/transactions/", "/iclock/api/terminals/"
PEOPLE = "/personnel/api/employees/"


@pytest.fixture
def employee() -> Employee:
    department, _ = Department.objects.get_or_create(pk=1, defaults={"dept_code": "1", "dept_name": "Department"})
    return Employee.objects.create(emp_code="0042", department=department, self_password=make_password(PASSWORD))


def plain() -> str:
    token = log_in_for_token("0042", PASSWORD, address="10.0.0.1")
    assert token is not None
    return f"Token {token}"


def signed() -> str:
    token = log_in_for_signed_token("0042", PASSWORD, address="10.0.0.1")
    assert token is not None
    return f"JWT {token}"


each_kind = pytest.mark.parametrize("log_in", [plain, signed])


def ask(authorization: str, path: str = PUNCHES, method: str = "get") -> tuple[int, Any]:
    response = getattr(Client(), method)(path, headers={"Authorization": authorization})
    return response.status_code, response.json().get("detail")


FORBIDDEN = (403, "You do not have permission to perform this action.")
INVALID = (401, "Invalid token.")


@each_kind
def test_it_reads_punches_and_nothing_of_the_terminals(log_in: Callable[[], str], employee: Employee) -> None:
    header = log_in()

    assert (ask(header), ask(header, TERMINALS)) == ((200, None), FORBIDDEN)


@each_kind
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_it_writes_nothing(log_in: Callable[[], str], method: str, employee: Employee) -> None:
    status, _ = ask(log_in(), f"{PUNCHES}1/", method)

    assert status in {403, 404, 405}


@each_kind
def test_it_reads_the_record_of_its_owner_and_nobody_elses(log_in: Callable[[], str], employee: Employee) -> None:
    other = Employee.objects.create(emp_code="7", department=employee.department)
    header = log_in()
    listed = Client().get(PEOPLE, headers={"Authorization": header}).json()["data"]

    assert [person["emp_code"] for person in listed] == ["0042"]
    assert ask(header, f"{PEOPLE}{employee.pk}/") == (200, None)
    assert ask(header, f"{PEOPLE}{other.pk}/") == (404, "Not found.")


@pytest.mark.parametrize("path", ["departments", "areas", "positions", "resigns"])
def test_it_reads_nothing_else_about_the_company(path: str, employee: Employee) -> None:
    assert ask(plain(), f"/personnel/api/{path}/") == FORBIDDEN


@pytest.mark.parametrize("action", ["adjust_area", "adjust_department", "adjust_regsin", "resync_to_device"])
def test_it_moves_nobody(action: str, employee: Employee) -> None:
    assert ask(plain(), f"{PEOPLE}{action}/", "post") == FORBIDDEN


def test_it_reads_the_punches_of_its_owner_only(employee: Employee) -> None:
    Employee.objects.create(emp_code="7", department=employee.department)
    now = timezone.now()
    for code in ("7", "0042", "nobody"):
        Transaction.objects.create(
            terminal_sn="SN1",
            emp_code=code,
            punch_time=dt.datetime(2026, 1, 2, 8, 0, 0),
            punched_at=now,
            upload_time=now,
            utc_offset=0,
            punch_state=0,
            verify_type=1,
            source=Source.PULL,
            is_attendance=True,
        )
    answer = Client().get(PUNCHES, headers={"Authorization": plain()}).json()

    assert (answer["count"], [row["emp_code"] for row in answer["data"]]) == (1, ["0042"])
    others = Transaction.objects.exclude(emp_code="0042").values_list("pk", flat=True)
    assert [ask(plain(), f"{PUNCHES}{pk}/")[0] for pk in others] == [404, 404]


def test_the_caller_has_two_permissions_and_no_powers() -> None:
    user = StaffUser(employee_id=7, emp_code="0042")

    assert (user.pk, user.is_authenticated, user.is_active, user.is_staff, user.is_superuser) == (
        None,
        True,
        True,
        False,
        False,
    )
    assert user.has_perms(["personnel.view_employee", "iclock.view_transaction"])
    assert not user.has_perms(["personnel.view_employee", "personnel.change_employee"])
    assert (str(user), user.username) == ("employee 0042", "0042")


def new_password(employee: Employee) -> None:
    employee.self_password = make_password("another one 43")
    employee.save()


def new_password_by_update(employee: Employee) -> None:
    Employee.objects.filter(pk=employee.pk).update(self_password=make_password("another one 43"))


def no_password(employee: Employee) -> None:
    Employee.objects.filter(pk=employee.pk).update(self_password="")


def resign(employee: Employee) -> None:
    Resignation.objects.create(employee=employee, resign_date=timezone.localdate())


def delete(employee: Employee) -> None:
    employee.delete()


def revoke(employee: Employee) -> None:
    revoke_staff_tokens([employee.pk])


ends = pytest.mark.parametrize("end", [new_password, new_password_by_update, no_password, resign, delete, revoke])


@each_kind
@ends
def test_it_ends_at_the_next_request(
    log_in: Callable[[], str], end: Callable[[Employee], None], employee: Employee
) -> None:
    header = log_in()
    before = ask(header)
    end(employee)

    assert (before, ask(header)) == ((200, None), INVALID)


@ends
def test_what_ended_is_not_refreshed(end: Callable[[Employee], None], employee: Employee) -> None:
    token = signed().removeprefix("JWT ")
    end(employee)
    response = Client().post("/jwt-api-token-refresh/", {"token": token})

    assert (response.status_code, response.json()) == (400, {"non_field_errors": ["Invalid token."]})


@each_kind
def test_a_changed_name_or_a_password_written_again_ends_nothing(log_in: Callable[[], str], employee: Employee) -> None:
    header = log_in()
    employee.first_name = "Ada"
    employee.save()

    assert (ask(header), StaffToken.objects.get().revoked_at) == ((200, None), None)


def test_a_new_password_ends_nobody_elses_token(employee: Employee) -> None:
    header = plain()
    other = Employee.objects.create(emp_code="7", department=employee.department, self_password="x")
    new_password(other)

    assert ask(header) == (200, None)


def test_after_a_new_password_the_login_gives_another_token(employee: Employee) -> None:
    first = plain()
    employee.self_password = make_password(PASSWORD)
    employee.save()
    second = plain()

    assert (first == second, ask(first), ask(second)) == (False, INVALID, (200, None))


def test_a_signed_token_is_refreshed_for_a_week(employee: Employee) -> None:
    token = signed().removeprefix("JWT ")
    response = Client().post("/jwt-api-token-refresh/", {"token": token})
    claims = Signer("staff").read(token)
    assert claims is not None
    old = Signer("staff").sign(claims, first_login=int((timezone.now() - timedelta(days=7)).timestamp()))

    assert ask(f"JWT {response.json()['token']}") == (200, None)
    assert Client().post("/jwt-api-token-refresh/", {"token": old}).json() == {
        "non_field_errors": ["This login is too old to be refreshed; log in again."]
    }


def test_a_signed_token_whose_day_is_over_says_so(employee: Employee) -> None:
    claims = Signer("staff").read(signed().removeprefix("JWT "))
    assert claims is not None
    old = Signer("staff").sign(claims, now=timezone.now() - timedelta(days=2))

    assert ask(f"JWT {old}") == (401, "Token expired.")


def test_tokens_of_one_kind_are_none_of_another(employee: Employee) -> None:
    user = User.objects.create_superuser("admin")
    staff = plain().removeprefix("Token "), signed().removeprefix("JWT ")

    assert (verify_token(staff[0]), verify_signed_token(staff[1])) == (None, None)
    assert verify_staff_token(issue_token(user)) is None
    assert verify_signed_staff_token(issue_signed_token(user)) is None
    assert refresh_signed_staff_token(issue_signed_token(user)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"employee_id": None},
        {"employee_id": "1"},
        {"employee_id": True},
        {"employee_id": 2**70},
        {"staff_token": None},
        {"staff_token": 7},
        {"staff_token": "x"},
        {"staff_token": "0" * 32},
    ],
)
def test_a_signed_token_with_other_claims_is_none(change: dict[str, Any], employee: Employee) -> None:
    claims = Signer("staff").read(signed().removeprefix("JWT "))

    assert ask("JWT " + Signer("staff").sign({**(claims or {}), **change})) == INVALID


def test_another_employees_id_in_ones_own_claims_leads_nowhere(employee: Employee) -> None:
    other = Employee.objects.create(emp_code="7", department=employee.department)
    claims = Signer("staff").read(signed().removeprefix("JWT "))

    assert ask("JWT " + Signer("staff").sign({**(claims or {}), "employee_id": other.pk})) == INVALID


def test_a_users_request_asks_nothing_about_employees_tokens() -> None:
    user = User.objects.create_superuser("admin")
    headers = [f"Token {issue_token(user)}", f"JWT {issue_signed_token(user)}"]
    with CaptureQueriesContext(connection) as asked:
        statuses = [ask(header, TERMINALS)[0] for header in headers]

    assert (statuses, [query for query in asked if "stafftoken" in query["sql"]]) == ([200, 200], [])


def test_the_last_use_is_noted(employee: Employee) -> None:
    header = plain()
    before = StaffToken.objects.get().last_used_at
    ask(header)

    assert (before, StaffToken.objects.get().last_used_at is None) == (None, False)


def test_administrators_list_and_revoke_them(employee: Employee, admin_client: Client) -> None:
    header = plain()
    token = StaffToken.objects.get()
    page = admin_client.get("/admin/personnel/stafftoken/").text
    chosen = {"action": "revoke", "_selected_action": [token.pk]}
    told = admin_client.post("/admin/personnel/stafftoken/", chosen, follow=True).text

    assert (token.prefix in page, "0042" in page, "Revoked: 1." in told) == (True, True, True)
    assert ask(header) == INVALID
    assert AuditEntry.objects.values_list("actor", "subject").get() == ("admin", "employee 0042")


def test_an_employee_with_a_token_can_be_deleted_in_the_administration(
    employee: Employee, admin_client: Client
) -> None:
    plain()
    admin_client.post(reverse("admin:personnel_employee_delete", args=[employee.pk]), {"post": "yes"})

    assert (Employee.objects.count(), StaffToken.objects.count()) == (0, 0)
