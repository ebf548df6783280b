"""Punches: a list of ten million rows, where every lookup has an index."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from iclock.models import Terminal, Transaction, TransactionBlock
from iclock.punch import PUNCH_STATES, VERIFY_TYPES, Source
from zkbio.admin import COUNTED_ROWS, BoundedPaginator, GrowingAdmin, second, visible_rows

_LAST_PAGE: Final = 1000

FILTERED_TERMINALS: Final = 50
SOURCES: Final[Mapping[Source, str]] = {
    Source.IMPORT: "Import",
    Source.PULL: "Terminal",
    Source.PUSH: "Terminal, by PUSH",
    Source.MANUAL: "By hand",
}

# The ranges of the list's filter, from the first wall-clock day to the day after the last.
RANGES: Final[Mapping[str, Callable[[dt.date], tuple[dt.date, dt.date]]]] = {
    "today": lambda today: (today, today + dt.timedelta(days=1)),
    "yesterday": lambda today: (today - dt.timedelta(days=1), today),
    "7 days": lambda today: (today - dt.timedelta(days=6), today + dt.timedelta(days=1)),
    "31 days": lambda today: (today - dt.timedelta(days=30), today + dt.timedelta(days=1)),
    "future": lambda today: (today + dt.timedelta(days=1), dt.date.max),
}


class PunchedFilter(admin.SimpleListFilter):
    """By the terminal's wall clock, against the platform's own day."""

    title = "punched"
    parameter_name = "punched"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in RANGES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        days = RANGES.get(self.value() or "")
        if days is None:
            return queryset
        return _punched_between(queryset, *days(timezone.localdate()))


class TerminalFilter(admin.SimpleListFilter):
    """By name where they are few; in a large house the search by serial number is quicker to use."""

    title = "terminal"
    parameter_name = "terminal"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        terminals = visible_rows(Terminal.objects.order_by("alias", "sn"), request)
        named = list(terminals.values_list("sn", "alias")[: FILTERED_TERMINALS + 1])
        return named if len(named) <= FILTERED_TERMINALS else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(terminal_sn=self.value()) if self.value() else queryset


class PunchPaginator(BoundedPaginator):
    """The exact number of all punches by their counters; a filtered list is counted up to a bound.

    Pages end at ``_LAST_PAGE``: a page deep in ten million rows takes a second, and the filters lead there sooner.
    """

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet) and rows.query.where != Transaction.objects.live().query.where:
            return rows[:COUNTED_ROWS].count()
        return int(TransactionBlock.objects.aggregate(total=Sum("live"))["total"] or 0)

    @cached_property
    def num_pages(self) -> int:
        return max(1, min(-(-self.count // self.per_page), _LAST_PAGE))


@admin.register(Transaction)
class TransactionAdmin(GrowingAdmin[Transaction]):
    """Every lookup offered here has an index; there may be ten million rows."""

    list_display = (
        "id",
        "emp_code",
        "person",
        "punched",
        "terminal_name",
        "punch_state_word",
        "verified",
        "brought_by",
        "uploaded",
    )
    list_select_related = ("emp",)
    list_filter = (PunchedFilter, TerminalFilter)
    paginator = PunchPaginator
    ordering = ("-id",)
    sortable_by = ("id", "emp_code", "punched", "terminal_name", "uploaded")
    search_fields = ("emp_code__exact", "terminal_sn__exact")
    search_help_text = "An employee code or a terminal's serial number, in full, or a day such as 2026-03-31."
    fieldsets = (
        (None, {"fields": ("id", "emp_code", "person", "punched", "punch_state_word", "verified", "work_code")}),
        ("Terminal", {"fields": ("terminal_sn", "terminal_alias", "area_alias", "brought_by")}),
        ("Time", {"fields": ("instant", "utc_offset", "clock_note", "uploaded")}),
        ("Details", {"fields": ("is_attendance", "is_mask", "temperature")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transaction]:
        return visible_rows(Transaction.objects.live(), request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Transaction], search_term: str
    ) -> tuple[QuerySet[Transaction], bool]:
        day = _day(search_term.strip())
        if day is None:
            return super().get_search_results(request, queryset, search_term)
        return _punched_between(queryset, day, day + dt.timedelta(days=1)), False

    @admin.display(description="employee")
    def person(self, punch: Transaction) -> str:
        return punch.emp.full_name.strip() if punch.emp else "-"

    @admin.display(description="punch time", ordering="punch_time")
    def punched(self, punch: Transaction) -> str:
        return second(punch.punch_time)

    @admin.display(description="terminal", ordering="terminal_sn")
    def terminal_name(self, punch: Transaction) -> str:
        return punch.terminal_alias or punch.terminal_sn

    @admin.display(description="state")
    def punch_state_word(self, punch: Transaction) -> str:
        return PUNCH_STATES.get(punch.punch_state, str(punch.punch_state))

    @admin.display(description="verified by")
    def verified(self, punch: Transaction) -> str:
        return VERIFY_TYPES.get(punch.verify_type, str(punch.verify_type))

    @admin.display(description="source")
    def brought_by(self, punch: Transaction) -> str:
        return SOURCES[Source(punch.source)]

    @admin.display(description="instant")
    def instant(self, punch: Transaction) -> str:
        return second(punch.punched_at)

    @admin.display(description="arrived", ordering="upload_time")
    def uploaded(self, punch: Transaction) -> str:
        return second(punch.upload_time)


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text.count("-") == 2 else None
    except ValueError:
        return None


def _punched_between(punches: QuerySet[Any], first: dt.date, end: dt.date) -> QuerySet[Any]:
    """By the wall clock, from the first day to the one before the end."""
    since, until = (dt.datetime.combine(day, dt.time()) for day in (first, end))
    return punches.filter(punch_time__gte=since, punch_time__lt=until)
