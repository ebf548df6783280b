"""Somebody who may do everything, and how they ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from django.http import HttpResponseBase
from django.test import Client

from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User

Ask = Callable[..., tuple[int, Any]]
WRONG_UNIT = "En la dirección del dispositivo responde otro terminal que el que le corresponde."


def answered(response: HttpResponseBase) -> tuple[int, Any]:
    """The status, and what the JSON says."""
    return response.status_code, orjson.loads(response.getvalue())


def asker(user: User, **headers: str) -> Ask:
    """``ask("GET", "/devices", body)`` as ``user``: the status and the answer."""
    token = issue_token(user)

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        client = Client(headers={"Authorization": f"Token {token}", **headers})
        sent: dict[str, Any] = {} if body is None else {"data": orjson.dumps(body), "content_type": "application/json"}
        return answered(client.generic(method, path, **sent))

    return ask


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("Admin", password="admin123")


@pytest.fixture
def ask(admin: User) -> Ask:
    """Without a language: the answers are Spanish."""
    return asker(admin)


@pytest.fixture
def ask_in_english(admin: User) -> Ask:
    return asker(admin, **{"Accept-Language": "en"})
