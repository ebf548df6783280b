"""Terminals: what is entered of them, and what they last said."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from iclock.admin.clearing import clear_log, may_clear_log
from iclock.admin.health import HealthAdmin, OpenAlarmFilter, PeopleFilter, StateFilter
from iclock.admin.push import PushActions, PushInline, PushStateForm
from iclock.admin.usb import UsbImportPage
from iclock.domain.commands import Kind, clear_commands, queue_commands
from iclock.domain.comparing import compare_now
from iclock.domain.health import grouped
from iclock.domain.leaving import Decided, count_leaving
from iclock.domain.marks import mark
from iclock.domain.push_secrets import set_key
from iclock.domain.terminals import (
    approve_terminals,
    block_terminals,
    check_serial,
    check_transfer_time,
    mark_edited,
    remove_terminals,
)
from iclock.domain.unknown_people import judge_strangers
from iclock.models import (
    Alarm,
    Enrolment,
    PersonIntent,
    PushCommand,
    Terminal,
    TerminalCommand,
    TerminalEvent,
    TerminalPerson,
    TerminalPhoto,
)
from zkbio.admin import VisibleRelatedFilter

_PER_PAGE: Final = 100
# What hangs on a terminal and goes with it.
_HANGING: Final = (
    *(TerminalCommand, Alarm, TerminalPerson, PersonIntent, Enrolment),
    *(PushCommand, TerminalEvent, TerminalPhoto),
)


class TerminalForm(forms.ModelForm[Terminal]):
    """Whoever would be deleted from the unit by what is changed is deleted only if that is said, too."""

    remove_people = forms.BooleanField(
        label="Remove them from the unit",
        required=False,
        help_text="Asked for when another area, direction or policy deletes people from the unit.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        leaving = self._count_leaving(cleaned) if self.instance.pk and not cleaned.get("remove_people") else 0
        if leaving:
            self.add_error("remove_people", _leaving_in_words(leaving))
        return cleaned

    def _count_leaving(self, cleaned: dict[str, Any]) -> int:
        """The instance is as it is stored still: what was typed is written to it after all this."""
        stored = Decided(self.instance.area_id, self.instance.direction, self.instance.strangers)
        area = cleaned["area"].pk if cleaned.get("area") else stored.area
        direction, strangers = (cleaned.get(name) or getattr(stored, name) for name in ("direction", "strangers"))
        return count_leaving(self.instance, stored, Decided(area, direction, strangers))

    def clean_sn(self) -> str:
        check_serial(self.cleaned_data["sn"])
        return str(self.cleaned_data["sn"])

    def clean_transfer_time(self) -> str:
        check_transfer_time(self.cleaned_data["transfer_time"])
        return str(self.cleaned_data["transfer_time"])


@admin.register(Terminal)
class TerminalAdmin(PushActions, UsbImportPage, HealthAdmin):
    form = TerminalForm
    list_display = (
        "alias",
        "sn",
        "state",
        "open_kinds",
        "area",
        "ip_address",
        "last_heard",
        "complete_until",
        "people",
        "synchronised",
        "punches",
    )
    list_display_links = ("alias", "sn")
    list_select_related = ("area", "presence", "sync_mark")
    list_filter = (
        StateFilter,
        OpenAlarmFilter,
        PeopleFilter,
        "admission",
        ("area", VisibleRelatedFilter),
        "is_attendance",
        "corrects_clock",
        "direction",
        "strangers",
    )
    list_per_page = _PER_PAGE
    search_fields = ("alias", "sn", "ip_address", "terminal_name", "fw_ver")
    search_help_text = "A name, a serial number, an address, a model or a firmware, or a part of it."
    autocomplete_fields = ("area",)
    actions = (
        *("read_now", "compare_people", "reboot", "cancel_waiting", "approve", "block", clear_log),
        *PushActions.push_actions,
    )
    readonly_fields = (
        *HealthAdmin.presence,
        "dialled_as",
        *HealthAdmin.unit,
        *HealthAdmin.punch_log,
        *HealthAdmin.people_there,
        "created_at",
    )
    entered = (
        (None, {"fields": ("sn", "alias", "area", "time_zone", "admission", "is_attendance")}),
        ("People", {"fields": ("direction", "strangers")}),
        ("Health", {"fields": ("corrects_clock", "away_minutes")}),
        ("PUSH", {"classes": ("collapse",), "fields": ("heartbeat", "transfer_time", "transfer_interval")}),
    )
    reported = (
        ("Presence", {"fields": (*HealthAdmin.presence, "dialled_as")}),
        ("Punches", {"fields": HealthAdmin.punch_log}),
        ("People on it", {"fields": HealthAdmin.people_there}),
        ("Unit, as it last said", {"fields": (*HealthAdmin.unit, "created_at")}),
    )

    def has_clear_log_permission(self, request: HttpRequest) -> bool:
        return may_clear_log(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Terminal | None = None) -> Any:
        """The serial number is what punches are joined by."""
        return (*self.readonly_fields, "sn") if obj else self.readonly_fields

    def get_inlines(self, request: HttpRequest, obj: Terminal | None) -> Any:
        return [PushInline] if hasattr(obj, "push") else []

    def get_fieldsets(self, request: HttpRequest, obj: Terminal | None = None) -> Any:
        if obj is None:
            return self.entered
        if not self.has_change_permission(request, obj):
            return (*self.entered, *self.reported)
        asking = ("People", {"fields": ("direction", "strangers", "remove_people")})
        entered = (asking if title == "People" else (title, options) for title, options in self.entered)
        return (*entered, *self.reported)

    def save_model(self, request: HttpRequest, obj: Terminal, form: forms.ModelForm[Terminal], change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change:
            mark_edited(obj, form.changed_data)
        else:
            mark([obj.pk])
        if not {"direction", "strangers"}.isdisjoint(form.changed_data):
            judge_strangers(obj)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        for push in formset.forms:
            typed = push.cleaned_data.get("comm_key") if isinstance(push, PushStateForm) else ""
            if typed or push.cleaned_data.get("clear_comm_key"):
                set_key(form.instance, typed or "", actor=request)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What hangs on a terminal goes with it, though no hand deletes it piece by piece; its punches stay."""
        terminals = list(objs)
        counts = {Terminal._meta.verbose_name_plural: len(terminals)}
        for model in _HANGING:
            counts[model._meta.verbose_name_plural] = model._default_manager.filter(terminal__in=terminals).count()
        missing = set() if self.has_delete_permission(request) else {Terminal._meta.verbose_name}
        return [str(terminal) for terminal in terminals], counts, missing, []

    def delete_model(self, request: HttpRequest, obj: Terminal) -> None:
        remove_terminals([obj.pk], actor=request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        remove_terminals(queryset.values_list("pk", flat=True), actor=request)

    @admin.action(description="Read now", permissions=["change"])
    def read_now(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        self._queue(request, queryset, Kind.UPLOAD_TRANSACTION)

    @admin.action(description="Compare people now", permissions=["change"])
    def compare_people(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        compare_now(list(queryset.values_list("pk", flat=True)))
        self.message_user(request, "Their people are compared at the next visit.", messages.SUCCESS)

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

    @admin.display(description="dialled as")
    def dialled_as(self, terminal: Terminal) -> SafeString | str:
        """The device, of which this app knows no more than where its page is."""
        device = getattr(terminal, "device", None)
        if device is None:
            return "-"
        return format_html('<a href="{}">{}</a>', reverse("admin:devices_device_change", args=[device.pk]), device)


def _leaving_in_words(count: int) -> str:
    who = "1 person" if count == 1 else f"{grouped(count)} people"
    return (
        f"{who} will be deleted from the unit, with their cards, passwords and fingerprints there, and faces that the"
        " platform doesn't know. If that is meant, tick this and save again."
    )
