"""The history of conversations with devices."""

from __future__ import annotations

from typing import Any

from django.db import models

from devices.models.device import Device
from personnel.models.scope import scope_of


class SyncRunQuerySet(models.QuerySet["SyncRun"]):
    def visible_to(self, user: Any) -> SyncRunQuerySet:
        """Those of devices that ``user`` may see."""
        if scope_of(user).areas is None:
            return self
        return self.filter(device__in=Device.objects.visible_to(user).order_by())


class SyncRun(models.Model):
    """One visit to one device: what it announced, what came of it, or what went wrong in a sentence.

    announced == known + new + duplicate + quarantined on every run that read the log.
    """

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        COMMAND = "command", "Command line"
        LIVE = "live", "Request"

    class Outcome(models.TextChoices):
        OK = "ok", "Read"
        UNCHANGED = "unchanged", "Unchanged, not downloaded"
        FAILED = "failed", "Failed"

    device = models.ForeignKey(Device, models.CASCADE, related_name="runs")
    trigger = models.CharField(max_length=8, choices=Trigger.choices)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    outcome = models.CharField(max_length=9, choices=Outcome.choices)
    error_code = models.CharField(max_length=20, blank=True)
    error = models.CharField(max_length=500, blank=True)
    announced = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0, help_text="Rows of the known prefix, not decoded again.")
    new = models.PositiveIntegerField(default=0)
    duplicate = models.PositiveIntegerField(default=0)
    quarantined = models.PositiveIntegerField(default=0)
    users = models.PositiveIntegerField(null=True)
    drift = models.IntegerField("clock drift, seconds", null=True)

    objects = SyncRunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["device", "-id"], name="devices_syncrun_device")]

    def __str__(self) -> str:
        return f"{self.device_id} {self.started_at:%Y-%m-%d %H:%M:%S} {self.outcome}"

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()
