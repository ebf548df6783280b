"""Signed tokens that nobody here signed, or not for this."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from zkbio import crypto
from zkbio.accounts.domain.signed_tokens import issue_signed_token, verify_signed_token
from zkbio.accounts.domain.signing import Signer
from zkbio.accounts.models import User

INVALID = (401, "Invalid token.", "Token")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def answer(token: str) -> tuple[int, Any, str | None]:
    response = Client().get("/iclock/api/terminals/", headers={"Authorization": f"JWT {token}"})
    return response.status_code, response.json().get("detail"), response.headers.get("WWW-Authenticate")


def claims_of(user: User, **changes: Any) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(issue_signed_token(user), options={"verify_signature": False})
    return {**claims, **changes}


def signed(claims: dict[str, Any], **how: Any) -> str:
    """Signed as ours are, but for what is asked."""
    return jwt.encode(claims, **{"key": crypto.purpose_key("jwt user"), "algorithm": "HS256", **how})


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.django_db
def test_what_these_tests_sign_would_count(admin: User) -> None:
    assert answer(signed(claims_of(admin))) == (200, None, None)


@pytest.mark.django_db
@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none"])
def test_another_algorithm(algorithm: str, admin: User) -> None:
    key = None if algorithm == "none" else crypto.purpose_key("jwt user") * 2

    assert answer(signed(claims_of(admin), algorithm=algorithm, key=key)) == INVALID


@pytest.mark.django_db
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "RS256", "ES256", "", None, ["HS256"]])
def test_a_header_that_talks_of_another_algorithm(algorithm: object, admin: User) -> None:
    _, payload, signature = issue_signed_token(admin).split(".")
    header = part({"alg": algorithm, "typ": "JWT"})

    assert answer(f"{header}.{payload}.{signature}") == INVALID
    assert answer(f"{header}.{payload}.") == INVALID


@pytest.mark.django_db
@pytest.mark.parametrize("purpose", ["jwt staff", "jwt", ""])
def test_a_key_for_something_else(purpose: str, admin: User) -> None:
    assert answer(signed(claims_of(admin), key=crypto.purpose_key(purpose))) == INVALID


@pytest.mark.django_db
def test_the_keys_that_ours_is_derived_from(admin: User, settings: Any) -> None:
    keys = [settings.TOKEN_KEY, settings.SECRET_KEY.encode(), bytes(32)]

    assert [answer(signed(claims_of(admin), key=key)) for key in keys] == [INVALID] * 3


@pytest.mark.django_db
def test_a_new_token_key_ends_every_token(admin: User, settings: Any) -> None:
    token = issue_signed_token(admin)
    settings.TOKEN_KEY = bytes(32)

    assert answer(token) == INVALID


@pytest.mark.django_db
@pytest.mark.parametrize("missing", ["exp", "iat", "orig_iat", "jti", "user_id", "revocations"])
def test_a_claim_is_missing(missing: str, admin: User) -> None:
    claims = claims_of(admin)
    del claims[missing]

    assert answer(signed(claims)) == INVALID


WRONG = [None, "1", "x", 1.5, True, [], {}, -1, 2**31, 2**63, 2**70]


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("claim", ["user_id", "revocations"])
def test_a_claim_is_of_another_type_or_size(claim: str, wrong: object, admin: User) -> None:
    assert answer(signed(claims_of(admin, **{claim: wrong}))) == INVALID


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", ["x", 1.5, True, [], {}, None, 10**400])
@pytest.mark.parametrize("claim", ["exp", "iat", "orig_iat"])
def test_a_time_is_none(claim: str, wrong: object, admin: User) -> None:
    status, _, _ = answer(signed(claims_of(admin, **{claim: wrong})))

    assert status == 401


@pytest.mark.django_db
def test_a_user_who_is_gone(admin: User) -> None:
    token = issue_signed_token(admin)
    admin.delete()

    assert answer(token) == INVALID


@pytest.mark.django_db
@pytest.mark.parametrize("step", [-1, 1])
def test_a_revocation_counter_that_is_not_the_users(step: int, admin: User) -> None:
    User.objects.update(revocations=5)

    assert answer(signed(claims_of(admin, revocations=5 + step))) == INVALID


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "a.b.c.d", "é.é.é", "eyJhbGciOiJIUzI1NiJ9..", "x" * 7000, part([[]] * 9) + ".e.s"]
)
def test_what_is_no_signed_token_at_all(text: str, admin: User) -> None:
    assert answer(text) == INVALID


@pytest.mark.parametrize("where", ["header", "payload"])
def test_bottomless_nesting_is_read_by_nobody(where: str) -> None:
    header, payload, signature = Signer("user").sign({}).split(".")
    deep = base64.urlsafe_b64encode(b'{"x":' + b"[" * 100_000).rstrip(b"=").decode()
    token = f"{deep}.{payload}.{signature}" if where == "header" else f"{header}.{deep}.{signature}"

    assert verify_signed_token(token) is None


@given(st.text())
def test_any_text_is_refused_without_a_stumble(text: str) -> None:
    header = Signer("user").sign({}).partition(".")[0]

    assert [Signer("user").read(f"{start}{text}") for start in ("", f"{header}.")] == [None, None]


@given(st.data())
def test_a_token_with_one_other_letter_is_refused(data: st.DataObject) -> None:
    token = Signer("user").sign({"user_id": 1})
    # The last letter of a signature carries bits that stand for nothing.
    position = data.draw(st.integers(0, len(token) - 2))
    letter = data.draw(st.sampled_from(ALPHABET.replace(token[position], "")))

    assert Signer("user").read(token[:position] + letter + token[position + 1 :]) is None


@given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=8)))
def test_a_signature_of_one_kind_is_none_of_another(claims: dict[str, Any]) -> None:
    staff = Signer("staff").sign(claims)

    assert Signer("user").read(staff) is None
    assert Signer("staff").read(staff) is not None
