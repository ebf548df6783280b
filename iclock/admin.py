"""Terminals, and what they said: punches and the records that could not become punches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from iclock.domain.commands import Kind, as_of_now, cancel_commands, clear_commands, queue_commands
from iclock.domain.marks import mark
from iclock.domain.terminals import (
    approve_terminals,
    block_terminals,
    check_serial,
    check_transfer_time,
    remove_terminals,
)
from iclock.models import (
    Biodata,
    QuarantinedRecord,
    SyncMark,
    Terminal,
    TerminalCommand,
    Transaction,
    TransactionBlock,
)
from iclock.models.terminal import State
from iclock.punch import PUNCH_STATES, VERIFY_TYPES, Source
from zkbio.admin import (
    COUNTED_ROWS,
    BoundedPaginator,
    ReadOnlyAdmin,
    TypedColumnsAdmin,
    VisibleRelatedFilter,
    second,
    visible_rows,
)

SHOWN_BYTES: Final = 256
_PER_PAGE: Final = 100
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


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, str(state.label)) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in State.values else queryset


class TerminalForm(forms.ModelForm[Terminal]):
    def clean_sn(self) -> str:
        check_serial(self.cleaned_data["sn"])
        return str(self.cleaned_data["sn"])

    def clean_transfer_time(self) -> str:
        check_transfer_time(self.cleaned_data["transfer_time"])
        return str(self.cleaned_data["transfer_time"])


@admin.register(Terminal)
class TerminalAdmin(TypedColumnsAdmin[Terminal]):
    form = TerminalForm
    list_display = ("alias", "sn", "state", "area", "ip_address", "last_heard", "user_count", "transaction_count")
    list_display_links = ("alias", "sn")
    list_select_related = ("area", "presence")
    list_filter = (StateFilter, "admission", ("area", VisibleRelatedFilter), "is_attendance")
    list_per_page = _PER_PAGE
    search_fields = ("alias", "sn", "ip_address")
    autocomplete_fields = ("area",)
    actions = ("read_now", "reboot", "cancel_waiting", "approve", "block")
    presence = ("state", "since", "last_heard", "last_push", "synchronised")
    counts = ("user_count", "fp_count", "face_count", "palm_count", "transaction_count", "created_at")
    unit = ("ip_address", "terminal_name", "platform", "fw_ver", "push_ver")
    readonly_fields = (*presence, *unit, *counts)
    entered = (
        (None, {"fields": ("sn", "alias", "area", "time_zone", "admission", "is_attendance")}),
        ("PUSH", {"classes": ("collapse",), "fields": ("heartbeat", "transfer_time", "transfer_interval")}),
    )
    reported = (
        ("Presence", {"fields": presence}),
        ("Unit, as it last said", {"fields": unit}),
        ("Content, as it last said", {"fields": counts}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Terminal]:
        return visible_rows(Terminal.objects.with_state(), request)

    def get_readonly_fields(self, request: HttpRequest, obj: Terminal | None = None) -> Any:
        """The serial number is what punches are joined by."""
        return (*self.readonly_fields, "sn") if obj else self.readonly_fields

    def get_fieldsets(self, request: HttpRequest, obj: Terminal | None = None) -> Any:
        return (*self.entered, *self.reported) if obj else self.entered

    def save_model(self, request: HttpRequest, obj: Terminal, form: forms.ModelForm[Terminal], change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change or "area" in form.changed_data:
            mark([obj.pk])

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Commands go with their terminal, though no hand deletes them one by one; its punches stay."""
        terminals = list(objs)
        commands = TerminalCommand.objects.filter(terminal__in=terminals).count()
        counts = {
            Terminal._meta.verbose_name_plural: len(terminals),
            TerminalCommand._meta.verbose_name_plural: commands,
        }
        missing = set() if self.has_delete_permission(request) else {Terminal._meta.verbose_name}
        return [str(terminal) for terminal in terminals], counts, missing, []

    def delete_model(self, request: HttpRequest, obj: Terminal) -> None:
        remove_terminals([obj.pk], actor=request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        remove_terminals(queryset.values_list("pk", flat=True), actor=request)

    @admin.action(description="Read now", permissions=["change"])
    def read_now(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        self._queue(request, queryset, Kind.UPLOAD_TRANSACTION)

    @admin.action(description="Reboot", permissions=["change"])
    def reboot(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        self._queue(request, queryset, Kind.REBOOT)

    @admin.action(description="Cancel waiting commands", permissions=["change"])
    def cancel_waiting(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        clear_commands(queryset, user=request.user)
        self.message_user(request, "Cancelled; the list of commands says how many.", messages.SUCCESS)

    @admin.action(description="Approve", permissions=["change"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        approve_terminals(list(queryset), actor=request)
        self.message_user(request, "Approved.", messages.SUCCESS)

    @admin.action(description="Block", permissions=["change"])
    def block(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        block_terminals(list(queryset), actor=request)
        self.message_user(request, "Blocked.", messages.SUCCESS)

    def _queue(self, request: HttpRequest, queryset: QuerySet[Terminal], kind: str) -> None:
        queue_commands(queryset, kind, user=request.user)
        self.message_user(request, "Queued; the list of commands says what comes of it.", messages.SUCCESS)

    @admin.display(description="people")
    def synchronised(self, terminal: Terminal) -> str:
        waiting = SyncMark.objects.pending().filter(terminal=terminal.pk).first()
        return f"Waiting since {second(waiting.wanted_at)}" if waiting else "Up to date"

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
class TransactionAdmin(ReadOnlyAdmin[Transaction]):
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
    list_per_page = _PER_PAGE
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
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


@admin.register(TerminalCommand)
class TerminalCommandAdmin(ReadOnlyAdmin[TerminalCommand]):
    list_display = ("id", "terminal", "kind", "state_word", "result_word", "asked_by", "asked", "sent", "finished")
    list_select_related = ("terminal", "created_by")
    list_filter = ("state", "kind")
    list_per_page = _PER_PAGE
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    ordering = ("-id",)
    search_fields = ("terminal__sn", "terminal__alias")
    actions = ("cancel",)
    fields = ("terminal", "kind", "state_word", "result_word", "asked_by", "asked", "sent", "finished")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TerminalCommand]:
        return as_of_now(super().get_queryset(request))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("iclock.change_terminal")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[TerminalCommand]) -> None:
        cancelled = cancel_commands(TerminalCommand.objects.filter(pk__in=queryset.values("pk")))
        self.message_user(request, f"Cancelled: {cancelled}. What was sent already can't be.", messages.SUCCESS)

    @admin.display(description="state", ordering="state_now")
    def state_word(self, command: Any) -> str:
        return str(TerminalCommand.State(command.state_now).label)

    @admin.display(description="result")
    def result_word(self, command: Any) -> str:
        return command.result_now or "-"

    @admin.display(description="asked by")
    def asked_by(self, command: TerminalCommand) -> str:
        return str(command.created_by or "-")

    @admin.display(description="asked", ordering="created_at")
    def asked(self, command: TerminalCommand) -> str:
        return second(command.created_at)

    @admin.display(description="sent", ordering="sent_at")
    def sent(self, command: TerminalCommand) -> str:
        return second(command.sent_at)

    @admin.display(description="finished", ordering="finished_at")
    def finished(self, command: TerminalCommand) -> str:
        return second(command.finished_at)


@admin.register(Biodata)
class BiodataAdmin(ReadOnlyAdmin[Biodata]):
    """What is enrolled. The template itself isn't shown to anybody here."""

    list_display = ("id", "employee", "bio_type", "bio_no", "major_ver", "sn", "updated")
    list_select_related = ("employee",)
    list_filter = ("bio_type",)
    list_per_page = _PER_PAGE
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    search_fields = ("employee__emp_code__exact", "sn__exact")
    fields = ("employee", "bio_type", "bio_no", "bio_index", "major_ver", "minor_ver", "duress", "sn", "updated")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Biodata]:
        return super().get_queryset(request).defer("sealed")

    @admin.display(description="updated", ordering="update_time")
    def updated(self, biodata: Biodata) -> str:
        return second(biodata.update_time)


@admin.register(QuarantinedRecord)
class QuarantinedRecordAdmin(ReadOnlyAdmin[QuarantinedRecord]):
    list_display = ("id", "terminal_sn", "reason", "source", "times", "first_seen", "last_seen")
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
        "first_seen",
        "last_seen",
        "bytes_in_hex",
        "digest_in_hex",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuarantinedRecord]:
        return super().get_queryset(request).defer("raw", "digest")

    @admin.display(description="first seen", ordering="first_seen_at")
    def first_seen(self, record: QuarantinedRecord) -> str:
        return second(record.first_seen_at)

    @admin.display(description="last seen", ordering="last_seen_at")
    def last_seen(self, record: QuarantinedRecord) -> str:
        return second(record.last_seen_at)

    @admin.display(description="bytes")
    def bytes_in_hex(self, record: QuarantinedRecord) -> str:
        raw = bytes(record.raw)
        more = f" … ({len(raw)} bytes)" if len(raw) > SHOWN_BYTES else ""
        return raw[:SHOWN_BYTES].hex(" ") + more

    @admin.display(description="sha256")
    def digest_in_hex(self, record: QuarantinedRecord) -> str:
        return bytes(record.digest).hex()


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text.count("-") == 2 else None
    except ValueError:
        return None


def _punched_between(punches: QuerySet[Any], first: dt.date, end: dt.date) -> QuerySet[Any]:
    """By the wall clock, from the first day to the one before the end."""
    since, until = (dt.datetime.combine(day, dt.time()) for day in (first, end))
    return punches.filter(punch_time__gte=since, punch_time__lt=until)


def _presence(terminal: Terminal, field: str) -> str:
    """A terminal that never spoke has no row of presence."""
    return second(getattr(getattr(terminal, "presence", None), field, None))
