"""Hashing passwords stops nobody else of the process. Under gevent, so in processes of their own."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import Client

from zkbio import settings as shipped
from zkbio.accounts.domain import hashing
from zkbio.accounts.models import LoginFailure, User
from zkbio.api.errors import Unavailable

from .conftest import PASSWORD
from .hashing import CountingHasher

SENTENCE = "Too many logins at the moment; please try again in a few seconds."
GEVENT = "from gevent import monkey; monkey.patch_all(); import django, gevent, os; django.setup(); "
HASHING = "from django.contrib.auth.hashers import make_password; from zkbio.accounts.domain import hashing; "

ANOTHER_TURN = """
told = []
def hash():
    make_password("x")
    told.append("hashed")
gevent.joinall([gevent.spawn(hash), gevent.spawn(told.append, "another turn")], timeout=60)
print(*told, sep=", ")
"""
MANY = """
def hash():
    try:
        make_password("x")
        return 1
    except hashing.Unavailable:
        return 0
many = [gevent.spawn(hash) for _ in range(hashing.MOST_WAITING + 3)]
gevent.joinall(many, timeout=100)
print(sum(one.value for one in many) - hashing.MOST_WAITING)
"""
PRIORITIES = """
def niceness():
    return str(os.getpriority(os.PRIO_PROCESS, 0))
print(hashing.HashingThread().run(niceness), niceness())
"""


def under_gevent(program: str) -> str:
    command = [sys.executable, "-c", GEVENT + HASHING + program]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=True).stdout.strip()


def test_others_have_their_turn_while_a_password_is_hashed() -> None:
    assert under_gevent(ANOTHER_TURN) == "another turn, hashed"


def test_more_than_may_wait_are_told_at_once() -> None:
    assert under_gevent(MANY) == "0"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads priorities of their own")
def test_requests_go_before_hashes() -> None:
    hashes, requests = under_gevent(PRIORITIES).split()

    assert int(hashes) >= int(requests) + 10 or hashes == "19"


def test_the_hashes_are_djangos() -> None:
    arguments = (PASSWORD, "saltsaltsaltsaltsaltsa", 1000)

    assert hashing.ApartPBKDF2PasswordHasher().encode(*arguments) == PBKDF2PasswordHasher().encode(*arguments)


def test_passwords_are_hashed_apart_by_default() -> None:
    hashers: list[str] = shipped.PASSWORD_HASHERS

    assert hashers == [f"{hashing.__name__}.ApartPBKDF2PasswordHasher"]


class BusyHasher(CountingHasher):
    algorithm = "busy"

    def encode(self, password: str, salt: str) -> str:
        raise Unavailable(SENTENCE)


@pytest.fixture
def _busy(admin: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{BusyHasher.__module__}.BusyHasher", *settings.PASSWORD_HASHERS]


BASIC = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
LOGIN = {"username": "admin", "password": PASSWORD}


@pytest.mark.django_db
@pytest.mark.usefixtures("_busy")
@pytest.mark.parametrize(
    "ask",
    [
        lambda: Client().post("/api-token-auth/", LOGIN),
        lambda: Client().get("/iclock/api/terminals/", headers={"Authorization": BASIC}),
        lambda: Client().post("/admin/login/", LOGIN),
    ],
)
def test_a_login_that_finds_too_many_waiting_is_a_503_and_no_failure(ask: Callable[[], Any]) -> None:
    response = ask()

    assert (response.status_code, response.headers["Retry-After"], SENTENCE in response.text) == (503, "5", True)
    assert set(LoginFailure.objects.values_list("failures", flat=True)) == {0}
