"""What somebody asked a terminal to do, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from iclock.models.terminal import Terminal

# A reboot that was asked for last week is nobody's wish any more.
LIFE: Final = timedelta(days=1)


class TerminalCommandQuerySet(models.QuerySet["TerminalCommand"]):
    def visible_to(self, user: Any) -> TerminalCommandQuerySet:
        """Those to terminals that ``user`` may see."""
        return self.filter(terminal__in=Terminal.objects.visible_to(user))

    def open(self) -> TerminalCommandQuerySet:
        """Not over yet: waiting, or sent and unanswered."""
        return self.filter(state__in=TerminalCommand.OPEN)


class TerminalCommand(models.Model):
    """One command. Its state only moves forward: queued, sent, then done, failed, expired or cancelled."""

    class Kind(models.TextChoices):
        REBOOT = "reboot", "Reboot"
        UPLOAD_ALL = "upload_all", "Upload everything"
        UPLOAD_TRANSACTION = "upload_transaction", "Upload punches"
        CLEAR_COMMAND = "clear_command", "Cancel waiting commands"
        CLEAR_LOG = "clear_log", "Clear the punch log"
        CLEAR_CAPTURE = "clear_capture", "Clear captured pictures"
        CLEAR_ALL = "clear_all", "Clear everything"

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        SENT = "sent", "Sent"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        EXPIRED = "expired", "Expired"
        CANCELLED = "cancelled", "Cancelled"

    OPEN: Final = (State.QUEUED, State.SENT)

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    terminal = models.ForeignKey(Terminal, models.CASCADE, related_name="commands")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED)
    result = models.CharField(max_length=300, blank=True, help_text="What came of it, in a sentence.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(db_default=Now() + LIFE, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    objects = TerminalCommandQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        # Asking again for what still waits adds nothing: so there are never more waiting than there are kinds.
        constraints = [
            models.UniqueConstraint(
                fields=["terminal", "kind"], condition=Q(state="queued"), name="iclock_command_queued_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["terminal", "id"], condition=Q(state__in=["queued", "sent"]), name="iclock_command_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} for {self.terminal}"
