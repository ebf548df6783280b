"""Tokens of employees, for self-service: their owner reads their own record and nobody else's."""

from __future__ import annotations

from typing import Any

from django.db import models

from personnel.models.employee import Employee
from personnel.models.scope import scope_of
from zkbio.accounts.models.token import Token


class StaffTokenQuerySet(models.QuerySet["StaffToken"]):
    def visible_to(self, user: Any) -> StaffTokenQuerySet:
        """Those of the people whom ``user`` may see."""
        if scope_of(user).unlimited:
            return self
        return self.filter(employee__in=Employee.objects.visible_to(user))


class StaffToken(Token):
    """One token of one employee. A changed self-service password ends it, by a trigger, whoever writes it."""

    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="staff_tokens")

    objects = StaffTokenQuerySet.as_manager()

    class Meta(Token.Meta):
        verbose_name = "staff token"
        constraints = [
            models.UniqueConstraint(
                fields=["employee"],
                condition=models.Q(revoked_at=None),
                name="personnel_stafftoken_one_live_per_employee",
            )
        ]
