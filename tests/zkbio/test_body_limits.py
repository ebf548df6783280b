"""Bodies are refused by their length, before anything reads them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.test import Client

from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.api.bodies import body_limit

pytestmark = pytest.mark.django_db
MEGABYTE = 1024 * 1024


class Untouched(io.RawIOBase):
    """A body that fails the test when it is read."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError(f"{size} bytes were read")


def post(path: str, length: str, kind: str = "application/json", **extra: Any) -> Any:
    environ = {"CONTENT_LENGTH": length, "CONTENT_TYPE": kind, "wsgi.input": Untouched(), **extra}
    return Client().post(path, **environ)


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api-token-auth/", 16 * 1024),
        ("/api-token-auth", 16 * 1024),
        ("http://testserver//api-token-auth//", 16 * 1024),
        ("/jwt-api-token-auth/", 16 * 1024),
        ("/jwt-api-token-refresh", 16 * 1024),
        ("/staff-api-token-auth/", 16 * 1024),
        ("/staff-jwt-api-token-auth/", 16 * 1024),
        ("/admin/login/", 16 * 1024),
        ("/admin/accounts/user/add/", 256 * 1024),
        ("/iclock/api/terminals/", 20 * MEGABYTE),
        ("/nothing/", 20 * MEGABYTE),
    ],
)
def test_a_body_above_the_limit_of_its_path_is_refused_unread(path: str, limit: int, kind: str) -> None:
    response = post(path, str(limit + 1), kind)

    assert (response.status_code, response.json()) == (
        413,
        {"detail": f"The body is too large: {limit} bytes at most are read here."},
    )


def test_a_body_of_exactly_the_limit_is_read() -> None:
    User.objects.create_user("hr", password="open sesame 42")
    login = b'{"username": "hr", "password": "open sesame 42"}'

    response = Client().post("/api-token-auth/", login.ljust(body_limit("/api-token-auth/")), "application/json")

    assert response.status_code == 200


def test_the_api_reads_what_a_login_does_not() -> None:
    token = issue_token(User.objects.create_superuser("admin"))

    response = Client().post(
        "/iclock/api/terminals/", b" " * MEGABYTE, "application/json", headers={"Authorization": f"Token {token}"}
    )

    # A thousand thousand blanks are read, and are no JSON.
    assert (response.status_code, list(response.json())) == (400, ["detail"])


def test_the_limit_is_a_setting(settings: Any) -> None:
    settings.BODY_LIMITS = [("/", 10)]

    assert [post("/nothing/", str(length)).status_code for length in (10, 11)] == [404, 413]


@pytest.mark.parametrize("length", ["1" * 16, "9" * 5000])
def test_a_length_without_end_is_too_large(length: str) -> None:
    assert post("/api-token-auth/", length).status_code == 413


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "٣", "x"])
def test_a_length_that_is_no_number_is_a_400(length: str) -> None:
    assert post("/api-token-auth/", length).status_code == 400


@pytest.mark.parametrize("path", ["/api-token-auth/", "/iclock/api/terminals/", "/admin/login/"])
def test_a_chunked_body_is_refused_with_a_411(path: str) -> None:
    response = post(path, "", HTTP_TRANSFER_ENCODING="chunked")

    assert (response.status_code, response.json()) == (
        411,
        {"detail": "Send the body with its length; chunked bodies are not read."},
    )


def test_a_refusal_follows_accept_language() -> None:
    response = post("/api-token-auth/", "99999", HTTP_ACCEPT_LANGUAGE="es")

    assert response.json() == {"detail": "El cuerpo es demasiado grande: aquí se leen como máximo 16384 bytes."}
