"""Punches as rows, written directly: how they come in is another test's business."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from iclock.models import Terminal, Transaction
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User

Reader = Callable[..., Any]
Punches = Callable[..., list[int]]


@pytest.fixture
def punches() -> Punches:
    """Rows for the given ids; keyword arguments are columns. Gives the ids back."""

    def write(*ids: int, **columns: Any) -> list[int]:
        base = {
            "terminal_sn": "CKJF201260077",
            "terminal_alias": "Front door",
            "area_alias": "ZKTeco",
            "emp_code": "100001",
            "utc_offset": 0,
            "punch_state": 0,
            "verify_type": 1,
            "source": 1,
            "is_attendance": True,
        } | columns
        rows = []
        for number in ids:
            moment = datetime.fromtimestamp(1_700_000_000 + number, UTC)
            times = {"punch_time": moment.replace(tzinfo=None), "punched_at": moment, "upload_time": moment}
            rows.append(Transaction(id=number, **(times | base)))
        Transaction.objects.bulk_create(rows)
        return list(ids)

    return write


@pytest.fixture
def hr() -> User:
    """A user that may read terminals and punches, and nothing else."""
    user = User.objects.create_user("hr", password="open sesame 42")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_terminal", "view_transaction"]))
    return user


@pytest.fixture
def token_client(hr: User) -> Client:
    return Client(headers={"Authorization": f"Token {issue_token(hr)}"})


@pytest.fixture
def get(token_client: Client) -> Reader:
    """GET a path with parameters, as the reader; gives the decoded body of a 200."""

    def read(path: str, status: int = 200, **parameters: Any) -> Any:
        response = token_client.get(path, parameters)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        assert response.status_code == status, body
        return orjson.loads(body)

    return read


@pytest.fixture
def terminal() -> Terminal:
    """The unit of the vendor's manual."""
    return Terminal.objects.create(sn="CKJF201260077", alias="Auto add", ip_address="10.8.12.241")
