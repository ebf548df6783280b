"""Records that could not become punches, kept with their bytes until somebody has looked."""

from __future__ import annotations

from typing import Any

from django.db import models

from iclock.models.terminal import Terminal
from iclock.punch import Source
from personnel.models.scope import scope_of


class QuarantinedRecordQuerySet(models.QuerySet["QuarantinedRecord"]):
    def visible_to(self, user: Any) -> QuarantinedRecordQuerySet:
        """Those of terminals that ``user`` may see; in whose department they belong nobody knows."""
        scope = scope_of(user)
        if scope.unlimited:
            return self
        if scope.areas is None:
            return self.none()
        return self.filter(terminal_sn__in=Terminal.objects.visible_to(user).order_by().values("sn"))


class QuarantinedRecord(models.Model):
    """One undecodable record of one terminal; the same bytes read again only raise ``times``."""

    terminal_sn = models.CharField(max_length=50)
    source = models.SmallIntegerField(choices=[(source.value, source.name.lower()) for source in Source])
    raw = models.BinaryField()
    digest = models.BinaryField(max_length=32)
    reason = models.CharField(max_length=200)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)
    released_at = models.DateTimeField(
        null=True, editable=False, help_text="When it became a punch after all: it was tried again after a fix."
    )

    terminal = models.ForeignObject(
        Terminal,
        models.DO_NOTHING,
        from_fields=["terminal_sn"],
        to_fields=["sn"],
        null=True,
        related_name="+",
    )

    objects = QuarantinedRecordQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["terminal_sn", "digest"], name="iclock_quarantinedrecord_identity")
        ]

    def __str__(self) -> str:
        return f"{self.terminal_sn}: {self.reason}"
