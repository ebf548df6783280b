"""Logins and tokens in the administration: powers come from superusers only, tokens end and are never shown."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from zkbio.accounts.domain.tokens import issue_token, verify_token
from zkbio.accounts.models import ApiToken, User

pytestmark = pytest.mark.django_db

TOKENS = "/admin/accounts/apitoken/"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def change(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def form(user: User, **changes: object) -> dict[str, object]:
    limits = {f"{kind}_limits-{part}_FORMS": 0 for kind in ("department", "area") for part in ("TOTAL", "INITIAL")}
    return {**limits, "username": user.username, "language": "en", "time_zone": "UTC", "is_active": "on", **changes}


def revoke(client: Client, *tokens: ApiToken) -> str:
    chosen = {"action": "revoke", "_selected_action": [token.pk for token in tokens]}
    return client.post(TOKENS, chosen, follow=True).text


def test_a_login_is_added_with_a_password_of_its_own(admin_client):
    typed = {"username": "hr", "usable_password": "true", "password1": "Tr0ub4dor&3", "password2": "Tr0ub4dor&3"}
    assert admin_client.post("/admin/accounts/user/add/", typed).status_code == 302
    assert User.objects.get(username="hr").check_password("Tr0ub4dor&3")


def test_a_login_in_another_letter_case_is_refused(admin_client):
    User.objects.create_user("hr", password="x")
    typed = {"username": "HR", "usable_password": "true", "password1": "Tr0ub4dor&3", "password2": "Tr0ub4dor&3"}
    assert admin_client.post("/admin/accounts/user/add/", typed).status_code == 200
    assert User.objects.filter(username__iexact="hr").count() == 1


def test_revoking_ends_the_token_and_the_next_login_gets_another(admin_client):
    user = User.objects.create_user("program", password="x")
    value = issue_token(user)
    assert "Revoked: 1." in revoke(admin_client, ApiToken.objects.get())
    assert verify_token(value) is None
    assert issue_token(user) != value


def test_revoking_twice_ends_nothing_new(admin_client):
    issue_token(User.objects.create_user("program", password="x"))
    revoke(admin_client, ApiToken.objects.get())
    ended = ApiToken.objects.get().revoked_at
    assert "Revoked: 0." in revoke(admin_client, ApiToken.objects.get())
    assert ApiToken.objects.get().revoked_at == ended


@pytest.mark.parametrize(
    ("permissions", "live"), [(["view_apitoken"], True), (["view_apitoken", "change_apitoken"], False)]
)
def test_revoking_needs_the_right_to_change_tokens(permissions, live):
    value = issue_token(User.objects.create_user("program", password="x"))
    revoke(staff(*permissions), ApiToken.objects.get())
    assert (verify_token(value) is not None) is live


def test_deleting_a_login_takes_its_token_along(admin_client):
    user = User.objects.create_user("program", password="x")
    issue_token(user)
    admin_client.post(reverse("admin:accounts_user_delete", args=[user.pk]), {"post": "yes"})
    assert ApiToken.objects.count() == 0
    assert not User.objects.filter(pk=user.pk).exists()


def test_saving_the_form_does_not_take_back_a_revocation_made_meanwhile(admin_client):
    user = User.objects.create_user("program", password="x")
    with CaptureQueriesContext(connection) as asked:
        admin_client.post(change(user), form(user, email="x@example.com"))
    updates = [query["sql"] for query in asked if query["sql"].startswith('UPDATE "accounts_user"')]
    assert len(updates) == 1
    assert '"email" = ' in updates[0]
    assert "revocations" not in updates[0]


def test_who_may_change_logins_cannot_give_powers():
    client = staff("change_user", "view_user")
    clerk = User.objects.get(username="clerk")
    powers = {"is_staff": "on", "is_superuser": "on", "groups": [], "user_permissions": [Permission.objects.first().pk]}
    client.post(change(clerk), form(clerk, email="clerk@example.com", **powers))
    clerk = User.objects.get(username="clerk")
    assert clerk.email == "clerk@example.com"
    assert clerk.is_superuser is False
    assert sorted(clerk.user_permissions.values_list("codename", flat=True)) == ["change_user", "view_user"]


def test_who_may_change_logins_cannot_touch_a_superuser():
    boss = User.objects.create_superuser("boss", password="x")
    client = staff("change_user", "view_user", "delete_user")
    password = reverse("admin:auth_user_password_change", args=[boss.pk])
    typed = {"usable_password": "true", "password1": "Tr0ub4dor&3", "password2": "Tr0ub4dor&3"}
    answers = [
        client.post(change(boss), form(boss, email="x@example.com")),
        client.post(password, typed),
        client.post(reverse("admin:accounts_user_delete", args=[boss.pk]), {"post": "yes"}),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    boss.refresh_from_db()
    assert boss.check_password("x")


def touches(client: Client, user: User) -> list[int]:
    """Statuses of changing a login, setting its password and deleting it."""
    typed = {"usable_password": "true", "password1": "Tr0ub4dor&3", "password2": "Tr0ub4dor&3"}
    return [
        client.post(change(user), form(user, email="x@example.com")).status_code,
        client.post(reverse("admin:auth_user_password_change", args=[user.pk]), typed).status_code,
        client.post(reverse("admin:accounts_user_delete", args=[user.pk]), {"post": "yes"}).status_code,
    ]


def give(user: User, *codenames: str) -> None:
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))


@pytest.mark.parametrize("active", [True, False])
def test_nobody_touches_a_login_that_may_do_more(active):
    client = staff("change_user", "view_user", "delete_user")
    chief = User.objects.create_user("chief", password="x", is_staff=True, is_active=active)
    give(chief, "view_user", "change_device")
    assert touches(client, chief) == [403, 403, 403]
    chief.refresh_from_db()
    assert (chief.check_password("x"), chief.email) == (True, "")


def test_what_a_group_gives_counts_as_more():
    client = staff("change_user", "view_user", "delete_user")
    chief = User.objects.create_user("chief", password="x")
    group = Group.objects.create(name="chiefs")
    group.permissions.set(Permission.objects.filter(codename="change_device"))
    chief.groups.add(group)
    assert touches(client, chief) == [403, 403, 403]


def test_a_login_that_may_do_more_is_not_deleted_among_others():
    client = staff("change_user", "view_user", "delete_user")
    chief = User.objects.create_user("chief", password="x")
    give(chief, "change_device")
    chosen = {"action": "delete_selected", "_selected_action": [chief.pk], "post": "yes"}
    client.post("/admin/accounts/user/", chosen)
    assert User.objects.filter(pk=chief.pk).exists()


def test_a_login_that_may_do_no_more_can_be_touched():
    client = staff("change_user", "view_user", "delete_user")
    colleague = User.objects.create_user("colleague", password="x")
    give(colleague, "view_user")
    assert touches(client, colleague) == [302, 302, 302]


def test_only_superusers_change_what_groups_may_do(admin_client):
    client = staff("view_group", "add_group", "change_group", "delete_group")
    group = Group.objects.create(name="readers")
    User.objects.get(username="clerk").groups.add(group)
    everything = {"name": "readers", "permissions": list(Permission.objects.values_list("pk", flat=True))}
    page = reverse("admin:auth_group_change", args=[group.pk])
    posts = [
        (page, everything),
        ("/admin/auth/group/add/", {**everything, "name": "chiefs"}),
        (reverse("admin:auth_group_delete", args=[group.pk]), {"post": "yes"}),
    ]
    assert [client.post(where, typed).status_code for where, typed in posts] == [403, 403, 403]
    assert client.get(page).status_code == 200
    assert (Group.objects.filter(name="chiefs").count(), group.permissions.count()) == (0, 0)
    assert [admin_client.post(where, typed).status_code for where, typed in posts] == [302, 302, 302]
