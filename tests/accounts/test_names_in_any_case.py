"""The constraint, the look-up and the throttle agree on which spellings are one user name."""

from __future__ import annotations

import pytest
from django.db import IntegrityError
from django.test import Client

from zkbio.accounts.models import User

from .conftest import PASSWORD

pytestmark = pytest.mark.django_db

# Dotless i is "I" in capitals as "i" is, long s is "S"; full-width letters are the compatibility forms of plain ones.
SPELLINGS = ["admin", "ADMIN", "adm\u0131n", "\uff41\uff44\uff4d\uff49\uff4e"]


def log_in(name: str, password: str) -> int:
    return Client().post("/api-token-auth/", {"username": name, "password": password}).status_code


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_that_leads_to_a_user_cant_be_another_users_name(spelling: str, admin: User) -> None:
    with pytest.raises(IntegrityError):
        User.objects.create_user(spelling, password="x")


def test_the_form_refuses_such_a_name(admin: User) -> None:
    boss = Client()
    boss.force_login(admin)
    typed = {"username": "adm\u0131n", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}

    response = boss.post("/admin/accounts/user/add/", typed)

    assert "A user with that username already exists." in response.text
    assert User.objects.count() == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_logs_in(spelling: str, admin: User) -> None:
    assert log_in(spelling, PASSWORD) == 200


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_held_back_together(spelling: str, admin: User) -> None:
    for _ in range(5):
        log_in("admin", "wrong")

    assert log_in(spelling, PASSWORD) == 429
