"""POST /api-token-auth/ as the manual and the cloud's clients use it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from zkbio.accounts.domain.tokens import issue_token, revoke_tokens
from zkbio.accounts.models import ApiToken, User

from .conftest import PASSWORD
from .hashing import CountingHasher

pytestmark = pytest.mark.django_db
PATH = "/api-token-auth/"
REFUSED = {"non_field_errors": ["Unable to log in with provided credentials."]}


def post(body: dict[str, Any], *, path: str = PATH, kind: str = "application/json", **headers: str) -> Any:
    return Client().post(path, body, content_type=kind, headers=headers)


GOOD = [
    {"username": "Admin", "password": PASSWORD},
    {"username": "aDMIN", "password": PASSWORD},
    {"company": "ACME", "email": "admin", "password": PASSWORD, "extra": [1]},
    {"username": None, "email": "admin", "password": PASSWORD},
    {"username": "", "email": "admin", "password": PASSWORD},
]


@pytest.mark.parametrize("path", [PATH, "/api-token-auth", "http://testserver//api-token-auth//"])
@pytest.mark.parametrize("body", GOOD)
def test_a_name_in_any_letter_case_and_its_password_give_forty_hex_digits(
    body: dict[str, Any], path: str, admin: User
) -> None:
    response = post(body, path=path)

    assert (response.status_code, list(response.json())) == (200, ["token"])
    assert re.fullmatch("[0-9a-f]{40}", response.json()["token"])


def test_form_and_multipart_bodies_log_in_too(admin: User) -> None:
    body = {"username": "admin", "password": PASSWORD}

    multipart = Client().post(PATH, body)
    form = Client().post(PATH, "username=admin&password=open+sesame+42", "application/x-www-form-urlencoded")

    assert (multipart.json(), form.json()) == ({"token": issue_token(admin)},) * 2


def test_every_login_gives_the_same_token_until_it_is_revoked(admin: User) -> None:
    first, second = post(GOOD[0]).json(), post(GOOD[0]).json()
    ended = revoke_tokens(admin)
    third = post(GOOD[0]).json()

    assert (first == second, ended, third == first) == (True, 1, False)


def test_the_token_is_not_stored(admin: User) -> None:
    token = issue_token(admin)
    row = ApiToken.objects.get()

    assert token not in row.digest
    assert token.encode() not in bytes(row.sealed)
    assert row.prefix == token[:8]


@pytest.mark.parametrize(
    "body",
    [
        {"username": "admin", "password": "wrong"},
        {"username": "nobody", "password": PASSWORD},
        {"username": "disabled", "password": PASSWORD},
        {"username": "admin", "password": f" {PASSWORD}"},
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same(body: dict[str, Any], admin: User) -> None:
    User.objects.create_user("disabled", password=PASSWORD, is_active=False)

    response = post(body)

    assert (response.status_code, response.json()) == (400, REFUSED)


@pytest.mark.parametrize("name", ["nobody", "disabled", "unusable", "admin"])
def test_every_refusal_costs_one_hash(name: str, admin: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{CountingHasher.__module__}.CountingHasher"]
    User.objects.create_user("disabled", password=PASSWORD, is_active=False)
    User.objects.create_user("unusable")
    admin.set_password(PASSWORD)
    admin.save()
    CountingHasher.hashed = 0

    post({"username": name, "password": "wrong"})

    assert CountingHasher.hashed == 1


REQUIRED = ["This field is required."]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"username": REQUIRED, "password": REQUIRED}),
        ({"username": None, "email": "", "password": "x"}, {"username": ["This field may not be null."]}),
        ({"password": "x"}, {"username": REQUIRED}),
        ({"username": "x"}, {"password": REQUIRED}),
        ({"username": "a\0b", "password": "x"}, {"username": ["Null characters are not allowed."]}),
        ({"username": ["x"], "password": "x"}, {"username": ["Not a valid string."]}),
    ],
)
def test_a_body_that_is_no_login_is_named_field_by_field(body: dict[str, Any], errors: dict[str, Any]) -> None:
    response = post(body)

    assert (response.status_code, response.json()) == (400, errors)


@pytest.mark.parametrize(
    "raw", [b"", b"[" * 10_000, b"{", b"[]", b'"x"', b"\xff\xfe", b'{"username": "\\ud800", "password": "x"}']
)
def test_a_body_that_cant_be_read_is_a_400(raw: bytes) -> None:
    assert Client().post(PATH, raw, content_type="application/json").status_code == 400


def test_the_refusal_follows_accept_language(admin: User) -> None:
    response = post({"username": "admin", "password": "wrong"}, **{"Accept-Language": "es"})

    assert response.json() == {
        "non_field_errors": ["No puede iniciar sesión con las credenciales proporcionadas."]
    }  # fmt: skip


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_a_login_is_a_post(method: str) -> None:
    assert getattr(Client(), method)(PATH).status_code == 405
