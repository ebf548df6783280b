"""POST /jwt-api-token-auth/: a name and a password for a signed token, and requests that carry one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from zkbio.accounts.domain.signed_tokens import issue_signed_token
from zkbio.accounts.domain.signing import Signer
from zkbio.accounts.models import LoginFailure, User

from .conftest import PASSWORD

pytestmark = pytest.mark.django_db
PATH = "/jwt-api-token-auth/"
READ = "/iclock/api/terminals/"


def log_in(body: dict[str, Any], *, path: str = PATH, kind: str = "application/json") -> Any:
    return Client().post(path, body, content_type=kind)


def read(authorization: str) -> tuple[int, Any, str | None]:
    """Status, detail and WWW-Authenticate of a request."""
    response = Client().get(READ, headers={"Authorization": authorization})
    return response.status_code, response.json().get("detail"), response.headers.get("WWW-Authenticate")


def unverified(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


GOOD = [
    {"username": "Admin", "password": PASSWORD},
    {"company": "ACME", "email": "admin", "password": PASSWORD, "extra": [1]},
]


@pytest.mark.parametrize("path", [PATH, "/jwt-api-token-auth", "http://testserver//jwt-api-token-auth//"])
@pytest.mark.parametrize("body", GOOD)
def test_a_name_and_its_password_give_a_token_that_reads(body: dict[str, Any], path: str, admin: User) -> None:
    response = log_in(body, path=path)

    assert (response.status_code, list(response.json())) == (200, ["token"])
    assert read(f"JWT {response.json()['token']}") == (200, None, None)


def test_form_and_multipart_bodies_log_in_too(admin: User) -> None:
    body = {"username": "admin", "password": PASSWORD}

    multipart = Client().post(PATH, body)
    form = Client().post(PATH, "username=admin&password=open+sesame+42", "application/x-www-form-urlencoded")

    assert [unverified(answer.json()["token"])["user_id"] for answer in (multipart, form)] == [admin.pk] * 2


@pytest.mark.parametrize("scheme", ["JWT", "jwt", "Jwt"])
def test_the_scheme_counts_in_any_letter_case(scheme: str, admin: User) -> None:
    assert read(f"{scheme} {issue_signed_token(admin)}") == (200, None, None)


@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
def test_under_another_scheme_a_signed_token_is_none(scheme: str, admin: User) -> None:
    assert read(f"{scheme} {issue_signed_token(admin)}")[0] == 401


def test_it_carries_the_documented_claims_and_lives_for_a_day(admin: User) -> None:
    User.objects.update(revocations=3)
    before = int(timezone.now().timestamp())
    token = log_in(GOOD[0]).json()["token"]
    claims = unverified(token)

    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert sorted(claims) == ["exp", "iat", "jti", "orig_iat", "revocations", "user_id", "username"]
    assert (claims["user_id"], claims["username"], claims["revocations"]) == (admin.pk, "admin", 3)
    assert (claims["exp"] - claims["iat"], claims["orig_iat"]) == (86_400, claims["iat"])
    assert before <= claims["iat"] <= before + 60


def test_every_login_gives_another_serial(admin: User) -> None:
    serials = {unverified(log_in(GOOD[0]).json()["token"])["jti"] for _ in range(2)}

    assert len(serials) == 2


def test_its_life_is_a_setting(admin: User, settings: Any) -> None:
    settings.JWT_LIFE_HOURS = 2
    claims = unverified(issue_signed_token(admin))

    assert claims["exp"] - claims["iat"] == 7200


def test_a_token_whose_day_is_over_says_so(admin: User) -> None:
    claims = {"user_id": admin.pk, "username": "admin", "revocations": 0}
    now = timezone.now()
    young = Signer("user").sign(claims, now=now - timedelta(hours=23, minutes=59))
    old = Signer("user").sign(claims, now=now - timedelta(hours=24, seconds=1))

    assert read(f"JWT {young}") == (200, None, None)
    assert read(f"JWT {old}") == (401, "Token expired.", "Token")


def test_a_token_that_is_over_says_so_in_spanish(admin: User) -> None:
    old = Signer("user").sign({}, now=timezone.now() - timedelta(days=2))
    headers = {"Authorization": f"JWT {old}", "Accept-Language": "es"}

    assert Client().get(READ, headers=headers).json() == {"detail": "El token ha caducado."}


@pytest.mark.parametrize(
    "body", [{"username": "admin", "password": "wrong"}, {"email": "nobody@example.com", "password": PASSWORD}]
)
def test_a_wrong_pair_is_refused_as_at_the_other_logins(body: dict[str, Any], admin: User) -> None:
    response = log_in(body)

    assert response.status_code == 400
    assert response.json() == {"non_field_errors": ["Unable to log in with provided credentials."]}


def test_missing_fields_are_named() -> None:
    response = log_in({})

    required = ["This field is required."]
    assert (response.status_code, response.json()) == (400, {"username": required, "password": required})


def test_failures_count_together_with_those_at_the_other_logins(admin: User) -> None:
    wrong = {"username": "admin", "password": "wrong"}
    answers = [log_in(wrong, path=path).status_code for path in ["/api-token-auth/", PATH] * 3]

    assert answers == [400] * 5 + [429]


def test_a_body_above_sixteen_kilobytes_is_not_read() -> None:
    assert log_in({"username": "x" * 17_000, "password": "x"}).status_code == 413
    assert LoginFailure.objects.count() == 0


def test_a_request_asks_for_its_user_once(admin: User) -> None:
    header = f"JWT {issue_signed_token(admin)}"
    read(header)
    with CaptureQueriesContext(connection) as asked:
        read(header)

    assert sum("accounts_" in query["sql"] for query in asked) == 1
