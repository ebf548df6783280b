"""Guessing passwords is slow, and only for who guesses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.db import connection
from django.db.models import F
from django.test import Client, RequestFactory
from django.utils import timezone

from zkbio.accounts.domain.logins import log_in
from zkbio.accounts.domain.throttle import (
    LoginThrottledError,
    count_attempt,
    purge_spent_counters,
    withdraw_attempt,
)
from zkbio.accounts.models import LoginFailure, User

from .conftest import PASSWORD

pytestmark = pytest.mark.django_db


def outcome(name: str, password: str, address: str) -> str:
    try:
        return "in" if log_in(name, password, address=address) else "refused"
    except LoginThrottledError:
        return "held back"


def guess(times: int, *, name: str = "admin", address: str = "10.0.0.1") -> list[str]:
    return [outcome(name, "wrong", address) for _ in range(times)]


def let_time_pass() -> None:
    # Well before: PostgreSQL's clock stands still during a transaction, and a test is one.
    LoginFailure.objects.update(expires_at=timezone.now() - timedelta(hours=1))


def let_a_minute_pass() -> None:
    """The windows of a minute end, the longer ones don't."""
    now = timezone.now()
    LoginFailure.objects.filter(expires_at__lt=now + timedelta(minutes=2)).update(expires_at=now - timedelta(hours=1))


def test_the_sixth_failure_of_a_user_from_an_address_is_held_back(admin: User) -> None:
    assert guess(7) == ["refused"] * 5 + ["held back"] * 2


def test_while_held_back_even_the_right_password_waits(admin: User) -> None:
    guess(6)

    assert outcome("ADMIN", PASSWORD, "10.0.0.1") == "held back"


def test_names_nobody_has_are_held_back_alike() -> None:
    assert guess(6, name="nobody") == ["refused"] * 5 + ["held back"]


def test_a_window_ends_though_refused_attempts_went_on(admin: User) -> None:
    guess(50)
    let_time_pass()

    assert outcome("admin", PASSWORD, "10.0.0.1") == "in"


def test_a_window_isnt_prolonged_by_attempts_inside_it(admin: User) -> None:
    guess(1)
    ends = set(LoginFailure.objects.values_list("expires_at", flat=True))
    LoginFailure.objects.update(expires_at=F("expires_at") - timedelta(seconds=7))
    guess(10)

    assert {row.expires_at + timedelta(seconds=7) for row in LoginFailure.objects.all()} == ends


def test_good_logins_use_nothing_up(admin: User) -> None:
    answers = {outcome("admin", PASSWORD, "10.0.0.1") for _ in range(101)}

    assert (answers, max(LoginFailure.objects.values_list("failures", flat=True))) == ({"in"}, 0)


def test_a_good_login_forgets_the_failures_before_it(admin: User) -> None:
    answers = [*guess(4), outcome("admin", PASSWORD, "10.0.0.1"), *guess(5)]

    assert answers == ["refused"] * 4 + ["in"] + ["refused"] * 5


def test_failures_from_elsewhere_hold_nobody_back(admin: User) -> None:
    guess(50, address="10.0.0.66")

    assert outcome("admin", PASSWORD, "10.0.0.1") == "in"


def test_many_addresses_on_one_name_are_held_back_for_a_minute_at_most(admin: User) -> None:
    for host in range(4):
        guess(5, address=f"10.0.1.{host}")

    assert outcome("admin", PASSWORD, "10.0.2.1") == "held back"
    assert max(row.expires_at for row in LoginFailure.objects.filter(failures=21)) < timezone.now() + timedelta(
        minutes=1
    )


def test_an_address_the_user_came_from_lately_is_not_kept_out_by_strangers(admin: User) -> None:
    first = outcome("admin", PASSWORD, "10.0.2.1")
    for host in range(10):
        guess(5, address=f"10.0.1.{host}")

    assert (first, outcome("admin", PASSWORD, "10.0.2.1")) == ("in", "in")


def test_one_address_that_tries_many_names_at_once_is_held_back_for_a_minute(admin: User) -> None:
    tried = [outcome(f"name{number}", "wrong", "10.0.0.1") for number in range(21)]
    let_a_minute_pass()

    assert tried == ["refused"] * 20 + ["held back"]
    assert outcome("name21", "wrong", "10.0.0.1") == "refused"


def test_one_address_that_tries_many_names_slowly_is_held_back(admin: User) -> None:
    tried = []
    for number in range(101):
        if number % 20 == 0:
            let_a_minute_pass()
        tried.append(outcome(f"name{number}", "wrong", "10.0.0.1"))

    assert tried == ["refused"] * 100 + ["held back"]


def test_an_attempt_whose_password_nobody_looked_at_is_withdrawn(admin: User) -> None:
    guess(4)
    attempt = count_attempt("admin", "10.0.0.1")
    withdraw_attempt(attempt)

    assert guess(2) == ["refused", "held back"]
    assert LoginFailure.objects.filter(trusted_until=None).count() == LoginFailure.objects.count()


def test_a_program_with_a_wrong_password_doesnt_hold_back_its_neighbours(admin: User) -> None:
    User.objects.create_user("payroll", password=PASSWORD)
    guess(300)

    assert outcome("payroll", PASSWORD, "10.0.0.1") == "in"


def test_an_ipv6_customer_is_one_place_and_a_mapped_address_is_its_ipv4(admin: User) -> None:
    for host in range(5):
        guess(1, address=f"2001:db8:1:1::{host:x}")
    guess(5, address="10.0.0.1")

    assert guess(1, address="2001:db8:1:1:ffff::1") == ["held back"]
    assert guess(1, address="2001:db8:1:2::1") == ["refused"]
    assert guess(1, address="::ffff:10.0.0.1") == ["held back"]


def test_the_table_names_nobody_and_empties_itself(admin: User) -> None:
    guess(3)
    keys = "".join(LoginFailure.objects.values_list("key", flat=True))
    let_time_pass()
    dropped = purge_spent_counters()

    assert ("admin" in keys, "10.0.0.1" in keys, dropped, LoginFailure.objects.count()) == (False, False, 4, 0)


def test_a_throttled_login_is_a_429_that_says_when_to_come_back(admin: User) -> None:
    guess(5, address="127.0.0.1")

    response = Client().post("/api-token-auth/", {"username": "admin", "password": PASSWORD})

    wait = int(response.headers["Retry-After"])
    assert (response.status_code, 880 < wait <= 900) == (429, True)
    assert response.json() == {"detail": f"Too many failed logins. Try again in {wait} seconds."}


def test_basic_credentials_are_throttled_too(admin: User) -> None:
    guess(5, address="127.0.0.1")

    assert Client().get("/iclock/api/terminals/", headers={"Authorization": "Basic YWRtaW46eA=="}).status_code == 429


def test_djangos_own_login_is_throttled_too(admin: User) -> None:
    request = RequestFactory().post("/admin/login/")
    before = authenticate(request, username="admin", password=PASSWORD)
    guess(5, address="127.0.0.1")

    assert (before, authenticate(request, username="admin", password=PASSWORD)) == (admin, None)


def test_behind_a_trusted_proxy_the_address_is_the_one_the_proxy_saw(admin: User, settings: Any) -> None:
    settings.TRUST_PROXY = True
    guess(5, address="10.9.9.9")
    body = {"username": "admin", "password": PASSWORD}

    held = Client().post("/api-token-auth/", body, headers={"X-Forwarded-For": "1.2.3.4, 10.9.9.9"})
    free = Client().post("/api-token-auth/", body, headers={"X-Forwarded-For": "10.9.9.9, 10.9.9.8"})

    assert (held.status_code, free.status_code) == (429, 200)


@pytest.mark.django_db(transaction=True)
def test_many_guesses_at_once_dont_get_past_the_limit() -> None:
    threads = 12
    together = Barrier(threads)

    def one_guess() -> str:
        try:
            connection.ensure_connection()
            together.wait(timeout=20)
            return outcome("admin", "wrong", "10.0.0.1")
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        answers = [future.result(timeout=30) for future in [pool.submit(one_guess) for _ in range(threads)]]

    assert sorted(answers) == ["held back"] * 7 + ["refused"] * 5
