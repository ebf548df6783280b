"""The history of visits to devices."""

from __future__ import annotations

from django.contrib import admin

from devices.models import SyncRun
from zkbio.admin import GrowingAdmin, second


@admin.register(SyncRun)
class SyncRunAdmin(GrowingAdmin[SyncRun]):
    list_display = ("started", "device_name", "outcome", "failure", "punches", "took", "trigger")
    fields = (
        *("started", "finished", "took", "device", "trigger", "outcome", "failure"),
        *("announced", "punches", "users", "drift"),
    )
    list_select_related = ("device",)
    list_filter = ("outcome", "trigger")
    search_fields = ("device__key__exact", "device__name", "device__host__exact")

    @admin.display(description="started", ordering="id")
    def started(self, run: SyncRun) -> str:
        return second(run.started_at)

    @admin.display(description="device")
    def device_name(self, run: SyncRun) -> str:
        return run.device.name

    @admin.display(description="finished")
    def finished(self, run: SyncRun) -> str:
        return second(run.finished_at)

    @admin.display(description="error")
    def failure(self, run: SyncRun) -> str:
        return failure_in_words(run.error_code, run.error) or "-"

    @admin.display(description="punches")
    def punches(self, run: SyncRun) -> str:
        """Nothing to count where nothing was downloaded; what rarely happens is said only when it did."""
        if run.outcome != SyncRun.Outcome.OK:
            return "-"
        rare = {"duplicate": run.duplicate, "quarantined": run.quarantined}
        told = [
            f"{run.new} new",
            f"{run.known} known",
            *(f"{number} {word}" for word, number in rare.items() if number),
        ]
        return ", ".join(told)

    @admin.display(description="seconds")
    def took(self, run: SyncRun) -> str:
        return f"{run.seconds:.1f}"


def failure_in_words(code: str, error: str) -> str:
    """The sentence after its code, under which docs/devices.md says what to do."""
    return f"{code}: {error}" if code else error
