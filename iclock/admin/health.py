"""How terminals are: columns, filters and fields of their pages, in words."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join

from iclock.domain.belonging import count_belonging
from iclock.domain.clearing import count_stored_of
from iclock.domain.health import Filled, drift_in_words, grouped
from iclock.models import Alarm, SyncMark, Terminal, TerminalPerson
from iclock.models.terminal import State
from iclock.policy import Direction
from zkbio.admin import TypedColumnsAdmin, second, visible_rows


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, str(state.label)) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in State.values else queryset


class OpenAlarmFilter(admin.SimpleListFilter):
    """By what is so now."""

    title = "open alarm"
    parameter_name = "alarm"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("any", "Any"), ("none", "None"), *((kind.value, str(kind.label)) for kind in Alarm.Kind)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        alarms = Alarm.objects.open().filter(terminal=OuterRef("pk"))
        match self.value():
            case "any":
                return queryset.filter(Exists(alarms))
            case "none":
                return queryset.filter(~Exists(alarms))
            case kind if kind in Alarm.Kind.values:
                return queryset.filter(Exists(alarms.filter(kind=kind)))
            case _:
                return queryset


class PeopleFilter(admin.SimpleListFilter):
    """By how far their people are."""

    title = "people"
    parameter_name = "people"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Wait to be brought up to date"), ("error", "Broken off"), ("unknown", "Unknown people")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "waiting":
                return queryset.filter(sync_mark__wanted__gt=F("sync_mark__done"))
            case "error":
                return queryset.filter(sync_mark__isnull=False).exclude(sync_mark__error="")
            case "unknown":
                unknown = TerminalPerson.objects.visible_to(request.user).unknown()
                return queryset.filter(Exists(unknown.filter(terminal=OuterRef("pk"))))
            case _:
                return queryset


class HealthAdmin(TypedColumnsAdmin[Terminal]):
    """Rows need ``with_state()`` and ``annotate_terminals()``; a terminal that never spoke has no row of presence.

    ``refused``: how many on it aren't as they should be, of those whom the reader may see.
    """

    presence = ("state", "alarms", "since", "last_heard", "last_push")
    unit = ("ip_address", "terminal_name", "platform", "fw_ver", "push_ver", "clock")
    punch_log = ("punches", "punches_here", "complete_until")
    people_there = (
        *("people", "belonging", "synchronised", "compared", "carried_out", "people_lists"),
        *("fp_version", "fingerprints", "faces", "palm_count"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Terminal]:
        people = TerminalPerson.objects.visible_to(request.user).filter(terminal=OuterRef("pk")).exclude(refusal="")
        count = people.order_by().values("terminal").annotate(refused=Count("pk")).values("refused")
        rows = Alarm.objects.annotate_terminals(Terminal.objects.with_state())
        return visible_rows(rows.annotate(refused=Coalesce(Subquery(count), 0)), request)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Terminal | None:
        """With ``people_shown``: the people on it whom the reader of the page may see."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            people = TerminalPerson.objects.visible_to(request.user).filter(terminal=found)
            vars(found)["people_shown"] = people
        return found

    @admin.display(description="state", ordering="state")
    def state(self, terminal: Any) -> str:
        return str(State(terminal.state).label)

    @admin.display(description="open alarms")
    def open_kinds(self, terminal: Any) -> str:
        return ", ".join(str(Alarm.Kind(kind).label) for kind in terminal.open_alarms) or "-"

    @admin.display(description="open alarms")
    def alarms(self, terminal: Terminal) -> str:
        found = Alarm.objects.open().filter(terminal=terminal).order_by("opened_at")
        lines = ((alarm.get_kind_display(), second(alarm.opened_at), alarm.sentence) for alarm in found)
        return format_html_join("\n", "<div>{}, since {}: {}</div>", lines) or "None"

    @admin.display(description="last heard of", ordering="presence__last_activity")
    def last_heard(self, terminal: Terminal) -> str:
        return _presence(terminal, "last_activity")

    @admin.display(description="online or offline since")
    def since(self, terminal: Terminal) -> str:
        return _presence(terminal, "since")

    @admin.display(description="last post by PUSH")
    def last_push(self, terminal: Terminal) -> str:
        return _presence(terminal, "push_time")

    @admin.display(description="complete until", ordering="presence__complete_until")
    def complete_until(self, terminal: Terminal) -> str:
        """Until then every punch made at the terminal is here."""
        return _presence(terminal, "complete_until")

    @admin.display(description="clock", ordering="presence__clock_drift")
    def clock(self, terminal: Terminal) -> str:
        presence = getattr(terminal, "presence", None)
        if presence is None or presence.clock_drift is None:
            return "Never read"
        return f"{drift_in_words(presence.clock_drift)}, read {second(presence.clock_read_at)}"

    @admin.display(description="people", ordering="user_count")
    def people(self, terminal: Terminal) -> str:
        return _held(terminal.user_count, terminal.user_capacity, "people")

    @admin.display(description="fingerprints")
    def fingerprints(self, terminal: Terminal) -> str:
        return _held(terminal.fp_count, terminal.fp_capacity, "fingerprints")

    @admin.display(description="faces")
    def faces(self, terminal: Terminal) -> str:
        return _held(terminal.face_count, terminal.face_capacity, "faces")

    @admin.display(description="punches", ordering="transaction_count")
    def punches(self, terminal: Terminal) -> str:
        return _held(terminal.transaction_count, terminal.transaction_capacity, "punches")

    @admin.display(description="punches here")
    def punches_here(self, terminal: Terminal) -> str:
        return grouped(count_stored_of(terminal.sn))

    @admin.display(description="who belongs on it")
    def belonging(self, terminal: Terminal) -> str:
        """By numbers; who they are is the business of whoever brings the terminal up to date."""
        expected, there = count_belonging([terminal])[terminal.pk], terminal.user_count
        numbers = f"{grouped(expected)} expected, {grouped(there)} there"
        if expected == there:
            return numbers
        return f"{numbers}: {grouped(abs(expected - there))} {'missing' if expected > there else 'more'}"

    @admin.display(description="brought up to date")
    def synchronised(self, terminal: Any) -> str:
        mark: SyncMark | None = getattr(terminal, "sync_mark", None)
        if terminal.direction == Direction.OFF:
            return "Its people are its own"
        if mark is None or not (mark.pending or mark.error):
            return f"Up to date, but {grouped(terminal.refused)} refused" if terminal.refused else "Up to date"
        waiting = f"Waiting since {second(mark.wanted_at)}" if mark.pending else ""
        return " ".join(filter(None, [waiting, mark.error and f"Broken off: {mark.error}"]))

    @admin.display(description="compared with the unit")
    def compared(self, terminal: Terminal) -> str:
        mark: SyncMark | None = getattr(terminal, "sync_mark", None)
        return second(mark.compared_at) if mark and mark.compared_at else "Never"

    @admin.display(description="changes of the last comparison")
    def carried_out(self, terminal: Terminal) -> str:
        mark: SyncMark | None = getattr(terminal, "sync_mark", None)
        return f"{grouped(mark.carried_out)} of {grouped(mark.planned)} done or refused" if mark else "-"

    @admin.display(description="who is there")
    def people_lists(self, terminal: Any) -> str:
        """What the lists say that its links lead to."""
        of_it = f"?terminal__id__exact={terminal.pk}"
        people, changes = (reverse(f"admin:iclock_{name}_changelist") for name in ("terminalperson", "personintent"))
        counts = terminal.people_shown.aggregate(
            there=Count("pk", filter=Q(held=True)),
            unknown=Count("pk", filter=Q(held=True, placed=False)),
            refused=Count("pk", filter=~Q(refusal="")),
        )
        links = (
            (f"{people}{of_it}&shown=all", f"{grouped(counts['there'])} on the unit"),
            (f"{people}{of_it}", f"{grouped(counts['unknown'])} unknown"),
            (f"{people}{of_it}&shown=refused", f"{grouped(counts['refused'])} not as they should be"),
            (f"{changes}{of_it}", "what was done"),
        )
        return format_html_join(", ", '<a href="{}">{}</a>', links)


def _presence(terminal: Terminal, field: str) -> str:
    return second(getattr(getattr(terminal, "presence", None), field, None))


def _held(count: int, capacity: int | None, what: str) -> str:
    return str(Filled(what, count, capacity)) if capacity else f"{grouped(count)} {what}"
