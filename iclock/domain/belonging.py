"""Who belongs on a terminal: the one place that says so, for whatever carries people there.

People belong on the terminals of their areas, with ``AREAS_INCLUDE_SUBAREAS`` also on those of the areas below. Not
who has resigned, and not who is no part of attendance. Area 1 puts nobody anywhere, and nobody reaches a terminal by
way of it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from iclock.models import Terminal
from personnel.models import Employee
from personnel.models.organisation import UNAUTHORIZED_AREA_ID

# Up from the terminal's area: few steps, however many areas lie below. UNION ends a circle of areas, should one be.
_BELONGING: Final = """
WITH RECURSIVE served (terminal_id, area_id) AS (
    SELECT id, area_id
    FROM (SELECT id, coalesce(%s::bigint, area_id) FROM iclock_terminal) terminal (id, area_id)
    WHERE id = ANY(%s::bigint[]) AND area_id <> %s
    UNION
    SELECT served.terminal_id, area.parent_area_id FROM served JOIN personnel_area area ON area.id = served.area_id
    WHERE %s AND area.parent_area_id <> %s
)
SELECT DISTINCT served.terminal_id, employee.id AS employee_id
FROM served
JOIN personnel_employee_areas assigned ON assigned.area_id = served.area_id
JOIN personnel_employee employee ON employee.id = assigned.employee_id
WHERE employee.enable_attendance
    AND NOT EXISTS (SELECT FROM personnel_resignation resignation WHERE resignation.employee_id = employee.id)"""
_WHO: Final = f"SELECT employee_id FROM ({_BELONGING}) belonging"  # noqa: S608 - nothing comes in but parameters
_HOW_MANY: Final = f"SELECT terminal_id, count(*) FROM ({_BELONGING}) belonging GROUP BY terminal_id"  # noqa: S608
_PAIRS: Final = f"SELECT * FROM ({_BELONGING}) belonging WHERE employee_id = ANY(%s::bigint[])"  # noqa: S608


def belonging_to(terminal: Terminal, *, by_area: int | None = None) -> QuerySet[Employee]:
    """The people who should be on this terminal: by the area that is stored of it, or if it were in ``by_area``."""
    who = RawSQL(_WHO, _parameters([terminal.pk], by_area=by_area))  # noqa: S611 - a constant
    return Employee.objects.filter(pk__in=who)


def count_belonging(terminals: Collection[Terminal]) -> dict[int, int]:
    """How many people should be on each of these terminals, by the terminals' ids; in one query."""
    ids = [terminal.pk for terminal in terminals]
    with connection.cursor() as cursor:
        cursor.execute(_HOW_MANY, _parameters(ids))
        return dict.fromkeys(ids, 0) | dict(cursor.fetchall())


def belonging_among(terminal_ids: Collection[int], employee_ids: Collection[int]) -> set[tuple[int, int]]:
    """Of these terminals and these people, who belongs where: pairs of ids; in one query."""
    with connection.cursor() as cursor:
        cursor.execute(_PAIRS, [*_parameters([*terminal_ids]), [*employee_ids]])
        return set(cursor.fetchall())


def _parameters(terminal_ids: list[int], *, by_area: int | None = None) -> list[Any]:
    return [by_area, terminal_ids, UNAUTHORIZED_AREA_ID, settings.AREAS_INCLUDE_SUBAREAS, UNAUTHORIZED_AREA_ID]
