"""Of whom a limited user may read on a terminal, which knows people by their codes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from personnel.models import Employee
from personnel.models.scope import scope_of


def people_shown(user: Any) -> Callable[[str], bool] | None:
    """Whether ``user`` may read of the person with that code; None without limits.

    Who is limited to departments sees their people; who is limited to areas sees nobody who is known to be elsewhere.
    """
    scope = scope_of(user)
    if scope.unlimited:
        return None
    visible = Employee.objects.visible_to(user).order_by()
    if scope.departments is not None or scope.employee is not None:
        return frozenset(visible.values_list("emp_code", flat=True)).__contains__
    hidden = frozenset(Employee.objects.exclude(pk__in=visible.values("pk")).values_list("emp_code", flat=True))
    return lambda code: code not in hidden
