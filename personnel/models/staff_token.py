"""Tokens of employees, for self-service: their owner reads their own record and nobody else's."""

from __future__ import annotations

from django.db import models

from personnel.models.employee import Employee
from zkbio.accounts.models.token import Token


class StaffToken(Token):
    """One token of one employee. A changed self-service password ends it, by a trigger, whoever writes it."""

    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="staff_tokens")

    class Meta(Token.Meta):
        verbose_name = "staff token"
        constraints = [
            models.UniqueConstraint(
                fields=["employee"],
                condition=models.Q(revoked_at=None),
                name="personnel_stafftoken_one_live_per_employee",
            )
        ]
