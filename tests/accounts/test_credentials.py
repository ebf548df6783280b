"""Tokens, names and passwords on requests, and what a request without good ones is told."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from zkbio.accounts.domain.tokens import issue_token, revoke_tokens
from zkbio.accounts.models import ApiToken, User

from .conftest import PASSWORD
from .hashing import CountingHasher

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/terminals/"


def ask(authorization: str | None = None, **headers: str) -> tuple[int, Any, str | None]:
    """Status, detail and WWW-Authenticate of a request."""
    sent = headers if authorization is None else {**headers, "Authorization": authorization}
    response = Client().get(PATH, headers=sent)
    return response.status_code, response.json().get("detail"), response.headers.get("WWW-Authenticate")


def basic(username: str = "admin", password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


GOOD = (200, None, None)
MISSING = (401, "Authentication credentials were not provided.", "Token")
INVALID = (401, "Invalid token.", "Token")
WRONG_PAIR = (401, "Invalid username/password.", "Token")
CROSS_SITE = (401, "A name and password are not accepted on requests from other sites.", "Token")


def test_without_credentials(admin: User) -> None:
    assert ask() == MISSING


@pytest.mark.parametrize(
    "header", ["Token", "Token ", "Token x", "Token a b", "Token " + "0" * 40, "Token " + "é" * 40, "token \x00"]
)
def test_a_token_that_is_none(header: str, admin: User) -> None:
    assert ask(header) == INVALID


@pytest.mark.parametrize("header", ["Bearer abc", "JWTs a.b.c", "nonsense"])
def test_a_scheme_we_dont_speak_is_no_credential(header: str) -> None:
    assert ask(header) == MISSING


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN"])
def test_a_good_token(scheme: str, admin: User) -> None:
    assert ask(f"{scheme} {issue_token(admin)}") == GOOD


def test_a_revoked_token_is_dead_and_its_user_logs_in_anew(admin: User) -> None:
    old = issue_token(admin)
    revoke_tokens(admin)
    admin.refresh_from_db()

    assert (ask(f"Token {old}"), ask(f"Token {issue_token(admin)}"), admin.revocations) == (INVALID, GOOD, 1)


def test_a_token_is_dead_while_its_user_is_disabled(admin: User) -> None:
    header = f"Token {issue_token(admin)}"
    User.objects.update(is_active=False)
    disabled = ask(header)
    User.objects.update(is_active=True)

    assert (disabled, ask(header)) == (INVALID, GOOD)


def test_the_last_use_is_written_at_most_once_a_minute(admin: User) -> None:
    header = f"Token {issue_token(admin)}"
    ask(header)
    noted = ApiToken.objects.get().last_used_at
    ask(header)
    again = ApiToken.objects.get().last_used_at
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
    ask(header)
    later = ApiToken.objects.get().last_used_at

    assert noted is not None
    assert later is not None
    assert (again == noted, later > noted) == (True, True)


@pytest.mark.parametrize("name", ["admin", "ADMIN"])
def test_a_good_name_and_password(name: str, admin: User) -> None:
    assert ask(basic(name)) == GOOD


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "wrong"), ("nobody", PASSWORD), ("ad\0min", PASSWORD), ("", ""), ("x" * 300, "x")]
)
def test_a_wrong_name_or_password(name: str, password: str, admin: User) -> None:
    assert ask(basic(name, password)) == WRONG_PAIR


def test_a_verified_pair_is_not_hashed_again_for_a_while(admin: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{CountingHasher.__module__}.CountingHasher"]
    admin.set_password(PASSWORD)
    admin.save()
    CountingHasher.hashed = 0

    answers = [ask(basic()) for _ in range(5)]

    assert (answers, CountingHasher.hashed) == ([GOOD] * 5, 1)


def test_a_new_password_counts_at_the_next_request(admin: User) -> None:
    before = ask(basic())
    admin.set_password("another one 43")
    admin.save()

    assert (before, ask(basic()), ask(basic(password="another one 43"))) == (GOOD, WRONG_PAIR, GOOD)


def test_a_disabled_user_counts_at_the_next_request(admin: User) -> None:
    before = ask(basic())
    User.objects.update(is_active=False)

    assert (before, ask(basic())) == (GOOD, WRONG_PAIR)


OWN = [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://testserver"}]
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://testserver:81"},
]


@pytest.mark.parametrize("headers", OWN)
def test_a_password_is_accepted_from_programs_and_our_own_pages(headers: dict[str, str], admin: User) -> None:
    assert ask(basic(), **headers) == GOOD


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_password_is_refused_on_requests_caused_by_other_sites(headers: dict[str, str], admin: User) -> None:
    assert ask(basic(), **headers) == CROSS_SITE


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_token_is_accepted_wherever_the_page_comes_from(headers: dict[str, str], admin: User) -> None:
    assert ask(f"Token {issue_token(admin)}", **headers) == GOOD


def test_a_trusted_origin_is_not_foreign(admin: User, settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://hr.example"]

    assert ask(basic(), Origin="https://hr.example", **{"Sec-Fetch-Site": "cross-site"}) == GOOD


@pytest.mark.parametrize("headers", OWN)
def test_a_session_reads_from_our_own_pages(headers: dict[str, str], admin: User) -> None:
    browser = Client()
    browser.force_login(admin)

    assert browser.get(PATH, headers=headers).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_session_is_no_credential_on_requests_caused_by_other_sites(headers: dict[str, str], admin: User) -> None:
    browser = Client()
    browser.force_login(admin)

    assert browser.get(PATH, headers=headers).json() == {"detail": MISSING[1]}


@pytest.mark.parametrize("path", [PATH, f"{PATH}1/", "/iclock/api/transactions/", "/iclock/api/transactions/1/"])
@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_a_user_without_permissions_reads_nothing(path: str, method: str) -> None:
    fresh = User.objects.create_user("fresh")

    response = getattr(Client(), method)(path, headers={"Authorization": f"Token {issue_token(fresh)}"})

    assert response.status_code == 403


def test_a_refusal_says_so_in_a_sentence() -> None:
    fresh = User.objects.create_user("fresh")

    detail = "You do not have permission to perform this action."
    assert ask(f"Token {issue_token(fresh)}") == (403, detail, None)


def test_permissions_of_a_group_count_and_come_in_one_query() -> None:
    group = Group.objects.create(name="readers")
    group.permissions.set(Permission.objects.filter(codename="view_terminal"))
    reader = User.objects.create_user("reader")
    reader.groups.add(group)

    with CaptureQueriesContext(connection) as queries:
        held = reader.has_perm("iclock.view_terminal"), reader.has_perm("iclock.view_transaction")

    assert (held, len(queries)) == ((True, False), 1)
