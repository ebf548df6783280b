"""Terminals that dial: what they told, what waits for them, and what they sent besides punches and people."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from iclock.models.command import TerminalCommand
from iclock.models.enrolment import Enrolment
from iclock.models.person import inside
from iclock.models.terminal import Terminal
from personnel.models.scope import scope_of
from zkbio.wallclock import WallClockField


class PushState(models.Model):
    """A terminal that dials. It is locked by whoever writes what waits for it."""

    # Whether orders may be open: whoever finds a terminal for a request of its own looks at that, too.
    anything_open = True

    terminal = models.OneToOneField(Terminal, models.CASCADE, primary_key=True, related_name="push")

    # Who may be it: keyed digests, "" where nothing is asked for.
    path_digest = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    key_digest = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    key_address = models.GenericIPAddressField(null=True, editable=False, help_text="From where it showed its key.")
    shown_digest = models.CharField(max_length=64, blank=True, db_default="", editable=False)

    # Where it is.
    address = models.GenericIPAddressField(null=True, editable=False)
    former_address = models.GenericIPAddressField(null=True, editable=False)
    moved_at = models.DateTimeField(null=True, editable=False)
    # When it told of a punch that wasn't made yet.
    future_at = models.DateTimeField(null=True, editable=False)

    # The last handshake.
    shook_hands_at = models.DateTimeField("last handshake", null=True, editable=False)
    told_digest = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    options = models.JSONField("what it told of itself", default=dict, db_default={}, editable=False)
    registry_code = models.CharField(max_length=32, blank=True, db_default="", editable=False)
    encoding = models.CharField(
        "code page",
        max_length=20,
        default="utf-8",
        db_default="utf-8",
        help_text="In which the unit writes names; what is UTF-8 is read as that anyway.",
    )

    # People: when all of the unit's were told last, and what the plan that is under way was made for.
    listed_at = models.DateTimeField(null=True, editable=False)
    planned_for = models.BigIntegerField(null=True, editable=False)
    # Something may have to be done since then.
    due_at = models.DateTimeField(null=True, editable=False)

    # Its log, compared with what is here.
    verified_at = models.DateTimeField("log compared", null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["path_digest"], condition=~Q(path_digest=""), name="iclock_pushstate_path")
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="iclock_pushstate_due"),
        ]

    def __str__(self) -> str:
        return f"PUSH of {self.terminal_id}"


class PushPosition(models.Model):
    """What posts write, apart from the state: who locks that has no writer of punches wait."""

    terminal = models.OneToOneField(Terminal, models.CASCADE, primary_key=True, related_name="push_position")
    lines = models.BigIntegerField(default=0, db_default=0, help_text="Of its log, that were acknowledged so far.")
    stamps = models.JSONField(default=dict, db_default={}, help_text="Where the unit says that it is, by table.")

    def __str__(self) -> str:
        return f"position of {self.terminal_id}"


class PushCommandQuerySet(models.QuerySet["PushCommand"]):
    def visible_to(self, user: Any) -> PushCommandQuerySet:
        """Those within the limits of ``user``: at terminals, and of people, that they may see."""
        return self.filter(inside(scope_of(user)))

    def open(self) -> PushCommandQuerySet:
        """Not over yet: waiting, or handed out and unanswered."""
        return self.filter(state__in=PushCommand.OPEN)


class PushCommand(models.Model):
    """One command of the protocol, for a terminal that asks what it is to do; handed out in the order of ids.

    No template and no password is kept here: what is sent of a person is read when it is handed out.
    """

    State = TerminalCommand.State
    OPEN: Final = TerminalCommand.OPEN

    terminal = models.ForeignKey(Terminal, models.CASCADE, related_name="push_commands")
    kind = models.CharField(max_length=20, help_text="As iclock.orders names them.")
    emp_code = models.CharField("user id", max_length=24, blank=True, db_default="")
    finger = models.SmallIntegerField(null=True)
    # Of the plan (iclock.domain.plan.Intent): its kind, "" for what is no part of one, and its columns.
    intent = models.CharField(max_length=13, blank=True, db_default="", editable=False)
    columns = models.CharField(max_length=60, blank=True, db_default="", editable=False)
    arguments = models.JSONField(default=dict, db_default={}, editable=False)
    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED)
    # What was handed out last, as it is compared: columns of a person, the digest of a finger.
    sent = models.JSONField(default=dict, db_default={}, editable=False)
    times_sent = models.PositiveSmallIntegerField(default=0, db_default=0)
    returned = models.IntegerField("return code", null=True)
    result = models.CharField(max_length=300, blank=True, db_default="", help_text="What came of it, in a sentence.")
    # Whose wish it is, where it is somebody's.
    command = models.ForeignKey(TerminalCommand, models.CASCADE, null=True, related_name="orders", editable=False)
    enrolment = models.ForeignKey(Enrolment, models.CASCADE, null=True, related_name="orders", editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    objects = PushCommandQuerySet.as_manager()

    class Meta:
        verbose_name = "order to a PUSH terminal"
        verbose_name_plural = "orders to PUSH terminals"
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["terminal", "id"], condition=Q(state__in=["queued", "sent"]), name="iclock_pushcommand_open"
            ),
            models.Index(fields=["finished_at"], name="iclock_pushcommand_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for terminal {self.terminal_id}"


class TerminalEventQuerySet(models.QuerySet["TerminalEvent"]):
    def visible_to(self, user: Any) -> TerminalEventQuerySet:
        """Those within the limits of ``user``: at terminals, and of people, that they may see."""
        return self.filter(inside(scope_of(user), code="person"))


class TerminalEvent(models.Model):
    """What happened at a unit and is no punch: somebody used its menu, a door stayed open, access was denied."""

    class Source(models.TextChoices):
        MENU = "menu", "Menu"
        DOOR = "door", "Door"

    terminal = models.ForeignKey(Terminal, models.CASCADE, related_name="events")
    source = models.CharField(max_length=4, choices=Source.choices)
    code = models.IntegerField()
    person = models.CharField("user id", max_length=24, blank=True)
    moment: WallClockField[datetime | None, datetime | None] = WallClockField(
        null=True, help_text="The terminal's wall clock, as it said it."
    )
    values = ArrayField(models.CharField(max_length=64), default=list)
    received_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TerminalEventQuerySet.as_manager()

    class Meta:
        verbose_name = "event at a terminal"
        verbose_name_plural = "events at terminals"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["terminal", "source", "code", "person", "moment", "values"],
                nulls_distinct=False,
                name="iclock_terminalevent_identity",
            )
        ]
        indexes = [models.Index(fields=["received_at"], name="iclock_terminalevent_received")]

    def __str__(self) -> str:
        return f"{self.get_source_display()} {self.code} at terminal {self.terminal_id}"


class TerminalPhotoQuerySet(models.QuerySet["TerminalPhoto"]):
    def visible_to(self, user: Any) -> TerminalPhotoQuerySet:
        """Those within the limits of ``user``: at terminals, and of people, that they may see."""
        return self.filter(inside(scope_of(user)))


class TerminalPhoto(models.Model):
    """A picture that a unit took or holds: a file of our own making, encrypted, under a random name."""

    class Kind(models.TextChoices):
        CAPTURE = "capture", "Taken at a punch"
        USER = "user", "Portrait on the unit"
        BIO = "bio", "For comparing faces"

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    terminal = models.ForeignKey(Terminal, models.CASCADE, related_name="photos")
    emp_code = models.CharField("user id", max_length=24, blank=True)
    kind = models.CharField(max_length=7, choices=Kind.choices)
    taken: WallClockField[datetime | None, datetime | None] = WallClockField(
        null=True, help_text="The terminal's wall clock, as it said it."
    )
    file = models.CharField(max_length=80, editable=False)
    digest = models.CharField(
        max_length=64, editable=False, help_text="Keyed, of what was sent: sent twice, kept once."
    )
    received_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TerminalPhotoQuerySet.as_manager()

    class Meta:
        verbose_name = "photo of a terminal"
        verbose_name_plural = "photos of terminals"
        ordering = ["-id"]
        permissions = [("see_photo", "Can see the photos that terminals took")]
        constraints = [
            models.UniqueConstraint(fields=["terminal", "digest"], name="iclock_terminalphoto_identity"),
        ]
        indexes = [models.Index(fields=["received_at"], name="iclock_terminalphoto_received")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, terminal {self.terminal_id}"
