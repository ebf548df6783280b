"""POST /staff-api-token-auth/ and /staff-jwt-api-token-auth/: an employee's code and self-service password."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import jwt
import pytest
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.db import connection
from django.test import Client
from django.utils import timezone

from personnel.domain.staff import log_in_for_token, verify_signed_staff_token, verify_staff_token
from personnel.models import Department, Employee, Resignation, StaffToken
from zkbio.accounts.models import ApiToken, LoginFailure, User

pytestmark = pytest.mark.django_db
PLAIN, SIGNED = "/staff-api-token-auth/", "/staff-jwt-api-token-auth/"
PASSWORD = "open sesame 42"
REFUSED = (400, {"non_field_errors": ["Unable to log in with provided credentials."]})
both = pytest.mark.parametrize("path", [PLAIN, SIGNED])


class CountingHasher(MD5PasswordHasher):
    algorithm = "counting"
    hashed = 0

    def encode(self, password: str, salt: str) -> str:
        type(self).hashed += 1
        return super().encode(password, salt)


def hire(code: str = "0042", password: str = PASSWORD) -> Employee:
    stored = make_password(password) if password else ""
    department, _ = Department.objects.get_or_create(pk=1, defaults={"dept_code": "1", "dept_name": "Department"})
    return Employee.objects.create(emp_code=code, department=department, self_password=stored)


@pytest.fixture
def employee() -> Employee:
    return hire()


def log_in(path: str, body: dict[str, Any], *, kind: str = "application/json") -> tuple[int, Any]:
    response = Client().post(path, body, content_type=kind)
    return response.status_code, response.json()


def caller(path: str, token: str) -> Any:
    return verify_staff_token(token) if path.startswith(PLAIN[:-1]) else verify_signed_staff_token(token)


@pytest.mark.parametrize("path", [PLAIN, SIGNED, PLAIN[:-1], SIGNED[:-1]])
@pytest.mark.parametrize("name", ["username", "emp_code", "email"])
def test_code_and_password_give_a_token_of_that_employee(path: str, name: str, employee: Employee) -> None:
    status, body = log_in(path, {"company": "ACME", name: "0042", "password": PASSWORD})

    user = caller(path, body["token"])
    assert (status, list(body), user.employee_id, user.emp_code) == (200, ["token"], employee.pk, "0042")


def test_a_code_may_come_as_a_number() -> None:
    hire("42")

    assert log_in(PLAIN, {"username": 42, "password": PASSWORD})[0] == 200


@both
def test_form_and_multipart_bodies_log_in_too(path: str, employee: Employee) -> None:
    multipart = Client().post(path, {"username": "0042", "password": PASSWORD})
    form = Client().post(path, "emp_code=0042&password=open+sesame+42", "application/x-www-form-urlencoded")

    assert (multipart.status_code, form.status_code) == (200, 200)


def test_the_plain_token_is_the_same_at_every_login_and_not_stored(employee: Employee) -> None:
    body = {"username": "0042", "password": PASSWORD}
    first, second = log_in(PLAIN, body)[1]["token"], log_in(PLAIN, body)[1]["token"]
    row = StaffToken.objects.get()

    assert re.fullmatch("[0-9a-f]{40}", first)
    assert (first == second, row.prefix, first in row.digest) == (True, first[:8], False)
    assert first.encode() not in bytes(row.sealed)


def test_the_signed_token_names_the_employee_and_lives_for_a_day(employee: Employee) -> None:
    token = log_in(SIGNED, {"username": "0042", "password": PASSWORD})[1]["token"]
    claims = jwt.decode(token, options={"verify_signature": False})

    assert sorted(claims) == ["employee_id", "exp", "iat", "jti", "orig_iat", "staff_token", "username"]
    assert (claims["employee_id"], claims["username"]) == (employee.pk, "0042")
    assert claims["exp"] - claims["iat"] == 86_400


def resign(employee: Employee) -> None:
    Resignation.objects.create(employee=employee, resign_date=timezone.localdate())


def delete(employee: Employee) -> None:
    employee.delete()


def take_the_password(employee: Employee) -> None:
    Employee.objects.update(self_password="")


@both
@pytest.mark.parametrize("change", [resign, delete, take_the_password])
def test_who_left_or_has_no_password_is_refused(
    path: str, change: Callable[[Employee], None], employee: Employee
) -> None:
    change(employee)

    assert log_in(path, {"username": "0042", "password": PASSWORD}) == REFUSED


@both
@pytest.mark.parametrize(
    "pair", [("0042", "wrong"), ("42", PASSWORD), ("nobody", PASSWORD), ("0042", f" {PASSWORD}"), ("x" * 250, PASSWORD)]
)
def test_a_wrong_pair_is_refused_alike(path: str, pair: tuple[str, str], employee: Employee) -> None:
    assert log_in(path, dict(zip(("username", "password"), pair, strict=True))) == REFUSED


@both
def test_an_employee_without_a_password_is_refused(path: str) -> None:
    hire(password="")

    assert log_in(path, {"username": "0042", "password": "x"}) == REFUSED


@pytest.mark.parametrize("code", ["nobody", "0042", "resigned", "without"])
def test_every_refusal_costs_one_hash(code: str, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{CountingHasher.__module__}.CountingHasher"]
    hire()
    resign(hire("resigned"))
    hire("without", password="")
    CountingHasher.hashed = 0
    answer = log_in(PLAIN, {"username": code, "password": "wrong"})

    assert (answer, CountingHasher.hashed) == (REFUSED, 1)


def test_missing_fields_are_named() -> None:
    required = ["This field is required."]

    assert log_in(PLAIN, {}) == (400, {"username": required, "password": required})


@both
def test_a_user_of_the_platform_is_no_employee(path: str) -> None:
    User.objects.create_user("0042", password=PASSWORD)

    assert log_in(path, {"username": "0042", "password": PASSWORD}) == REFUSED


def test_an_employee_is_no_user_of_the_platform(employee: Employee) -> None:
    assert log_in("/api-token-auth/", {"username": "0042", "password": PASSWORD}) == REFUSED
    assert ApiToken.objects.count() == 0


def test_failures_are_counted_for_both_paths_together(employee: Employee) -> None:
    wrong = {"username": "0042", "password": "wrong"}
    answers = [log_in(path, wrong)[0] for path in [PLAIN, SIGNED] * 3]

    assert answers == [400] * 5 + [429]


def test_failures_of_a_code_do_not_hold_back_the_user_of_that_name(employee: Employee) -> None:
    User.objects.create_user("0042", password=PASSWORD)
    for _ in range(6):
        log_in(PLAIN, {"username": "0042", "password": "wrong"})

    assert log_in("/api-token-auth/", {"username": "0042", "password": PASSWORD})[0] == 200
    assert log_in(PLAIN, {"username": "0042", "password": PASSWORD})[0] == 429


def test_an_address_that_tries_many_codes_is_held_back() -> None:
    answers = [log_in(PLAIN, {"username": f"c{number}", "password": "x"})[0] for number in range(21)]

    assert answers == [400] * 20 + [429]


@both
def test_a_body_above_sixteen_kilobytes_is_not_read(path: str) -> None:
    assert log_in(path, {"username": "x" * 17_000, "password": "x"})[0] == 413
    assert LoginFailure.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_concurrent_first_logins_give_one_token() -> None:
    hire()
    threads = 5  # as many as may try at once
    together = Barrier(threads)

    def first_login() -> str | None:
        try:
            connection.ensure_connection()
            together.wait(timeout=20)
            return log_in_for_token("0042", PASSWORD, address="10.0.0.1")
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        tokens = {future.result(timeout=30) for future in [pool.submit(first_login) for _ in range(threads)]}

    assert (len(tokens), StaffToken.objects.count()) == (1, 1)


class SlowHasher(CountingHasher):
    """While it checks a password, somebody sets another one."""

    algorithm = "slow"

    def verify(self, password: str, encoded: str) -> bool:
        Employee.objects.update(self_password="another one")
        return super().verify(password, encoded)


@both
def test_a_password_that_is_changed_while_it_is_checked_gives_no_token(path: str, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{SlowHasher.__module__}.SlowHasher"]
    hire()

    assert (log_in(path, {"username": "0042", "password": PASSWORD}), StaffToken.objects.count()) == (REFUSED, 0)
