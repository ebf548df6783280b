"""Templates go with who left long ago, with who takes back the consent, and with the person."""

from __future__ import annotations

import datetime as dt
from threading import Thread

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from iclock.domain.biodata import forget_templates, forgotten_digests
from iclock.models import Biodata, SyncMark, Terminal
from personnel.domain.people import delete_employees, update_employee
from personnel.domain.resignations import reinstate, resign
from personnel.models import Area, Employee
from tests.iclock.domain.test_biodata import enrol
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db

TODAY = timezone.localdate()


@pytest.fixture
def people(terminal: Terminal) -> list[Employee]:
    """Each with a finger and a face, at the one terminal."""
    area = Area.objects.create(area_code="2", area_name="Two")
    Terminal.objects.update(area=area)
    people = [Employee.objects.create(emp_code=code, department_id=1, biometric_consent=True) for code in "789"]
    for person in people:
        person.areas.set([area])
        enrol(person, kind=1)
        enrol(person, kind=9)
    return people


def resigned(person: Employee, days: int) -> None:
    resign([person.pk], resign_date=TODAY - dt.timedelta(days=days))
    SyncMark.objects.all().delete()


def enrolled() -> list[str]:
    return sorted(set(Biodata.objects.values_list("employee__emp_code", flat=True)))


@override_settings(TEMPLATE_RETENTION_DAYS=30)
def test_templates_of_who_resigned_longer_ago_are_forgotten(people: list[Employee], terminal: Terminal) -> None:
    resigned(people[0], days=31)
    resigned(people[1], days=30)
    Employee.objects.update(fingerprint="Ver 10:1")

    assert forget_templates() == 2

    assert enrolled() == ["8", "9"]
    assert forgotten_digests([each.pk for each in people]) == {people[0].pk: frozenset({"1/0"})}
    people[0].refresh_from_db()
    assert people[0].fingerprint == "-"
    assert SyncMark.objects.pending().get().terminal == terminal
    entry = AuditEntry.objects.get(action="iclock.forget_templates")
    assert (entry.actor, entry.subject, entry.detail) == ("retention", "2 templates", {"employees": ["7"], "days": 30})
    assert (forget_templates(), AuditEntry.objects.filter(action="iclock.forget_templates").count()) == (0, 1)


@override_settings(TEMPLATE_RETENTION_DAYS=0)
def test_they_are_kept_where_nothing_else_is_said(people: list[Employee]) -> None:
    resigned(people[0], days=10_000)

    assert (forget_templates(), enrolled()) == (0, ["7", "8", "9"])


@override_settings(TEMPLATE_RETENTION_DAYS=1)
def test_more_people_than_one_transaction_takes(db: None) -> None:
    codes = [f"R{number}" for number in range(1_001)]
    Employee.objects.bulk_create(Employee(emp_code=code, department_id=1) for code in codes)
    pks = list(Employee.objects.values_list("pk", flat=True))
    resign(pks, resign_date=TODAY - dt.timedelta(days=2))
    Biodata.objects.bulk_create(
        Biodata(employee_id=pk, bio_type=1, bio_no=0, major_ver="10", sealed=b"x") for pk in pks
    )

    assert forget_templates() == 1_001
    assert Biodata.objects.count() == 0


@pytest.mark.django_db(transaction=True)
@override_settings(TEMPLATE_RETENTION_DAYS=1)
def test_who_is_reinstated_at_that_moment_keeps_them(people: list[Employee]) -> None:
    resigned(people[0], days=2)
    forgotten: list[int] = []

    def forget() -> None:
        try:
            forgotten.append(forget_templates())
        finally:
            connection.close()

    thread = Thread(target=forget)
    with transaction.atomic():
        reinstate([people[0].pk])
        thread.start()
        wait_for_somebody_who_waits()
    thread.join(10)

    assert (forgotten, enrolled()) == ([0], ["7", "8", "9"])


@override_settings(BIOMETRIC_CONSENT=True)
def test_who_takes_back_the_consent_takes_the_templates_along(people: list[Employee], terminal: Terminal) -> None:
    SyncMark.objects.all().delete()

    update_employee(people[0].pk, {"biometric_consent": False})

    assert enrolled() == ["8", "9"]
    assert [*forgotten_digests([each.pk for each in people])] == [people[0].pk]
    assert SyncMark.objects.pending().get().terminal == terminal


@override_settings(BIOMETRIC_CONSENT=True)
def test_another_edit_or_a_consent_that_was_never_given_takes_nothing(people: list[Employee]) -> None:
    Employee.objects.filter(pk=people[1].pk).update(biometric_consent=False)

    update_employee(people[0].pk, {"first_name": "Ana", "biometric_consent": True})
    update_employee(people[1].pk, {"biometric_consent": False})
    update_employee(people[2].pk, {"first_name": "Bob"})

    assert enrolled() == ["7", "8", "9"]


@override_settings(BIOMETRIC_CONSENT=False)
def test_where_no_consent_is_asked_for_it_takes_nothing_along(people: list[Employee]) -> None:
    update_employee(people[0].pk, {"biometric_consent": False})

    assert enrolled() == ["7", "8", "9"]


def test_templates_are_deleted_with_the_person(people: list[Employee], terminal: Terminal) -> None:
    SyncMark.objects.all().delete()

    delete_employees([people[0].pk])

    assert enrolled() == ["8", "9"]
    assert SyncMark.objects.pending().get().terminal == terminal


def wait_for_somebody_who_waits() -> None:
    """Until another connection waits for a lock that this one holds."""
    until = timezone.now() + dt.timedelta(seconds=10)
    waiting = 0
    while not waiting:
        assert timezone.now() < until, "nobody came to the lock"
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            waiting = cursor.fetchone()[0]
