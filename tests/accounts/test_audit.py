"""The trail of deeds: who, what, whom, from where."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.test import Client, RequestFactory
from django.urls import reverse

from zkbio.accounts.domain.audit import record
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db


def test_a_deed_is_noted_with_its_actor_subject_and_detail(admin: User) -> None:
    record(
        actor=admin, action="delete punch", subject="punch 7", detail={"day": dt.date(2026, 1, 2)}, address="10.0.0.1"
    )

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.user, entry.address) == ("admin", admin, "10.0.0.1")
    assert (entry.action, entry.subject, entry.detail) == ("delete punch", "punch 7", {"day": "2026-01-02"})


def test_a_request_brings_its_user_and_its_address_along(admin: User) -> None:
    request = RequestFactory().post("/", REMOTE_ADDR="10.0.0.9")
    request.user = admin

    entry = record(actor=request, action="approve", subject="terminal 1")

    assert (entry.user, entry.address) == (admin, "10.0.0.9")


@pytest.mark.parametrize(
    ("actor", "name"),
    [("import_employees", "import_employees"), (AnonymousUser(), "AnonymousUser"), ("x" * 300, "x" * 200)],
)
def test_an_actor_without_an_account_is_a_name(actor: object, name: str) -> None:
    entry = record(actor=actor, action="import", subject="s" * 300)

    assert (entry.actor, entry.user, entry.subject) == (name, None, "s" * 200)


def test_the_name_outlives_the_account(admin: User) -> None:
    record(actor=admin, action="approve", subject="terminal 1")
    admin.delete()

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.user) == ("admin", None)


def test_an_entry_goes_with_the_deed_that_did_not_happen(admin: User) -> None:
    @transaction.atomic
    def deed() -> None:
        record(actor=admin, action="delete punch", subject="punch 7")
        User.objects.create(username="ADMIN")

    with pytest.raises(IntegrityError):
        deed()

    assert AuditEntry.objects.count() == 0


def test_nobody_writes_the_trail_by_hand(admin_client: Client, admin_user: User) -> None:
    entry = record(actor=admin_user, action="approve", subject="terminal 1")
    change, delete = (reverse(f"admin:accounts_auditentry_{verb}", args=[entry.pk]) for verb in ("change", "delete"))

    assert "terminal 1" in admin_client.get("/admin/accounts/auditentry/").text
    assert "terminal 1" in admin_client.get(change).text
    assert [admin_client.post(path, {"subject": "x"}).status_code for path in (change, delete)] == [403, 403]
    assert admin_client.get("/admin/accounts/auditentry/add/").status_code == 403


def test_the_trail_can_be_searched(admin_client: Client) -> None:
    record(actor="import_employees", action="import", subject="people")
    record(actor="clean_up", action="purge", subject="visits")

    page = admin_client.get("/admin/accounts/auditentry/", {"q": "import_emp", "action": "import"}).text
    assert ("people" in page, "visits" in page) == (True, False)
