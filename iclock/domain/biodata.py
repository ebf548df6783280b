"""Templates of people: what is enrolled in a word on the employee, and taking it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.utils import timezone

from iclock.domain.marks import mark_terminals
from iclock.models import Biodata, ForgottenTemplate
from personnel.models import Employee, Resignation
from zkbio.accounts.domain import audit

Kind = Biodata.Type

# What the API's bulk action calls them.
KINDS: Final[dict[str, tuple[int, ...]]] = {
    "finger_print": (Kind.FINGERPRINT,),
    "face": (Kind.FACE, Kind.VISIBLE_FACE),
    "finger_vein": (Kind.FINGER_VEIN,),
    "palm": (Kind.PALM, Kind.VISIBLE_PALM),
}
# The employee's column for each kind that has one.
_COLUMNS: Final[dict[int, str]] = {
    Kind.FINGERPRINT: "fingerprint",
    Kind.FACE: "face",
    Kind.PALM: "palm",
    Kind.VISIBLE_FACE: "vl_face",
    Kind.VISIBLE_PALM: "vl_palm",
}
_NONE: Final = "-"
_BATCH: Final = 500


def withdraw_templates(employees: Iterable[Employee], kinds: Iterable[str]) -> int:
    """Delete the templates of these kinds; the terminals where these people are wait to be told. How many there were.

    Raises KeyError for a kind that isn't in ``KINDS``.
    """
    people = sorted({employee.pk for employee in employees})
    types = [each for kind in kinds for each in KINDS[kind]]
    with transaction.atomic():
        rows = Biodata.objects.filter(employee__in=people, bio_type__in=types).order_by("pk").select_for_update()
        gone = list(rows.values_list("pk", "employee_id", "bio_type", "digest"))
        forget_digests(told for _, *told in gone)
        deleted, _ = Biodata.objects.filter(pk__in=[pk for pk, *_ in gone]).delete()
        summarise(people)
        mark_terminals(Employee.areas.through.objects.filter(employee__in=people).values_list("area_id", flat=True))
    return deleted


def forget_templates() -> int:
    """Delete the templates of who resigned more than ``TEMPLATE_RETENTION_DAYS`` ago, if that says any; how many."""
    if not settings.TEMPLATE_RETENTION_DAYS:
        return 0
    before = timezone.localdate() - timedelta(days=settings.TEMPLATE_RETENTION_DAYS)
    resigned = Resignation.objects.filter(resign_date__lt=before)
    enrolled = Exists(Biodata.objects.filter(employee=OuterRef("employee")))
    due = resigned.filter(enrolled).order_by("employee").values_list("employee", flat=True)
    forgotten, last = 0, 0
    while people := list(due.filter(employee__gt=last)[:_BATCH]):
        forgotten, last = forgotten + _forget(people, resigned), people[-1]
    return forgotten


def _forget(people: Sequence[int], resigned: QuerySet[Resignation]) -> int:
    """Of those who still are resigned once they are locked: a reinstatement locks them too."""
    with transaction.atomic():
        lock = Employee.objects.filter(pk__in=people).order_by("pk").select_for_update(no_key=True)
        held = {employee.pk: employee for employee in lock}
        gone = resigned.filter(employee__in=held).values_list("employee", flat=True)
        employees = [held[pk] for pk in gone]
        deleted = withdraw_templates(employees, KINDS)
        detail = {"employees": sorted(each.emp_code for each in employees), "days": settings.TEMPLATE_RETENTION_DAYS}
        if deleted:
            what = f"{deleted} templates"
            audit.record(actor="retention", action="iclock.forget_templates", subject=what, detail=detail)
    return deleted


def forget_digests(templates: Iterable[Sequence[Any]]) -> None:
    """These templates (employee's id, kind, digest) were withdrawn or replaced here: no terminal brings them back.

    Whoever deletes a template, or replaces it by another one, calls this in the same transaction.
    """
    rows = (ForgottenTemplate(employee_id=pk, bio_type=kind, digest=digest) for pk, kind, digest in templates if digest)
    ForgottenTemplate.objects.bulk_create(rows, ignore_conflicts=True, batch_size=_BATCH)


def remember_digests(templates: Iterable[Biodata]) -> None:
    """These were stored again on purpose: terminals may bring them, and keep them."""
    wanted = {(row.employee_id, row.digest) for row in templates}
    of_them = ForgottenTemplate.objects.filter(
        employee__in={pk for pk, _ in wanted}, digest__in={digest for _, digest in wanted}
    )
    found = of_them.order_by().values_list("pk", "employee_id", "digest")
    ForgottenTemplate.objects.filter(pk__in=[pk for pk, *told in found if tuple(told) in wanted]).delete()


def forgotten_digests(employee_ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """The digests of fingerprints that were withdrawn or replaced here, by employee."""
    found: dict[int, set[str]] = {}
    rows = ForgottenTemplate.objects.filter(employee__in=employee_ids, bio_type=Kind.FINGERPRINT).order_by()
    for employee, digest in rows.values_list("employee", "digest"):
        found.setdefault(employee, set()).add(digest)
    return {employee: frozenset(digests) for employee, digests in found.items()}


def withdraw_after_signal(*, employees: Iterable[Employee], kinds: Iterable[str], **_news: Any) -> None:
    """For ``templates_withdrawn``, inside its transaction."""
    withdraw_templates(employees, kinds)


def record_reading(rows: Sequence[Mapping[str, Any]], *, actor: object) -> None:
    """Somebody is about to be shown the templates of these rows (of ``id`` and ``employee``)."""
    detail = {"ids": [row["id"] for row in rows], "employees": sorted({row["employee"] for row in rows})}
    if rows:
        audit.record(actor=actor, action="iclock.read_template", subject=f"{len(rows)} templates", detail=detail)


def summarise(employee_ids: Sequence[int]) -> None:
    """Write what is enrolled into the employees' columns: the newest algorithm and how many it has, "Ver 10:2".

    Whoever stores or deletes templates calls this in the same transaction; the rows are locked first, so that of two
    at once the second counts what the first one left.
    """
    with transaction.atomic():
        locked = Employee.objects.select_for_update(no_key=True).filter(pk__in=employee_ids).order_by("pk")
        people = list(locked.only("pk", *_COLUMNS.values()))
        found = _summaries(employee_ids)
        for person in people:
            for kind, column in _COLUMNS.items():
                setattr(person, column, found.get((person.pk, kind), _NONE))
        Employee.objects.bulk_update(people, list(_COLUMNS.values()), batch_size=_BATCH)


def _summaries(employee_ids: Sequence[int]) -> dict[tuple[int, int], str]:
    """The parts of one template count once. Versions compare as numbers: 9 is older than 10."""
    enrolled = Biodata.objects.filter(employee__in=employee_ids).order_by()
    rows = enrolled.values_list("employee", "bio_type", "major_ver").annotate(count=Count("bio_no", distinct=True))
    oldest_first = sorted(rows, key=lambda row: (len(row[2]), row[2]))
    return {(person, kind): f"Ver {version}:{count}" for person, kind, version, count in oldest_first}
