"""A new password ends the tokens of the old one, whoever sets it and wherever."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.management.commands import changepassword
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from zkbio.accounts.domain.signed_tokens import verify_signed_token
from zkbio.accounts.domain.tokens import issue_token, verify_token
from zkbio.accounts.models import User

from .conftest import PASSWORD
from .hashing import CountingHasher

pytestmark = pytest.mark.django_db

NEW = "Tr0ub4dor&3 again"


def by_the_model(user: User) -> None:
    user.set_password(NEW)
    user.save()


def by_the_model_and_its_column(user: User) -> None:
    user.set_password(NEW)
    user.save(update_fields=["password"])


def by_taking_the_password_away(user: User) -> None:
    user.set_unusable_password()
    user.save()


def by_their_own_form(user: User) -> None:
    browser = Client()
    browser.force_login(user)
    typed = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert browser.post("/admin/password_change/", typed).status_code == 302


def by_a_superuser(user: User) -> None:
    browser = Client()
    browser.force_login(User.objects.create_superuser("boss"))
    typed = {"usable_password": "true", "password1": NEW, "password2": NEW}
    path = reverse("admin:auth_user_password_change", args=[user.pk])
    assert browser.post(path, typed).status_code == 302


@pytest.mark.parametrize(
    "change",
    [by_the_model, by_the_model_and_its_column, by_taking_the_password_away, by_their_own_form, by_a_superuser],
)
def test_a_new_password_ends_the_token(change: Callable[[User], None], admin: User) -> None:
    token = issue_token(admin)

    change(admin)

    admin.refresh_from_db()
    assert (verify_token(token), admin.revocations) == (None, 1)
    assert issue_token(admin) != token


def test_the_command_ends_the_token_too(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue_token(admin)
    monkeypatch.setattr(changepassword.getpass, "getpass", lambda prompt: NEW)

    call_command("changepassword", "admin", stdout=StringIO())

    admin.refresh_from_db()
    assert (admin.check_password(NEW), verify_token(token)) == (True, None)


class SlowHasher(CountingHasher):
    """While it checks a password, somebody sets another one."""

    algorithm = "slow"

    def verify(self, password: str, encoded: str) -> bool:
        User.objects.update(password="another one", revocations=1)
        return super().verify(password, encoded)


@pytest.mark.parametrize("path", ["/api-token-auth/", "/jwt-api-token-auth/"])
def test_a_login_during_which_the_password_changes_gives_nothing_that_counts(path: str, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{SlowHasher.__module__}.SlowHasher"]
    User.objects.create_user("slow", password=PASSWORD)
    token = Client().post(path, {"username": "slow", "password": PASSWORD}).json().get("token", "")

    assert (verify_token(token), verify_signed_token(token)) == (None, None)


def test_other_changes_leave_the_token_alone(admin: User) -> None:
    token = issue_token(admin)
    admin.email = "admin@example.com"
    admin.save()

    assert verify_token(token) == admin


def test_a_hash_that_is_renewed_at_a_login_is_no_new_password(admin: User, settings: Any) -> None:
    token = issue_token(admin)
    before = admin.password
    settings.PASSWORD_HASHERS = [f"{CountingHasher.__module__}.CountingHasher", *settings.PASSWORD_HASHERS]

    answer = Client().post("/api-token-auth/", {"username": "admin", "password": PASSWORD}).json()

    admin.refresh_from_db()
    assert (answer, admin.password == before, admin.revocations) == ({"token": token}, False, 0)
