"""Which terminals wait for their people to be brought up to date, and how far that is."""

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

    # The comparison with the unit: when its people and fingers were read last, and what it counted then.
    compared_at = models.DateTimeField("people compared", null=True)
    fingers_read_at = models.DateTimeField("fingerprints read", null=True)
    people_there = models.PositiveIntegerField(default=0, db_default=0)
    fingers_there = models.PositiveIntegerField(default=0, db_default=0)
    # The plan that is being carried out, or was last.
    planned = models.PositiveIntegerField("to do", default=0, db_default=0)
    carried_out = models.PositiveIntegerField("done of it", default=0, db_default=0)
    error = models.CharField(max_length=300, blank=True, db_default="", help_text="Why it was broken off.")

    objects = SyncMarkQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.terminal}: {'waiting' if self.pending else 'up to date'}"

    @property
    def pending(self) -> bool:
        return self.wanted > self.done
