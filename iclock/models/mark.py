"""Which terminals wait for their people to be brought up to date."""

from __future__ import annotations

from django.db import models
from django.db.models import F

from iclock.models.terminal import Terminal


class SyncMarkQuerySet(models.QuerySet["SyncMark"]):
    def pending(self) -> SyncMarkQuerySet:
        return self.filter(wanted__gt=F("done"))


class SyncMark(models.Model):
    """Two counters, so that a change made while its terminal is being reconciled isn't forgotten.

    Each change of people raises ``wanted``; whoever reconciles reads it first, and writes what it read to ``done``.
    """

    terminal = models.OneToOneField(Terminal, models.CASCADE, primary_key=True, related_name="sync_mark")
    wanted = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    wanted_at = models.DateTimeField()

    objects = SyncMarkQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.terminal}: {'waiting' if self.pending else 'up to date'}"

    @property
    def pending(self) -> bool:
        return self.wanted > self.done
