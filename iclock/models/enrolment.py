"""Enrolling a finger at a terminal because somebody asked for it here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from iclock.models.terminal import Terminal
from personnel.models import Employee

# The person stands in front of the terminal: later on nobody does.
WAITS: Final = timedelta(minutes=5)


class EnrolmentQuerySet(models.QuerySet["Enrolment"]):
    def visible_to(self, user: Any) -> EnrolmentQuerySet:
        """Those of people and at terminals that ``user`` may see."""
        people, terminals = Employee.objects.visible_to(user), Terminal.objects.visible_to(user).order_by()
        return self.filter(employee__in=people, terminal__in=terminals)

    def open(self) -> EnrolmentQuerySet:
        """Waiting, or going on."""
        return self.filter(state__in=Enrolment.OPEN)


class Enrolment(models.Model):
    """One finger of one person, to be put on the sensor three times. A terminal has one at a time."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting for the terminal"
        RUNNING = "running", "The terminal asks for the finger"
        DONE = "done", "Enrolled"
        FAILED = "failed", "Failed"
        EXPIRED = "expired", "Expired"
        CANCELLED = "cancelled", "Cancelled"

    OPEN: Final = (State.QUEUED, State.RUNNING)

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    terminal = models.ForeignKey(Terminal, models.CASCADE, related_name="enrolments")
    employee = models.ForeignKey(Employee, models.CASCADE, related_name="enrolments")
    finger = models.PositiveSmallIntegerField(validators=[MaxValueValidator(9)], help_text="0 to 9.")
    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED)
    scans = models.PositiveSmallIntegerField("good scans", default=0, help_text="Of three.")
    sentence = models.CharField(max_length=300, blank=True, help_text="How it stands, or what came of it.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(db_default=Now() + WAITS, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    objects = EnrolmentQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["terminal"], condition=Q(state__in=["queued", "running"]), name="iclock_enrolment_open"
            )
        ]

    def __str__(self) -> str:
        """Whoever follows it may not be who reads names."""
        return f"Finger {self.finger} of {self.employee.emp_code} at {self.terminal}"
