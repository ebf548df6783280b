"""Devices that are dialled, and how that went."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from devices.admin.checks import check
from devices.admin.runs import failure_in_words
from devices.domain import clocks, registry_file, schedule
from devices.domain.identity import NotAcceptedError, accept_unit
from devices.domain.registry import (
    check_encoding,
    check_host,
    check_quiet_hours,
    normalise_key,
    note_polling,
    parse_comm_key,
    set_polled,
)
from devices.models import Device, SyncRun
from iclock.domain.health import drift_in_words
from iclock.models import Alarm, Terminal
from personnel.models.scope import scope_of
from zkbio.admin import (
    SecretField,
    TypedColumnsAdmin,
    second,
    tell_secret,
    visible_rows,
)

RUNS_SHOWN: Final = 10
KEY_HELP: Final = "Its name in URLs: letters, digits, - and _. “Back door” is kept as back_door."
_DIALLED_BY: Final = {"host", "port", "transport", "timeout", "new_comm_key", "clear_comm_key"}
_QUIET: Final = ("quiet_from", "quiet_until")


class DeviceForm(forms.ModelForm[Device]):
    """The secret's field is not named after its attribute: pages for those who may only look print attributes."""

    # Not stripped: an address with a blank in it was not written by who knows the address.
    host = forms.CharField(label="IP address", strip=False, max_length=100)
    key = forms.CharField(label="Id", max_length=50, help_text=KEY_HELP)
    new_comm_key = SecretField(label="Comm key", max_length=20, help_text="The communication password of the unit.")
    clear_comm_key = forms.BooleanField(label="Remove the comm key", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tell_secret(self.fields["new_comm_key"], is_set=bool(self.instance.comm_key_sealed))

    def clean_host(self) -> str:
        return check_host(self.cleaned_data["host"])

    def clean_key(self) -> str:
        return normalise_key(self.cleaned_data["key"])

    def clean_encoding(self) -> str:
        return check_encoding(self.cleaned_data["encoding"])

    def clean_new_comm_key(self) -> int | None:
        typed: str = self.cleaned_data["new_comm_key"]
        return parse_comm_key(typed) if typed else None

    def clean(self) -> dict[str, Any]:
        """What was typed goes onto the device here, so that it is saved with everything else or not at all."""
        cleaned = super().clean() or {}
        if (key := cleaned.get("new_comm_key")) is not None:
            self.instance.comm_key = key
        elif cleaned.get("clear_comm_key"):
            self.instance.comm_key = 0
        if self.errors.keys().isdisjoint(_QUIET):
            check_quiet_hours(cleaned.get("quiet_from"), cleaned.get("quiet_until"))
        return cleaned


@admin.register(Device)
class DeviceAdmin(TypedColumnsAdmin[Device]):
    form = DeviceForm
    also_saved = ("comm_key_sealed", "updated_at")
    list_display = ("name", "key", "address", "enabled", "state", "last_run", "next_poll", "serial_number")
    list_select_related = ("terminal",)
    list_filter = ("enabled", "transport")
    list_per_page = 100
    search_fields = ("name", "key", "host", "terminal__sn", "terminal__alias")
    actions = ("sync_now", check, "accept_units", "enable_polling", "disable_polling")
    status = (
        *("state", "terminal", "stranger", "disabled_since", "open_alarms", "drift", "last_success", "next_poll"),
        *("failures", "lease", "recent_runs"),
    )
    readonly_fields = status

    def get_fieldsets(self, request: HttpRequest, obj: Device | None = None) -> Any:
        """What is being added has no key to remove and no history to show."""
        key = ("new_comm_key", "clear_comm_key") if obj else "new_comm_key"
        entered = (
            (None, {"fields": ("name", "key", ("host", "port", "transport"), key)}),
            ("Polling", {"fields": ("enabled", "interval", "timeout", _QUIET)}),
            ("Unit", {"fields": ("encoding", "time_zone")}),
        )
        return (*entered, ("Status", {"fields": self.status})) if obj else entered

    def get_queryset(self, request: HttpRequest) -> QuerySet[Device]:
        last = SyncRun.objects.filter(device=OuterRef("pk")).order_by("-id")
        told = JSONObject(outcome="outcome", code="error_code", error="error")
        devices = visible_rows(Device.objects.select_related("terminal__presence"), request)
        hidden = Terminal.objects.exclude(pk__in=visible_rows(Terminal.objects.order_by(), request).values("pk"))
        return devices.annotate(
            last_run=Subquery(last.values(told=told)[:1]),
            is_stranger_hidden=Exists(hidden.filter(sn=OuterRef("stranger_sn"))),
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With what keeps devices.json from saying the same."""
        path = registry_file.configured_path()
        if path is not None and (trouble := registry_file.trouble(path)):
            self.message_user(request, trouble, messages.WARNING)
        return super().changelist_view(request, extra_context)

    def save_model(self, request: HttpRequest, obj: Device, form: forms.ModelForm[Device], change: bool) -> None:
        """Who mends what kept a device from answering need not wait for the end of its back-off."""
        super().save_model(request, obj, form, change)
        if change and not set(_QUIET).isdisjoint(form.changed_data):
            schedule.spare_quiet_hours(obj, now=timezone.now(), where=clocks.zone_of(obj))
        if "enabled" in form.changed_data:
            note_polling([obj.pk])
        if _DIALLED_BY.intersection(form.changed_data):
            schedule.request_sync([obj.pk])

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The runs go with their device; there may be a hundred thousand, so they are counted and not listed."""
        devices = list(objs)
        runs = SyncRun.objects.filter(device__in=devices).count()
        counts = {Device._meta.verbose_name_plural: len(devices), SyncRun._meta.verbose_name_plural: runs}
        missing = set() if self.has_delete_permission(request) else {Device._meta.verbose_name}
        return [str(device) for device in devices], counts, missing, []

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("devices.operate_device"))

    @admin.action(description="Sync now", permissions=["change"])
    def sync_now(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        chosen = list(queryset.values_list("pk", flat=True))
        queued = schedule.request_sync(chosen)
        self.message_user(request, f"To be read within seconds: {queued}.", messages.SUCCESS)
        if queued < len(chosen):
            self.message_user(request, f"Not polled, so not read: {len(chosen) - queued}.", messages.WARNING)

    @admin.action(description="Accept the unit that answers", permissions=["change"])
    def accept_units(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """Each device says for itself why not."""
        for device in queryset.order_by("pk"):
            try:
                terminal = accept_unit(device, actor=request, scope=scope_of(request.user))
            except NotAcceptedError as error:
                self.message_user(request, f"{device.name}: {error}", messages.WARNING)
            else:
                self.message_user(request, f"{device.name} is the unit {terminal.sn} from now on.", messages.SUCCESS)

    @admin.action(description="Enable polling", permissions=["change"])
    def enable_polling(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        changed = set_polled(queryset.values_list("pk", flat=True), enabled=True)
        self.message_user(request, f"Polled from now on: {changed}.", messages.SUCCESS)

    @admin.action(description="Disable polling", permissions=["change"])
    def disable_polling(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        changed = set_polled(queryset.values_list("pk", flat=True), enabled=False)
        self.message_user(request, f"No longer polled: {changed}.", messages.SUCCESS)

    @admin.display(description="address", ordering="host")
    def address(self, device: Device) -> str:
        return f"{device.host}:{device.port}" + (" (UDP)" if device.transport == Device.Transport.UDP else "")

    @admin.display(description="state")
    def state(self, device: Device) -> str:
        if _is_leased(device):
            return "Being read"
        if device.stranger_sn:
            return f"Another unit answers: {_stranger(device)}"
        if device.failures:
            return f"Failing, {device.failures} in a row"
        if (
            device.quiet_until is not None
            and device.enabled
            and schedule.is_quiet(device, now=timezone.now(), where=clocks.zone_of(device))
        ):
            return f"Quiet until {device.quiet_until:%H:%M}"
        return "Waiting for its first reading" if _last_run(device) is None else "Read"

    @admin.display(description="last run")
    def last_run(self, device: Device) -> str:
        run = _last_run(device)
        if run is None:
            return "-"
        return failure_in_words(run["code"], run["error"]) or str(SyncRun.Outcome(run["outcome"]).label)

    @admin.display(description="last success")
    def last_success(self, device: Device) -> str:
        good = device.runs.exclude(outcome=SyncRun.Outcome.FAILED)
        return second(good.aggregate(last=Max("finished_at"))["last"])

    @admin.display(description="next poll", ordering="next_poll_at")
    def next_poll(self, device: Device) -> str:
        return second(device.next_poll_at) if device.enabled else "Not polled"

    @admin.display(description="terminal", ordering="terminal__sn")
    def serial_number(self, device: Device) -> str:
        return device.terminal.sn if device.terminal else "-"

    @admin.display(description="unit that answers instead")
    def stranger(self, device: Device) -> str:
        return _stranger(device) or "-"

    @admin.display(description="disabled since")
    def disabled_since(self, device: Device) -> str:
        return second(device.disabled_at)

    @admin.display(description="open alarms")
    def open_alarms(self, device: Device) -> SafeString | str:
        alarms = Alarm.objects.open().filter(terminal=device.terminal_id) if device.terminal_id else []
        told = [(second(alarm.opened_at), alarm.get_kind_display(), alarm.sentence) for alarm in alarms]
        return format_html_join("", "<div>{} {}: {}</div>", told) or "-"

    @admin.display(description="clock, when it was read last")
    def drift(self, device: Device) -> str:
        presence = getattr(device.terminal, "presence", None)
        if presence is None or presence.clock_drift is None:
            return "-"
        return f"{drift_in_words(presence.clock_drift)}, {second(presence.clock_read_at)}"

    @admin.display(description="lease")
    def lease(self, device: Device) -> str:
        return f"Held until {second(device.lease_expires_at)}" if _is_leased(device) else "Free"

    @admin.display(description=f"last {RUNS_SHOWN} runs")
    def recent_runs(self, device: Device) -> SafeString | str:
        rows = [
            (
                second(run.started_at),
                run.get_trigger_display(),
                run.get_outcome_display(),
                run.new,
                failure_in_words(run.error_code, run.error),
            )
            for run in device.runs.all()[:RUNS_SHOWN]
        ]
        body = format_html_join("", "<tr><td>{}<td>{}<td>{}<td>{}<td>{}</tr>", rows)
        everything = f"{reverse('admin:devices_syncrun_changelist')}?device__id__exact={device.pk}"
        head = "<tr><th>Started<th>By<th>Outcome<th>New<th>Error</tr>"
        return format_html(f'<table class="runs">{head}{{}}</table><a href="{{}}">All runs</a>', body, everything)


def _stranger(device: Device) -> str:
    """The serial number of a terminal that the reader may not see is none of theirs."""
    return "one of another area" if getattr(device, "is_stranger_hidden", False) else device.stranger_sn


def _is_leased(device: Device) -> bool:
    """For eyes only: who may talk is decided by the database's clock."""
    return device.lease_expires_at is not None and device.lease_expires_at > timezone.now()


def _last_run(device: Device) -> dict[str, str] | None:
    """What the queryset of the list annotated; a device that is being added has none."""
    run: dict[str, str] | None = getattr(device, "last_run", None)
    return run
