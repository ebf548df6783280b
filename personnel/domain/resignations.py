"""Leaving and coming back. A resignation takes the card, so that somebody else can have it, and may end attendance.

Areas stay as they are; terminals hear of it, because who resigned doesn't belong on them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from personnel.domain.people import EVERYTHING, announce, areas_of, lock_employees, refuse_elsewhere
from personnel.models import Employee, Resignation
from personnel.models.scope import Scope

_BATCH: Final = 500


def resign(
    pks: Collection[int],
    *,
    resign_date: dt.date,
    resign_type: int = Resignation.Type.QUIT,
    disableatt: bool = True,
    reason: str | None = None,
    scope: Scope = EVERYTHING,
) -> list[Resignation]:
    """All of these people, or none."""
    with transaction.atomic():
        employees = lock_employees(pks, scope=scope)
        refuse_elsewhere(employees, scope=scope)
        _refuse_resigned(employees)
        given = {"resign_date": resign_date, "resign_type": resign_type, "disableatt": disableatt, "reason": reason}
        resignations = [_taking(Resignation(employee=employee, **given)) for employee in employees]
        _save(employees)
        Resignation.objects.bulk_create(resignations)
        announce(areas_of(pks), employees)
    return resignations


def change_resignation(pk: int, values: Mapping[str, Any], *, scope: Scope = EVERYTHING) -> Resignation:
    """Date, type, reason, or whether attendance ended. Raises Resignation.DoesNotExist."""
    with transaction.atomic():
        # The person first, as everywhere; meanwhile their resignation may have gone.
        [employee] = lock_employees([Resignation.objects.get(pk=pk).employee_id], scope=scope)
        refuse_elsewhere([employee], scope=scope)
        resignation = Resignation.objects.get(pk=pk)
        for name, value in values.items():
            setattr(resignation, name, value)
        if resignation.took_attendance and not resignation.disableatt:
            employee.enable_attendance, resignation.took_attendance = True, False
        elif resignation.disableatt and employee.enable_attendance:
            employee.enable_attendance, resignation.took_attendance = False, True
        employee.save(update_fields=["enable_attendance", "update_time"])
        resignation.save(update_fields=[*values, "took_attendance"])
    return resignation


def reinstate(pks: Collection[int], *, scope: Scope = EVERYTHING) -> None:
    """Remove the resignations of these people, and give back what they took; a card only if it is nobody else's now."""
    with transaction.atomic():
        employees = lock_employees(pks, scope=scope)
        refuse_elsewhere(employees, scope=scope)
        resignations = {each.employee_id: each for each in Resignation.objects.filter(employee__in=pks)}
        if working := [employee.emp_code for employee in employees if employee.pk not in resignations]:
            raise ValidationError({"employees": _("Not resigned: %s. Nothing was changed.") % _listed(working)})
        _give_back(employees, resignations)
        Resignation.objects.filter(employee__in=pks).delete()
        announce(areas_of(pks), employees)


def _refuse_resigned(employees: Iterable[Employee]) -> None:
    gone = Resignation.objects.filter(employee__in=employees).order_by("employee_id")
    if codes := list(gone.values_list("employee__emp_code", flat=True)):
        raise ValidationError({"employees": _("Already resigned: %s. Nothing was changed.") % _listed(codes)})


def _taking(resignation: Resignation) -> Resignation:
    employee = resignation.employee
    resignation.took_card, employee.card_no = employee.card_no, None
    resignation.took_attendance = resignation.disableatt and employee.enable_attendance
    employee.enable_attendance = employee.enable_attendance and not resignation.disableatt
    return resignation


def _give_back(employees: Iterable[Employee], resignations: Mapping[int, Resignation]) -> None:
    taken = {each.took_card for each in resignations.values() if each.took_card}
    held = set(Employee.objects.filter(card_no__in=taken).values_list("card_no", flat=True))
    for employee in employees:
        resignation = resignations[employee.pk]
        employee.enable_attendance = employee.enable_attendance or resignation.took_attendance
        # Two who resigned with the same card, one after the other: the first of them gets it.
        if employee.card_no is None and resignation.took_card not in held:
            employee.card_no = resignation.took_card
            held.add(resignation.took_card)
    _save(employees)


def _save(employees: Iterable[Employee]) -> None:
    rows = list(employees)
    for employee in rows:
        employee.update_time = timezone.now()
    Employee.objects.bulk_update(rows, ["card_no", "enable_attendance", "update_time"], batch_size=_BATCH)


def _listed(codes: list[str]) -> str:
    """At most twenty."""
    return ", ".join(codes[:20]) + (", …" if len(codes) > 20 else "")
