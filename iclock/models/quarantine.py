"""Records that could not become punches, kept with their bytes until somebody has looked."""

from __future__ import annotations

from django.db import models

from iclock.models.terminal import Terminal
from iclock.punch import Source


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

    terminal = models.ForeignObject(
        Terminal,
        models.DO_NOTHING,
        from_fields=["terminal_sn"],
        to_fields=["sn"],
        null=True,
        related_name="+",
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["terminal_sn", "digest"], name="iclock_quarantinedrecord_identity")
        ]

    def __str__(self) -> str:
        return f"{self.terminal_sn}: {self.reason}"
