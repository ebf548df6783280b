"""Who left, when and why. The person stays: their punches, and the list of employees, keep naming them."""

from __future__ import annotations

from typing import Any

from django.db import models

from personnel.models.employee import Employee
from personnel.models.scope import scope_of


class ResignationQuerySet(models.QuerySet["Resignation"]):
    def visible_to(self, user: Any) -> ResignationQuerySet:
        """Those of the people whom ``user`` may see."""
        if scope_of(user).unlimited:
            return self
        return self.filter(employee__in=Employee.objects.visible_to(user))


class Resignation(models.Model):
    """One person's leaving; a reinstatement removes it."""

    class Type(models.IntegerChoices):
        QUIT = 1, "Quit"
        DISMISSED = 2, "Dismissed"
        RESIGN = 3, "Resign"
        TRANSFER = 4, "Transfer"
        RETAINED = 5, "Retain job without salary"

    employee = models.OneToOneField(Employee, models.CASCADE, related_name="resignation")
    resign_date = models.DateField()
    resign_type = models.SmallIntegerField(choices=Type.choices, default=Type.QUIT)
    disableatt = models.BooleanField("attendance ends", default=True)
    reason = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - the contract tells null from ""
    # What the resignation took from the employee, and a reinstatement gives back.
    took_attendance = models.BooleanField(default=False, editable=False)
    took_card = models.CharField(max_length=20, null=True, editable=False)  # noqa: DJ001
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ResignationQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.employee} on {self.resign_date}"
