"""Records that could not become punches: looked at, tried again, given to somebody, taken away as a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar, Final

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse

from iclock.domain.quarantine import assign, decode, is_assignable, retry
from iclock.models import QuarantinedRecord
from personnel.models import Employee
from zkbio.admin import GrowingAdmin, StatesFilter, second, visible_rows
from zkbio.api.errors import Unavailable
from zkbio.api.exports import export_answer
from zkbio.api.streams import BATCH_ROWS, let_connection_go

SHOWN_BYTES: Final = 256
# As many as one request may take its time for.
MOST_RETRIED: Final = 5_000
MOST_ASSIGNED: Final = 200
EXPORTED: Final = ("terminal", "reason", "source", "times", "first seen", "last seen", "released", "bytes in hex")


class ReleasedFilter(StatesFilter):
    title = "state"
    parameter_name = "state"
    states: ClassVar[Mapping[str | None, str]] = {None: "Open", "released": "Released", "all": "All"}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() == "all" else queryset.filter(released_at__isnull=self.value() != "released")


class AssignForm(forms.Form):
    emp_code = forms.CharField(label="Employee code", max_length=20)

    def __init__(self, data: Any, *, employees: QuerySet[Employee]) -> None:
        super().__init__(data)
        self._employees = employees

    def clean_emp_code(self) -> str:
        code = str(self.cleaned_data["emp_code"])
        if not self._employees.filter(emp_code=code).exists():
            raise forms.ValidationError("There is no employee with this code.")
        return code


@admin.register(QuarantinedRecord)
class QuarantinedRecordAdmin(GrowingAdmin[QuarantinedRecord]):
    list_display = ("id", "terminal_sn", "reason", "source", "times", "first_seen", "last_seen", "released")
    list_display_links = ("id", "terminal_sn")
    list_filter = (ReleasedFilter, "source")
    search_fields = ("terminal_sn__exact", "reason")
    actions = ("try_again", "assign_to_employee", "export")
    fields = (
        "terminal_sn",
        "reason",
        "says_now",
        "source",
        "times",
        "first_seen",
        "last_seen",
        "released",
        "bytes_in_hex",
        "digest_in_hex",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuarantinedRecord]:
        return super().get_queryset(request).defer("raw", "digest")

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("iclock.change_quarantinedrecord")

    @admin.action(description="Try again", permissions=["release"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[QuarantinedRecord]) -> None:
        released, kept = retry(_first(queryset, MOST_RETRIED), actor=request)
        told = f"Punches now: {released}. Kept: {kept}" + (", and each says why." if kept else ".")
        self.message_user(request, told, messages.WARNING if kept else messages.SUCCESS)
        if released + kept == MOST_RETRIED:
            self.message_user(request, f"No more than {MOST_RETRIED} are tried at once.", messages.WARNING)

    @admin.action(description="Assign to employee code…", permissions=["release"])
    def assign_to_employee(
        self, request: HttpRequest, queryset: QuerySet[QuarantinedRecord]
    ) -> HttpResponseBase | None:
        """Asks for the code first, beside what will be whose punch."""
        open_ones = queryset.filter(released_at=None).defer(None).select_related("terminal")
        records = list(open_ones.order_by("pk")[: MOST_ASSIGNED + 1])
        nobodys = [record for record in records if record.terminal and is_assignable(decode(record))]
        if len(records) > MOST_ASSIGNED or not nobodys:
            self.message_user(request, _why_not_assigned(len(records)), messages.ERROR)
            return None
        asked = "emp_code" in request.POST
        form = AssignForm(request.POST if asked else None, employees=visible_rows(Employee.objects.all(), request))
        if not form.is_valid():
            return self._ask_whose(request, form, nobodys, left_out=len(records) - len(nobodys))
        chosen = self.get_queryset(request).filter(pk__in=[record.pk for record in nobodys])
        released, kept = assign(chosen, form.cleaned_data["emp_code"], actor=request)
        left = f" Kept: {kept}." if kept else ""
        self.message_user(request, f"Punches of {form.cleaned_data['emp_code']} now: {released}.{left}")
        return None

    def _ask_whose(
        self, request: HttpRequest, form: AssignForm, records: list[QuarantinedRecord], *, left_out: int
    ) -> HttpResponseBase:
        context = {
            **self.admin_site.each_context(request),
            "title": "Whose punches were these?",
            "opts": self.opts,
            "form": form,
            "lines": [(record.pk, record.terminal_sn, _said(record), record.reason) for record in records],
            "left_out": left_out,
        }
        return TemplateResponse(request, "admin/iclock/quarantinedrecord/assign.html", context)

    @admin.action(description="Export", permissions=["view"])
    def export(self, request: HttpRequest, queryset: QuerySet[QuarantinedRecord]) -> HttpResponseBase | None:
        records = queryset.order_by("pk").defer(None).defer("digest")
        if records[: settings.MAX_EXPORT_ROWS + 1].count() > settings.MAX_EXPORT_ROWS:
            told = f"More than {settings.MAX_EXPORT_ROWS} records don't fit into a file; choose fewer."
            self.message_user(request, told, messages.ERROR)
            return None
        try:
            answer = export_answer("csv", name="quarantine", header=EXPORTED, batches=_batches(records))
        except Unavailable as error:
            self.message_user(request, str(error.detail), messages.ERROR)
            return None
        let_connection_go()
        return answer

    @admin.display(description="first seen", ordering="first_seen_at")
    def first_seen(self, record: QuarantinedRecord) -> str:
        return second(record.first_seen_at)

    @admin.display(description="last seen", ordering="last_seen_at")
    def last_seen(self, record: QuarantinedRecord) -> str:
        return second(record.last_seen_at)

    @admin.display(description="released", ordering="released_at")
    def released(self, record: QuarantinedRecord) -> str:
        return second(record.released_at)

    @admin.display(description="says now")
    def says_now(self, record: QuarantinedRecord) -> str:
        return _said(record)

    @admin.display(description="bytes")
    def bytes_in_hex(self, record: QuarantinedRecord) -> str:
        raw = bytes(record.raw)
        more = f" … ({len(raw)} bytes)" if len(raw) > SHOWN_BYTES else ""
        return raw[:SHOWN_BYTES].hex(" ") + more

    @admin.display(description="sha256")
    def digest_in_hex(self, record: QuarantinedRecord) -> str:
        return bytes(record.digest).hex()


def _first(records: QuerySet[QuarantinedRecord], most: int) -> QuerySet[QuarantinedRecord]:
    chosen = records.filter(released_at=None).order_by("pk").values_list("pk", flat=True)[:most]
    return QuarantinedRecord.objects.filter(pk__in=list(chosen))


def _why_not_assigned(count: int) -> str:
    if count > MOST_ASSIGNED:
        return f"No more than {MOST_ASSIGNED} records are given to a person at once."
    return (
        "Only open records of a terminal that is here, of which the person alone is missing, can be given to somebody."
    )


def _said(record: QuarantinedRecord) -> str:
    """What the bytes say by the decoders of now."""
    punch, fault = decode(record)
    if punch is None:
        return fault
    whose = f"nobody ({fault})" if fault else f"employee {punch.emp_code}"
    return f"{second(punch.punch_time)}, state {punch.punch_state}, verified by {punch.verify_type}, {whose}"


def _batches(records: QuerySet[QuarantinedRecord]) -> Iterator[list[list[Any]]]:
    rows = records.iterator(chunk_size=BATCH_ROWS)
    while batch := [_exported(record) for record in islice(rows, BATCH_ROWS)]:
        yield batch


def _exported(record: QuarantinedRecord) -> list[Any]:
    moments = (record.first_seen_at, record.last_seen_at, record.released_at)
    seen_and_released = [second(moment) if moment else "" for moment in moments]
    return [
        record.terminal_sn,
        record.reason,
        record.get_source_display(),
        record.times,
        *seen_and_released,
        bytes(record.raw).hex(" "),
    ]
