"""Terminals, and what they said: punches and the records that could not become punches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from iclock.models import QuarantinedRecord, Terminal, Transaction, TransactionBlock
from iclock.models.terminal import State
from zkbio.admin import COUNTED_ROWS, BoundedPaginator, ReadOnlyAdmin, TypedColumnsAdmin, second

SHOWN_BYTES: Final = 256
_PER_PAGE: Final = 100
_LAST_PAGE: Final = 1000

# The ranges of the list's filter, from the first wall-clock day to the day after the last.
RANGES: Final[Mapping[str, Callable[[dt.date], tuple[dt.date, dt.date]]]] = {
    "today": lambda today: (today, today + dt.timedelta(days=1)),
    "yesterday": lambda today: (today - dt.timedelta(days=1), today),
    "7 days": lambda today: (today - dt.timedelta(days=6), today + dt.timedelta(days=1)),
    "31 days": lambda today: (today - dt.timedelta(days=30), today + dt.timedelta(days=1)),
    "future": lambda today: (today + dt.timedelta(days=1), dt.date.max),
}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, str(state.label)) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in State.values else queryset


@admin.register(Terminal)
class TerminalAdmin(TypedColumnsAdmin[Terminal]):
    list_display = ("alias", "sn", "state", "area", "ip_address", "last_heard", "user_count", "transaction_count")
    list_display_links = ("alias", "sn")
    list_select_related = ("area", "presence")
    list_filter = (StateFilter, "admission", ("area", admin.RelatedOnlyFieldListFilter), "is_attendance")
    list_per_page = _PER_PAGE
    search_fields = ("alias", "sn", "ip_address")
    autocomplete_fields = ("area",)
    presence = ("state", "since", "last_heard", "last_push")
    counts = ("user_count", "fp_count", "face_count", "palm_count", "transaction_count", "created_at")
    readonly_fields = (*presence, *counts)
    fieldsets = (
        (None, {"fields": ("sn", "alias", "area", "time_zone", "admission", "is_attendance")}),
        ("Presence", {"fields": presence}),
        ("Unit", {"fields": ("ip_address", "terminal_name", "platform", ("fw_ver", "push_ver"))}),
        ("Content, as it last said", {"fields": counts}),
        ("PUSH", {"classes": ("collapse",), "fields": ("heartbeat", "transfer_time", "transfer_interval")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Terminal]:
        return Terminal.objects.with_state()

    def get_readonly_fields(self, request: HttpRequest, obj: Terminal | None = None) -> Any:
        """The serial number is what punches are joined by."""
        return (*self.readonly_fields, "sn") if obj else self.readonly_fields

    @admin.display(description="state", ordering="state")
    def state(self, terminal: Any) -> str:
        return str(State(terminal.state).label) if terminal.pk else "-"

    @admin.display(description="last heard of", ordering="presence__last_activity")
    def last_heard(self, terminal: Terminal) -> str:
        return _presence(terminal, "last_activity")

    @admin.display(description="online or offline since")
    def since(self, terminal: Terminal) -> str:
        return _presence(terminal, "since")

    @admin.display(description="last post by PUSH")
    def last_push(self, terminal: Terminal) -> str:
        return _presence(terminal, "push_time")


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
        first, end = (dt.datetime.combine(day, dt.time()) for day in days(timezone.localdate()))
        return queryset.filter(punch_time__gte=first, punch_time__lt=end)


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
class TransactionAdmin(ReadOnlyAdmin[Transaction]):
    """Every lookup offered here has an index; there may be ten million rows."""

    list_display = (
        "id",
        "emp_code",
        "person",
        "punched",
        "terminal_sn",
        "terminal_alias",
        "punch_state",
        "verify_type",
        "source",
        "uploaded",
    )
    list_select_related = ("emp",)
    list_filter = (PunchedFilter,)
    list_per_page = _PER_PAGE
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = PunchPaginator
    ordering = ("-id",)
    sortable_by = ("id", "emp_code", "punched", "terminal_sn", "uploaded")
    search_fields = ("emp_code__exact", "terminal_sn__exact")
    search_help_text = "An employee code or a terminal's serial number, in full."
    fieldsets = (
        (None, {"fields": ("id", "emp_code", "person", "punched", "punch_state", "verify_type", "work_code")}),
        ("Terminal", {"fields": ("terminal_sn", "terminal_alias", "area_alias", "source")}),
        ("Time", {"fields": ("punched_at", "utc_offset", "clock_note", "upload_time", "deleted_at")}),
        ("Details", {"fields": ("is_attendance", "is_mask", "temperature")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transaction]:
        return Transaction.objects.live()

    @admin.display(description="employee")
    def person(self, punch: Transaction) -> str:
        return punch.emp.full_name.strip() if punch.emp else "-"

    @admin.display(description="punch time", ordering="punch_time")
    def punched(self, punch: Transaction) -> str:
        return second(punch.punch_time)

    @admin.display(description="arrived", ordering="upload_time")
    def uploaded(self, punch: Transaction) -> str:
        return second(punch.upload_time)


@admin.register(QuarantinedRecord)
class QuarantinedRecordAdmin(ReadOnlyAdmin[QuarantinedRecord]):
    list_display = ("id", "terminal_sn", "reason", "source", "times", "first_seen_at", "last_seen_at")
    list_display_links = ("id", "terminal_sn")
    list_filter = ("source",)
    list_per_page = _PER_PAGE
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    search_fields = ("terminal_sn__exact", "reason")
    fields = (
        "terminal_sn",
        "reason",
        "source",
        "times",
        "first_seen_at",
        "last_seen_at",
        "bytes_in_hex",
        "digest_in_hex",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuarantinedRecord]:
        return super().get_queryset(request).defer("raw", "digest")

    @admin.display(description="bytes")
    def bytes_in_hex(self, record: QuarantinedRecord) -> str:
        raw = bytes(record.raw)
        more = f" … ({len(raw)} bytes)" if len(raw) > SHOWN_BYTES else ""
        return raw[:SHOWN_BYTES].hex(" ") + more

    @admin.display(description="sha256")
    def digest_in_hex(self, record: QuarantinedRecord) -> str:
        return bytes(record.digest).hex()


def _presence(terminal: Terminal, field: str) -> str:
    """A terminal that never spoke has no row of presence."""
    return second(getattr(getattr(terminal, "presence", None), field, None))
