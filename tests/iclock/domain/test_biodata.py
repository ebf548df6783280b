"""The employee's columns say what is enrolled, and withdrawn templates are gone."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from django.db import connection, transaction

from iclock.domain.biodata import forgotten_digests, summarise
from iclock.models import Biodata, ForgottenTemplate, SyncMark, Terminal
from personnel.models import Area, Employee
from personnel.signals import templates_withdrawn

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana(db: None) -> Employee:
    person = Employee.objects.create(emp_code="7", department_id=1)
    person.areas.set([Area.objects.create(area_code="2", area_name="Two")])
    return person


def enrol(person: Employee, *, kind: int, number: int = 0, part: int = 0, version: str = "10") -> None:
    Biodata.objects.create(
        employee=person,
        bio_type=kind,
        bio_no=number,
        bio_index=part,
        major_ver=version,
        sealed=b"x",
        digest=f"{kind}/{number}",
    )


def columns(person: Employee) -> tuple[str, str, str, str, str]:
    person.refresh_from_db()
    return person.fingerprint, person.face, person.palm, person.vl_face, person.vl_palm


def test_each_kind_has_its_column(ana: Employee) -> None:
    for kind, version in ((1, "10"), (2, "7"), (7, "3"), (8, "12"), (9, "58"), (10, "1")):
        enrol(ana, kind=kind, version=version)

    summarise([ana.id])

    assert columns(ana) == ("Ver 10:1", "Ver 7:1", "Ver 12:1", "Ver 58:1", "Ver 1:1")


def test_fingers_are_counted_and_parts_of_one_are_not(ana: Employee) -> None:
    for number in (0, 6, 9):
        enrol(ana, kind=1, number=number)
    for part in range(12):
        enrol(ana, kind=2, part=part)

    summarise([ana.id])

    assert columns(ana)[:2] == ("Ver 10:3", "Ver 10:1")


def test_the_newest_algorithm_counts_and_versions_are_numbers(ana: Employee) -> None:
    for number, version in ((0, "9"), (1, "9"), (0, "10")):
        enrol(ana, kind=1, number=number, version=version)

    summarise([ana.id])

    assert columns(ana)[0] == "Ver 10:1"


def test_others_are_left_alone(ana: Employee) -> None:
    ben = Employee.objects.create(emp_code="8", department_id=1, fingerprint="Ver 10:2")
    enrol(ana, kind=1)

    summarise([ana.id])

    assert (columns(ana)[0], columns(ben)[0]) == ("Ver 10:1", "Ver 10:2")


@pytest.mark.parametrize(
    ("kinds", "left"),
    [
        (["finger_print"], {2, 7, 8, 9, 10}),
        (["face"], {1, 7, 8, 10}),
        (["finger_vein"], {1, 2, 8, 9, 10}),
        (["palm"], {1, 2, 7, 9}),
        (["finger_print", "face", "finger_vein", "palm"], set()),
        ([], {1, 2, 7, 8, 9, 10}),
    ],
)
def test_withdrawn_templates_are_gone_and_the_terminals_wait_to_be_told(
    kinds: list[str], left: set[int], ana: Employee
) -> None:
    ben = Employee.objects.create(emp_code="8", department_id=1)
    for kind in (1, 2, 7, 8, 9, 10):
        enrol(ana, kind=kind)
        enrol(ben, kind=kind)
    summarise([ana.id])
    Terminal.objects.create(sn="T2", alias="Two", area=ana.areas.get())
    Terminal.objects.create(sn="T9", alias="Nine", area=Area.objects.create(area_code="9", area_name="Nine"))

    with transaction.atomic():
        templates_withdrawn.send(sender=Employee, employees=[ana], kinds=kinds)

    assert set(ana.biodatas.values_list("bio_type", flat=True)) == left
    assert ben.biodatas.count() == 6
    shown = tuple("Ver 10:1" if kind in left else "-" for kind in (1, 2, 8, 9, 10))
    assert columns(ana) == shown
    assert [mark.terminal.sn for mark in SyncMark.objects.all()] == ["T2"]


def test_what_was_withdrawn_is_remembered_by_its_digest(ana: Employee) -> None:
    ben = Employee.objects.create(emp_code="8", department_id=1)
    for person in (ana, ben):
        for kind, number in ((1, 3), (1, 6), (9, 0)):
            enrol(person, kind=kind, number=number)

    for _ in range(2):
        templates_withdrawn.send(sender=Employee, employees=[ana], kinds=["finger_print", "face"])
        enrol(ana, kind=1, number=3)

    assert forgotten_digests([ana.pk, ben.pk]) == {ana.pk: frozenset({"1/3", "1/6"})}
    assert ForgottenTemplate.objects.filter(bio_type=9, digest="9/0").get().employee == ana
    ana.delete()
    assert not ForgottenTemplate.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_enrolments_at_once_the_second_counts_both() -> None:
    person = Employee.objects.create(emp_code="9", department_id=1)
    barrier = Barrier(2)

    def store(number: int) -> None:
        with transaction.atomic():
            enrol(person, kind=1, number=number)
            barrier.wait(timeout=10)
            summarise([person.id])
        connection.close()

    threads = [Thread(target=store, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert columns(person)[0] == "Ver 10:2"
