"""POST /jwt-api-token-refresh/: a signed token for a signed token, for a week."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.test import Client
from django.utils import timezone

from zkbio.accounts.domain.signed_tokens import issue_signed_token, verify_signed_token
from zkbio.accounts.domain.signing import Signer
from zkbio.accounts.domain.tokens import issue_token, revoke_tokens
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db
PATH = "/jwt-api-token-refresh/"


def refresh(token: object, *, path: str = PATH) -> tuple[int, Any]:
    response = Client().post(path, {"token": token}, content_type="application/json")
    return response.status_code, response.json()


def refusal(sentence: str) -> tuple[int, Any]:
    return 400, {"non_field_errors": [sentence]}


def unverified(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def made(user: User, *, ago: timedelta, first_login_ago: timedelta) -> str:
    now = timezone.now()
    claims = {"user_id": user.pk, "username": user.username, "revocations": 0}
    return Signer("user").sign(claims, now=now - ago, first_login=int((now - first_login_ago).timestamp()))


@pytest.mark.parametrize("path", [PATH, "/jwt-api-token-refresh"])
def test_a_live_token_gives_another_that_lives_for_a_day_from_now(path: str, admin: User) -> None:
    old = made(admin, ago=timedelta(hours=20), first_login_ago=timedelta(hours=20))
    status, body = refresh(old, path=path)
    before, after = unverified(old), unverified(body["token"])

    assert (status, list(body), verify_signed_token(body["token"])) == (200, ["token"], admin)
    assert 0 <= after["iat"] - before["iat"] - 20 * 3600 <= 60
    assert after["exp"] - after["iat"] == 86_400
    assert (after["orig_iat"], after["jti"] == before["jti"]) == (before["orig_iat"], False)


def test_form_and_multipart_bodies_are_read_too(admin: User) -> None:
    token = issue_signed_token(admin)

    multipart = Client().post(PATH, {"token": token})
    form = Client().post(PATH, f"token={token}", "application/x-www-form-urlencoded")

    assert (multipart.status_code, form.status_code) == (200, 200)


def test_a_token_whose_day_is_over_is_not_refreshed(admin: User) -> None:
    token = made(admin, ago=timedelta(hours=25), first_login_ago=timedelta(hours=25))

    assert refresh(token) == refusal("Token expired.")


def test_a_week_after_the_login_its_time_to_log_in_again(admin: User) -> None:
    almost = made(admin, ago=timedelta(hours=1), first_login_ago=timedelta(days=7) - timedelta(minutes=1))
    over = made(admin, ago=timedelta(hours=1), first_login_ago=timedelta(days=7))

    assert refresh(almost)[0] == 200
    assert refresh(over) == refusal("This login is too old to be refreshed; log in again.")


def test_the_week_is_a_setting(admin: User, settings: Any) -> None:
    settings.JWT_REFRESH_DAYS = 1
    token = made(admin, ago=timedelta(hours=1), first_login_ago=timedelta(days=1))

    assert refresh(token)[0] == 400


def disable(user: User) -> None:
    User.objects.update(is_active=False)


def delete(user: User) -> None:
    user.delete()


def set_a_password(user: User) -> None:
    user.set_password("another one 43")
    user.save()


@pytest.mark.parametrize("end", [disable, delete, set_a_password, revoke_tokens])
def test_a_token_that_no_longer_counts_is_not_refreshed(end: Callable[[User], object], admin: User) -> None:
    token = issue_signed_token(admin)
    end(admin)

    assert refresh(token) == refusal("Invalid token.")


@pytest.mark.parametrize("text", ["x", "a.b.c", "0" * 40, "é" * 40])
def test_what_is_no_signed_token_is_not_refreshed(text: str, admin: User) -> None:
    assert refresh(text) == refusal("Invalid token.")


def test_a_plain_token_is_not_refreshed(admin: User) -> None:
    assert refresh(issue_token(admin)) == refusal("Invalid token.")


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (None, "This field may not be null."),
        ("", "This field may not be blank."),
        (["x"], "Not a valid string."),
        ("x" * 5000, "Ensure this field has no more than 4096 characters."),
    ],
)
def test_a_body_without_a_token_names_the_field(sent: object, sentence: str) -> None:
    assert refresh(sent) == (400, {"token": [sentence]})


def test_a_refusal_follows_accept_language(admin: User) -> None:
    token = made(admin, ago=timedelta(hours=1), first_login_ago=timedelta(days=8))
    response = Client().post(PATH, {"token": token}, headers={"Accept-Language": "es"})

    sentence = "Este inicio de sesión es demasiado antiguo para renovarlo; vuelva a iniciar sesión."
    assert response.json() == {"non_field_errors": [sentence]}
