"""What is done to people. Each deed is one transaction: their rows locked, changed, and the areas concerned told.

``scope`` is what the caller may see. Areas outside of it stay as they are, and what would take a person away from
there is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from personnel.domain.attributes import write_attributes
from personnel.domain.photos import remove_photo
from personnel.models import Area, Department, Employee, Position
from personnel.models.scope import Scope
from personnel.signals import people_changed, templates_withdrawn

EVERYTHING: Final = Scope()
# What terminals know of a person, beside the areas.
_TOLD: Final = frozenset(
    {"first_name", "last_name", "card_no", "dev_privilege", "verify_mode", "device_password", "device_password_sealed"}
    | {"enable_attendance"}  # who is no part of attendance belongs on no terminal
    | {"biometric_consent"}
)
_EVERY_TEMPLATE: Final = frozenset({"finger_print", "face", "finger_vein", "palm"})
_Lives = Employee.areas.through


def create_employee(employee: Employee, *, areas: Iterable[Area]) -> Employee:
    """Save a new person, and put them into their areas."""
    with transaction.atomic():
        employee.save(force_insert=True)
        employee.areas.set(areas)
        announce(areas_of([employee.pk]), [employee])
    return employee


def update_employee(
    pk: int, values: Mapping[str, Any], *, areas: Iterable[Area] | None = None, scope: Scope = EVERYTHING
) -> Employee:
    """Set the columns named in ``values``, ``device_password``, and custom ``attributes`` by definition id.

    What isn't named keeps its value, somebody else's edit of the same moment included. Who takes back the consent to
    biometrics takes the templates along, where the installation asks for it.
    """
    with transaction.atomic():
        [employee] = lock_employees([pk], scope=scope)
        before, old = areas_of([pk]), {name: getattr(employee, name) for name in values.keys() & _TOLD}
        if "photo" in values:
            remove_photo(employee.photo)
        columns = _assign(employee, values)
        employee.save(update_fields=[*columns, "update_time"])
        if areas is not None:
            _move([pk], areas, scope=scope)
        after = areas_of([pk])
        told = any(getattr(employee, name) != value for name, value in old.items())
        if told:
            refuse_elsewhere([employee], scope=scope)
        if settings.BIOMETRIC_CONSENT and old.get("biometric_consent") and not employee.biometric_consent:
            templates_withdrawn.send(sender=Employee, employees=[employee], kinds=_EVERY_TEMPLATE)
        if told or before != after:
            announce(before | after, [employee])
    return employee


def delete_employees(pks: Collection[int], *, scope: Scope = EVERYTHING) -> None:
    """The people, not their punches. Their terminals hear of it before the rows go."""
    with transaction.atomic():
        employees = lock_employees(pks, scope=scope, to_delete=True)
        refuse_elsewhere(employees, scope=scope)
        announce(areas_of(pks), employees)
        Employee.objects.filter(pk__in=pks).delete()
        for employee in employees:
            remove_photo(employee.photo)


def adjust_areas(pks: Collection[int], areas: Iterable[Area], *, scope: Scope = EVERYTHING) -> None:
    """Out of all their areas and into these."""
    with transaction.atomic():
        employees = lock_employees(pks, scope=scope)
        before = areas_of(pks)
        _move(pks, areas, scope=scope)
        _touch(pks)
        announce(before | areas_of(pks), employees)


def adjust_department(pks: Collection[int], department: Department, *, scope: Scope = EVERYTHING) -> None:
    with transaction.atomic():
        lock_employees(pks, scope=scope)
        _touch(pks, department=department)


def adjust_position(pks: Collection[int], position: Position | None, *, scope: Scope = EVERYTHING) -> None:
    with transaction.atomic():
        lock_employees(pks, scope=scope)
        _touch(pks, position=position)


def resync(pks: Collection[int], *, scope: Scope = EVERYTHING) -> None:
    """Have terminals brought up to date, though nothing changed here, and whatever they were known to hold."""
    with transaction.atomic():
        announce(areas_of(pks), lock_employees(pks, scope=scope), anew=True)


def withdraw_templates(pks: Collection[int], kinds: Collection[str], *, scope: Scope = EVERYTHING) -> None:
    """Have enrolled fingers, faces and palms forgotten, here and on terminals."""
    with transaction.atomic():
        employees = lock_employees(pks, scope=scope)
        refuse_elsewhere(employees, scope=scope)
        templates_withdrawn.send(sender=Employee, employees=employees, kinds=frozenset(kinds))
        _touch(pks)
        announce(areas_of(pks), employees)


def lock_employees(pks: Collection[int], *, scope: Scope = EVERYTHING, to_delete: bool = False) -> list[Employee]:
    """The rows, held until the transaction ends; always in the order of ids, so that nobody waits in a circle.

    Whoever held them before may have deleted somebody, or moved them out of ``scope``: raises Employee.DoesNotExist
    for one person, and ValidationError where some of many are gone.
    """
    rows = Employee.objects.filter(pk__in=pks).order_by("pk").select_for_update(no_key=not to_delete)
    found = list(rows)
    if not scope.unlimited:
        inside = set(Employee.objects.within(scope).filter(pk__in=pks).values_list("pk", flat=True))
        found = [employee for employee in found if employee.pk in inside]
    if not found and len(pks) == 1:
        raise Employee.DoesNotExist
    if len(found) < len(set(pks)):
        raise ValidationError(
            {"employees": _("Another request deleted or moved some of these people. Nothing was changed.")}
        )
    return found


def refuse_elsewhere(employees: Iterable[Employee], *, scope: Scope) -> None:
    """Raises PermissionDenied for people who are in areas outside of ``scope`` too."""
    if scope.areas is None:
        return
    elsewhere = _Lives.objects.filter(employee__in=employees).exclude(area_id__in=scope.areas)
    codes = elsewhere.order_by("employee_id").values_list("employee__emp_code", flat=True)
    if listed := ", ".join(dict.fromkeys(codes[:20])):
        raise PermissionDenied(_("Also in areas outside of your limits: %s. Nothing was changed.") % listed)


def areas_of(pks: Collection[int]) -> set[int]:
    return set(_Lives.objects.filter(employee__in=pks).values_list("area_id", flat=True))


def announce(area_ids: Iterable[int], employees: Iterable[Employee], *, anew: bool = False) -> None:
    codes = frozenset(employee.emp_code for employee in employees)
    people_changed.send(sender=Employee, area_ids=frozenset(area_ids), emp_codes=codes, anew=anew)


def _assign(employee: Employee, values: Mapping[str, Any]) -> list[str]:
    """Gives the columns that were set."""
    for name, value in values.items():
        if name == "attributes":
            write_attributes(employee, value)
        else:
            setattr(employee, name, value)
    return ["device_password_sealed" if name == "device_password" else name for name in values]


def _move(pks: Collection[int], areas: Iterable[Area], *, scope: Scope) -> None:
    """Of the areas that ``scope`` shows, exactly these."""
    wanted = [area.pk for area in areas]
    left = _Lives.objects.filter(employee__in=pks).exclude(area_id__in=wanted)
    if scope.areas is not None:
        left = left.filter(area_id__in=scope.areas)
    left.delete()
    joined = [_Lives(employee_id=pk, area_id=area) for pk in sorted(pks) for area in sorted(wanted)]
    _Lives.objects.bulk_create(joined, ignore_conflicts=True, batch_size=5000)


def _touch(pks: Collection[int], **columns: Any) -> None:
    Employee.objects.filter(pk__in=pks).update(update_time=timezone.now(), **columns)
