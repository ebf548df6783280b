"""What somebody should know about a terminal."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from iclock.models import Alarm
from zkbio.admin import GrowingAdmin, second


class OpenFilter(admin.SimpleListFilter):
    title = "open"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Open"), ("0", "Over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(closed_at__isnull=self.value() == "1") if self.value() in ("0", "1") else queryset


@admin.register(Alarm)
class AlarmAdmin(GrowingAdmin[Alarm]):
    list_display = ("id", "terminal", "kind", "sentence", "opened", "closed", "ending")
    list_display_links = ("id", "kind")
    list_select_related = ("terminal",)
    list_filter = (OpenFilter, "kind")
    ordering = ("-id",)
    search_fields = ("terminal__sn__exact", "terminal__alias")
    fields = ("terminal", "kind", "sentence", "opened", "closed", "ending")

    @admin.display(description="since", ordering="opened_at")
    def opened(self, alarm: Alarm) -> str:
        return second(alarm.opened_at)

    @admin.display(description="over", ordering="closed_at")
    def closed(self, alarm: Alarm) -> str:
        return second(alarm.closed_at)
