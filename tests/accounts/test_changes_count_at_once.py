"""What is changed about a user counts at the next request, whichever credentials it carries."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from zkbio.accounts.domain.signed_tokens import issue_signed_token
from zkbio.accounts.domain.tokens import issue_token, revoke_tokens
from zkbio.accounts.models import ApiToken, AuditEntry, User

from .conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> User:
    group = Group.objects.create(name="readers")
    group.permissions.set(Permission.objects.filter(codename="view_terminal"))
    user = User.objects.create_user("reader", password=PASSWORD)
    user.groups.add(group)
    return user


def by_token(user: User) -> Client:
    return Client(headers={"Authorization": f"Token {issue_token(user)}"})


def by_signed_token(user: User) -> Client:
    return Client(headers={"Authorization": f"JWT {issue_signed_token(user)}"})


def by_password(user: User) -> Client:
    pair = base64.b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    return Client(headers={"Authorization": f"Basic {pair}"})


def by_session(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


each_way = pytest.mark.parametrize("way", [by_token, by_signed_token, by_password, by_session])
Way = Callable[[User], Client]


def status(client: Client) -> int:
    return client.get("/iclock/api/terminals/").status_code


@each_way
def test_a_disabled_user_is_a_stranger(way: Way, reader: User) -> None:
    client = way(reader)
    before = status(client)
    User.objects.update(is_active=False)

    assert (before, status(client)) == (200, 401)


@each_way
def test_a_deleted_user_is_a_stranger(way: Way, reader: User) -> None:
    client = way(reader)
    before = status(client)
    reader.delete()

    assert (before, status(client)) == (200, 401)


@each_way
def test_a_new_password_ends_what_the_old_one_gave(way: Way, reader: User) -> None:
    client = way(reader)
    before = status(client)
    reader.set_password("another one 43")
    reader.save()

    assert (before, status(client)) == (200, 401)


@each_way
def test_a_permission_that_is_taken_away_is_gone(way: Way, reader: User) -> None:
    client = way(reader)
    before = status(client)
    reader.groups.get().permissions.clear()

    assert (before, status(client)) == (200, 403)


@each_way
def test_a_permission_that_is_given_is_there(way: Way, reader: User) -> None:
    reader.groups.clear()
    client = way(reader)
    before = status(client)
    reader.user_permissions.set(Permission.objects.filter(codename="view_terminal"))

    assert (before, status(client)) == (403, 200)


@pytest.mark.parametrize("way", [by_token, by_signed_token])
def test_revoking_ends_tokens_of_both_kinds(way: Way, reader: User) -> None:
    client = way(reader)
    revoke_tokens(reader)

    assert status(client) == 401


@pytest.mark.parametrize("way", [by_token, by_signed_token])
def test_an_administrator_ends_all_tokens_of_a_user(way: Way, reader: User, admin_client: Client) -> None:
    client = way(reader)
    chosen = {"action": "end_tokens", "_selected_action": [reader.pk]}
    page = admin_client.post("/admin/accounts/user/", chosen, follow=True).text

    assert ("Users whose tokens ended: 1." in page, status(client)) == (True, 401)
    assert AuditEntry.objects.values_list("actor", "action", "subject").get() == ("admin", "end tokens", "user reader")


def test_the_list_of_tokens_names_owner_and_last_use(reader: User, admin_client: Client) -> None:
    status(by_token(reader))
    token = ApiToken.objects.get()
    page = admin_client.get("/admin/accounts/apitoken/").text

    assert token.last_used_at is not None
    assert [text in page for text in (token.prefix, "reader", "field-last_used_at")] == [True] * 3
