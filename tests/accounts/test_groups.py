"""The groups "API read" and "API write": there from the start, and an administrator's from then on."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from zkbio.accounts.domain.groups import READ, WRITE, create_groups_after_migrate, share

pytestmark = pytest.mark.django_db


def held(name: str) -> list[str]:
    """What a group holds of this app, whose permissions no group is given by default."""
    permissions = Permission.objects.filter(group__name=name, content_type__app_label="accounts")
    return sorted(permissions.values_list("codename", flat=True))


def test_both_groups_exist_after_migrating() -> None:
    assert sorted(Group.objects.filter(name__startswith="API").values_list("name", flat=True)) == [READ, WRITE]


def test_what_is_shared_for_reading_goes_to_both_and_changes_to_one() -> None:
    share("accounts", read=["User", "apitoken"], write=["User"], actions=["delete_apitoken"])

    assert held(READ) == ["view_apitoken", "view_user"]
    assert held(WRITE) == ["add_user", "change_user", "delete_apitoken", "delete_user", "view_apitoken", "view_user"]


def test_what_an_administrator_adds_stays() -> None:
    Group.objects.get(name=READ).permissions.add(Permission.objects.get(codename="change_user"))
    share("accounts", read=["User"])

    assert held(READ) == ["change_user", "view_user"]


def test_what_an_administrator_takes_away_stays_taken() -> None:
    share("accounts", read=["User", "ApiToken"])
    Group.objects.get(name=READ).permissions.remove(Permission.objects.get(codename="view_user"))
    share("accounts", read=["User", "ApiToken", "AuditEntry"])

    assert held(READ) == ["view_apitoken", "view_auditentry"]
    assert held(WRITE) == ["view_apitoken", "view_auditentry", "view_user"]


def test_a_deleted_group_comes_back_with_everything() -> None:
    share("accounts", read=["User"])
    Group.objects.get(name=READ).delete()
    create_groups_after_migrate()
    share("accounts", read=["User"])

    assert held(READ) == ["view_user"]


def test_sharing_twice_changes_nothing() -> None:
    share("accounts", read=["User"], write=["User"])
    before = held(WRITE)
    share("accounts", read=["User"], write=["User"])

    assert held(WRITE) == before


@pytest.mark.django_db(transaction=True)
def test_both_groups_come_back_after_a_flush() -> None:
    call_command("flush", interactive=False, verbosity=0)

    assert Group.objects.filter(name__in=[READ, WRITE]).count() == 2
