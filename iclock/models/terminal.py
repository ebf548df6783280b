"""Terminals as the platform knows them, whoever dials whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, ExpressionWrapper, F, Q, Value, When
from django.db.models.functions import Coalesce, Now

from iclock.policy import Direction, Strangers
from personnel.models import Area
from personnel.models.organisation import UNAUTHORIZED_AREA_ID
from personnel.models.scope import scope_of
from zkbio.clock import validate_zone
from zkbio.texts import validate_line


class State(models.TextChoices):
    """A terminal's state as the API spells it."""

    UNAUTHORIZED = "0", "Not authorised yet"
    ONLINE = "1", "Online"
    OFFLINE = "3", "Offline"
    DISCONNECTED = "4", "Disconnected"


class TerminalQuerySet(models.QuerySet["Terminal"]):
    """Terminals with what is derived of them."""

    def visible_to(self, user: Any) -> TerminalQuerySet:
        """Those in an area within the limits of ``user``."""
        areas = scope_of(user).areas
        return self if areas is None else self.filter(area_id__in=areas)

    def with_state(self) -> TerminalQuerySet:
        """Adds ``state`` (see :class:`State`): computed, so that nobody has to keep it."""
        minutes = Coalesce("away_minutes", Value(settings.OFFLINE_ALARM_MINUTES))
        limit = ExpressionWrapper(minutes * Value(timedelta(minutes=1)), output_field=models.DurationField())
        return self.annotate(
            state=Case(
                When(admission=Terminal.Admission.PENDING, then=Value(State.UNAUTHORIZED.value)),
                When(presence__online=True, then=Value(State.ONLINE.value)),
                When(
                    Q(presence=None) | Q(presence__last_activity=None) | Q(presence__last_activity__lt=Now() - limit),
                    then=Value(State.DISCONNECTED.value),
                ),
                default=Value(State.OFFLINE.value),
                output_field=models.CharField(),
            ),
            last_activity=F("presence__last_activity"),
        )


def default_zone() -> str:
    return settings.ZKBIO_TIME_ZONE


class Terminal(models.Model):
    """One unit, known by its serial number. Its punches outlive this row: they keep serial and alias as text."""

    class Admission(models.TextChoices):
        PENDING = "pending", "Pending"
        APPROVED = "approved", "Approved"
        BLOCKED = "blocked", "Blocked"

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    sn = models.CharField("serial number", max_length=50, unique=True)
    alias = models.CharField(max_length=100, validators=[validate_line])
    ip_address = models.GenericIPAddressField("IP address", null=True, blank=True)
    terminal_name = models.CharField("model", max_length=50, blank=True)
    fw_ver = models.CharField("firmware", max_length=100, blank=True)
    push_ver = models.CharField("PUSH version", max_length=50, blank=True)
    platform = models.CharField(max_length=50, blank=True)
    admission = models.CharField(max_length=8, choices=Admission.choices, default=Admission.APPROVED)
    time_zone = models.CharField(
        max_length=64,
        default=default_zone,
        validators=[validate_zone],
        help_text="IANA name (Europe/Madrid) or fixed offset (UTC+05:30). Punches already here keep their instant.",
    )
    area = models.ForeignKey(Area, models.PROTECT, default=UNAUTHORIZED_AREA_ID, related_name="terminals")
    is_attendance = models.BooleanField("counts for attendance", default=True)
    heartbeat = models.PositiveIntegerField("heartbeat, seconds", default=10)
    transfer_time = models.CharField(max_length=100, default="00:00;14:05")
    transfer_interval = models.PositiveIntegerField("transfer interval, minutes", default=1)

    user_count = models.PositiveIntegerField("people", default=0, editable=False)
    fp_count = models.PositiveIntegerField("fingerprints", default=0, editable=False)
    face_count = models.PositiveIntegerField("faces", default=0, editable=False)
    palm_count = models.PositiveIntegerField("palms", default=0, editable=False)
    transaction_count = models.PositiveIntegerField("punches", default=0, editable=False)
    # What it has room for, None as long as it hasn't told.
    user_capacity = models.PositiveIntegerField("room for people", null=True, editable=False)
    fp_capacity = models.PositiveIntegerField("room for fingerprints", null=True, editable=False)
    face_capacity = models.PositiveIntegerField("room for faces", null=True, editable=False)
    transaction_capacity = models.PositiveIntegerField("room for punches", null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    corrects_clock = models.BooleanField(
        "set its clock",
        default=False,
        help_text="At each visit, when it is off by more than a few seconds. Punches that are here stay as they are.",
    )
    away_minutes = models.PositiveIntegerField(
        "alarm after, minutes",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
        help_text="How long it may be away until somebody is told; empty: as long as the platform's others.",
    )

    direction = models.CharField(
        "people go",
        max_length=6,
        choices=Direction.choices,
        default=Direction.BOTH,
        db_default=Direction.BOTH,
        help_text="Between the platform and this terminal: people, cards, passwords and fingerprints.",
    )
    strangers = models.CharField(
        "people nobody wants there",
        max_length=7,
        choices=Strangers.choices,
        default=Strangers.KEPT,
        db_default=Strangers.KEPT,
        help_text="What becomes of people found on the unit who don't belong on it.",
    )
    fp_version = models.CharField("fingerprint algorithm", max_length=5, blank=True, db_default="", editable=False)

    objects = TerminalQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        permissions = [
            ("clear_terminal", "Can clear everything on a terminal"),
            ("clear_log", "Can clear the punch log of a terminal"),
        ]

    def __str__(self) -> str:
        return f"{self.alias} ({self.sn})"


class TerminalPresence(models.Model):
    """When a terminal was last heard of: narrow, because it is written at every contact."""

    terminal = models.OneToOneField(Terminal, models.CASCADE, primary_key=True, related_name="presence")
    online = models.BooleanField(default=False)
    since = models.DateTimeField(help_text="When it became online or offline.")
    last_activity = models.DateTimeField(null=True)
    expected = models.BooleanField(
        db_default=True, help_text="Somebody waits for it: it is polled, or dials by itself. Else it is never away."
    )
    # Of its last activity: when it dialled last, and when it was dialled.
    push_time = models.DateTimeField(null=True)
    pull_time = models.DateTimeField(null=True)
    clock_drift = models.IntegerField("clock drift, seconds", null=True, help_text="How far its clock was ahead.")
    clock_read_at = models.DateTimeField(null=True)
    complete_until = models.DateTimeField(
        null=True,
        help_text="Every punch made there up to this moment is here. It never goes back, and stands still while the"
        " terminal is away or its clock is wrong: nobody is absent for whom it hasn't come.",
    )

    def __str__(self) -> str:
        return f"{'online' if self.online else 'offline'} since {self.since:%Y-%m-%d %H:%M:%S}"
