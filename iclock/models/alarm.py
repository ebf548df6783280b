"""What somebody should know about a terminal, each thing once."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import OuterRef, Q

from iclock.models.terminal import Terminal, TerminalQuerySet


class AlarmQuerySet(models.QuerySet["Alarm"]):
    def visible_to(self, user: Any) -> AlarmQuerySet:
        """Those of terminals that ``user`` may see."""
        return self.filter(terminal__in=Terminal.objects.visible_to(user).order_by())

    def open(self) -> AlarmQuerySet:
        return self.filter(closed_at=None)

    def annotate_terminals(self, terminals: TerminalQuerySet) -> TerminalQuerySet:
        """Adds ``open_alarms`` to terminals: the kinds of those of these alarms that are open."""
        kinds = self.open().filter(terminal=OuterRef("pk")).order_by("kind").values("kind")
        return terminals.annotate(open_alarms=ArraySubquery(kinds))


class Alarm(models.Model):
    """Either a state, which is open until it is over, or an event, which is over as soon as it is known.

    Of one kind a terminal has one open alarm at most; both its ends are logged and mailed once.
    """

    class Kind(models.TextChoices):
        # States
        AWAY = "away", "Away"
        NEARLY_FULL = "nearly_full", "Nearly full"
        CLOCK = "clock", "Clock is wrong"
        WRONG_UNIT = "wrong_unit", "Another unit answers"
        TWIN = "twin", "Two units, one serial number"
        LOCKED = "locked", "May be locked"
        STRANGERS = "strangers", "Unknown people"
        TWO_PLACES = "two_places", "Dials from two networks"
        FUTURE = "future", "Punches from the future"
        # Events
        LOG_CLEARED = "log_cleared", "Log was cleared elsewhere"
        LOG_OVERRUN = "log_overrun", "Log overran"

    terminal = models.ForeignKey(Terminal, models.CASCADE, related_name="alarms")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    sentence = models.CharField(max_length=500, help_text="What happened, and what to do.")
    ending = models.CharField(max_length=500, blank=True, help_text="How it ended.")
    # Of what is nearly full: which stores.
    stores = ArrayField(models.CharField(max_length=20), default=list, db_default=[], editable=False)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    # Mailed: its beginning, its end. None while that is still to be done.
    opening_mailed_at = models.DateTimeField(null=True, editable=False)
    closing_mailed_at = models.DateTimeField(null=True, editable=False)

    objects = AlarmQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["terminal", "kind"], condition=Q(closed_at=None), name="iclock_alarm_open")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.terminal}"
