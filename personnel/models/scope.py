"""Which part of the company a user may see: departments and areas, each with all that lies below it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection, models

_GIVEN: Final = """
SELECT ARRAY(SELECT department_id FROM personnel_departmentlimit WHERE user_id = %(user)s),
       ARRAY(SELECT area_id FROM personnel_arealimit WHERE user_id = %(user)s)"""
_BELOW: Final = """
WITH RECURSIVE below (id) AS (
    SELECT unnest(%(given)s::bigint[])
    UNION SELECT child.id FROM {table} child JOIN below ON child.{parent} = below.id
)
SELECT id FROM below"""


class DepartmentLimit(models.Model):
    """A user who has such rows sees these departments and no other."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="department_limits")
    # Protected: a limit that vanished with its department would open all the others.
    department = models.ForeignKey("personnel.Department", models.PROTECT, related_name="limits")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "department"], name="personnel_departmentlimit_once")]

    def __str__(self) -> str:
        return f"{self.user} sees {self.department}"


class AreaLimit(models.Model):
    """A user who has such rows sees these areas and no other."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="area_limits")
    area = models.ForeignKey("personnel.Area", models.PROTECT, related_name="limits")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "area"], name="personnel_arealimit_once")]

    def __str__(self) -> str:
        return f"{self.user} sees {self.area}"


class Scope(NamedTuple):
    """Ids that a user may see; None is no limit. ``employee`` is set for people who log in for themselves."""

    departments: frozenset[int] | None = None
    areas: frozenset[int] | None = None
    employee: int | None = None

    @property
    def unlimited(self) -> bool:
        return self == Scope()


def scope_of(user: Any) -> Scope:
    """What ``user`` (an account, or an employee's own login) may see; read once a request."""
    if (employee := getattr(user, "employee_id", None)) is not None:
        return Scope(employee=employee)
    held: Scope | None = getattr(user, "_scope", None)
    if held is None:
        held = user._scope = _read_scope(user)
    return held


def _read_scope(user: Any) -> Scope:
    if user.is_superuser:
        return Scope()
    with connection.cursor() as cursor:
        cursor.execute(_GIVEN, {"user": user.pk})
        departments, areas = cursor.fetchone()
    return Scope(
        _with_below("personnel_department", "parent_dept_id", departments),
        _with_below("personnel_area", "parent_area_id", areas),
    )


def _with_below(table: str, parent: str, given: list[int]) -> frozenset[int] | None:
    if not given:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_BELOW.format(table=table, parent=parent), {"given": given})
        return frozenset(row[0] for row in cursor.fetchall())
