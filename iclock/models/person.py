"""Who is on a terminal, what was agreed about them, and what was done to bring them there."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from iclock.models.terminal import Terminal
from personnel.models import Employee
from personnel.models.scope import Scope, scope_of


def inside(scope: Scope, *, code: str = "emp_code") -> Q:
    """Rows at terminals within ``scope``, but not of employees outside of it. Who is unknown here is shown.

    ``code`` is the column that says whose they are.
    """
    if scope.unlimited:
        return Q()
    hidden = Employee.objects.exclude(pk__in=Employee.objects.within(scope).order_by().values("pk"))
    shown = Q(~Exists(hidden.filter(emp_code=OuterRef(code))))
    return shown if scope.areas is None else shown & Q(terminal__area__in=scope.areas)


class TerminalPersonQuerySet(models.QuerySet["TerminalPerson"]):
    def visible_to(self, user: Any) -> TerminalPersonQuerySet:
        """Those within the limits of ``user``."""
        return self.within(scope_of(user))

    def within(self, scope: Scope) -> TerminalPersonQuerySet:
        """Those on terminals within ``scope`` who aren't employees outside of it."""
        return self.filter(inside(scope))

    def unknown(self) -> TerminalPersonQuerySet:
        """On the unit, though nobody put them there and they don't belong on it."""
        return self.filter(held=True, placed=False)


class TerminalPerson(models.Model):
    """One person on one terminal, by the user id there.

    ``held_…`` is what the unit held when it was read or written last; ``agreed_…`` what both it and the platform held
    once (`iclock.domain.plan`): columns by name; digests of templates by finger. ``held_fingers`` is null until they
    were read, of strangers always.
    """

    terminal = models.ForeignKey(Terminal, models.CASCADE, related_name="people")
    emp_code = models.CharField("user id", max_length=24)
    held = models.BooleanField("on the unit", default=False)
    placed = models.BooleanField("belonged there", default=False)
    uid = models.PositiveIntegerField("number on the unit", null=True)
    employee_uuid = models.UUIDField(null=True, editable=False, help_text="Whom the code meant when they were placed.")
    held_fields = models.JSONField(default=dict, editable=False)
    held_fingers = models.JSONField(null=True, editable=False)
    agreed_fields = models.JSONField(default=dict, editable=False)
    agreed_fingers = models.JSONField(default=dict, editable=False)
    refusal = models.CharField(max_length=300, blank=True, help_text="Why they aren't there as they should be.")
    retry_at = models.DateTimeField(null=True, editable=False)
    told_at = models.DateTimeField(null=True, editable=False, help_text="When a unit that dials told of them last.")
    found_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TerminalPersonQuerySet.as_manager()

    class Meta:
        verbose_name = "person on a terminal"
        verbose_name_plural = "people on terminals"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["terminal", "emp_code"], name="iclock_terminalperson_identity")]
        indexes = [
            models.Index(fields=["emp_code"], name="iclock_terminalperson_code"),
            models.Index(
                fields=["terminal", "id"],
                condition=Q(held=True, placed=False) | ~Q(refusal=""),
                name="iclock_terminalperson_open",
            ),
            models.Index(fields=["terminal"], condition=Q(retry_at__isnull=False), name="iclock_terminalperson_retry"),
        ]

    def __str__(self) -> str:
        return f"{self.emp_code} on {self.terminal}"


class PersonIntentQuerySet(models.QuerySet["PersonIntent"]):
    def visible_to(self, user: Any) -> PersonIntentQuerySet:
        """Those within the limits of ``user``: at terminals, and with people, that they may see."""
        return self.filter(inside(scope_of(user)))


class PersonIntent(models.Model):
    """One thing that was to be done with one person at one terminal, and what came of it."""

    terminal = models.ForeignKey(Terminal, models.CASCADE, related_name="intents")
    emp_code = models.CharField("user id", max_length=24)
    kind = models.CharField(max_length=13)
    columns = models.CharField(max_length=60, blank=True)
    finger = models.SmallIntegerField(null=True)
    done = models.BooleanField()
    sentence = models.CharField(max_length=300, blank=True, help_text="Why it was not done.")
    at = models.DateTimeField(db_default=Now(), editable=False)

    objects = PersonIntentQuerySet.as_manager()

    class Meta:
        verbose_name = "change of a person on a terminal"
        verbose_name_plural = "changes of people on terminals"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["terminal", "-id"], name="iclock_personintent_terminal"),
            models.Index(fields=["emp_code", "-id"], name="iclock_personintent_code"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.emp_code} at {self.terminal}"
