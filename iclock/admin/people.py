"""People on terminals: who waits for a decision and what is decided, and what was done with whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import model_ngettext
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from iclock.admin.enrolments import finger_in_words
from iclock.domain.plan import Kind
from iclock.domain.standing import Standing, standing_of
from iclock.domain.unknown_people import Refusals, adopt, confirm_same, remove_from_unit
from iclock.models import PersonIntent, Terminal, TerminalPerson
from personnel.models import Employee
from personnel.models.scope import scope_of
from zkbio.admin import GrowingAdmin, StatesFilter, second, visible_rows
from zkbio.texts import in_print

FILTERED_TERMINALS: Final = 50
# As many as one request may take its time for, and as many as a page asks about.
MOST_DECIDED: Final = 1_000
MOST_REMOVED: Final = 500
_TOLD: Final = 10
_NAME: Final = ("emp_code", "first_name", "last_name")
_DEEDS: Final = {
    Kind.TAKE_FIELDS: "Take from the terminal",
    Kind.TAKE_FINGER: "Take the finger from the terminal",
    Kind.REMOVE: "Remove",
    Kind.ADD: "Add",
    Kind.UPDATE: "Write",
    Kind.ENABLE: "Enable",
    Kind.DELETE_FINGER: "Delete the finger",
    Kind.COPY_FINGER: "Copy the finger there",
}


class OfTerminalFilter(admin.SimpleListFilter):
    """By name where they are few; the pages of terminals lead here in any house."""

    title = "terminal"
    parameter_name = "terminal__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        terminals = visible_rows(Terminal.objects.order_by("alias", "sn"), request)
        named = [(str(terminal.pk), str(terminal)) for terminal in terminals[: FILTERED_TERMINALS + 1]]
        chosen = [each for each in named if each[0] == self.value()]
        return named if len(named) <= FILTERED_TERMINALS else chosen

    def has_output(self) -> bool:
        return self.value() is not None or super().has_output()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        if asked is None:
            return queryset
        return queryset.filter(terminal=int(asked)) if asked.isdecimal() and len(asked) < 19 else queryset.none()


class ShownFilter(StatesFilter):
    title = "shown"
    parameter_name = "shown"
    states: ClassVar[Mapping[str | None, str]] = {
        None: "Unknown, to be decided on",
        "refused": "Not as they should be",
        "all": "All",
    }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "all":
                return queryset
            case "refused":
                return queryset.exclude(refusal="")
            case _:
                return queryset.filter(held=True, placed=False)


class PeopleList(ChangeList):
    """What the people of a page are is found out for all of them at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        _look_up(self.result_list, request)


@admin.register(TerminalPerson)
class TerminalPersonAdmin(GrowingAdmin[TerminalPerson]):
    """All that is told of them comes from the unit, except for the name here. Passwords and fingers aren't shown."""

    list_display = (
        "emp_code",
        "terminal",
        "name_there",
        "name_here",
        "card_there",
        "more_than_a_user",
        "standing",
        "refusal",
        "found",
    )
    list_display_links = ("emp_code",)
    list_select_related = ("terminal",)
    list_filter = (ShownFilter, OfTerminalFilter)
    ordering = ("-id",)
    sortable_by = ("emp_code", "found")
    search_fields = ("emp_code__exact", "terminal__sn__exact")
    search_help_text = "A user id or a terminal's serial number, in full."
    actions = ("adopt", "same_person", "remove")
    fields = (
        "terminal",
        "emp_code",
        "name_there",
        "name_here",
        "card_there",
        "privilege_there",
        "uid",
        "standing",
        "refusal",
        "found",
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PeopleList

    def get_queryset(self, request: HttpRequest) -> QuerySet[TerminalPerson]:
        return super().get_queryset(request).defer("held_fingers", "agreed_fingers")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> TerminalPerson | None:
        found = super().get_object(request, object_id, from_field)
        _look_up([found] if found else [], request)
        return found

    def has_adopt_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["personnel.add_employee", "personnel.change_employee"])

    def has_confirm_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("personnel.change_employee")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["iclock.change_terminal", "iclock.delete_terminalperson"])

    @admin.action(description="Adopt: make employees of them, or bring them into the area", permissions=["adopt"])
    def adopt(self, request: HttpRequest, queryset: QuerySet[TerminalPerson]) -> None:
        rows = self._chosen(request, queryset.select_related("terminal__area"), MOST_DECIDED)
        _look_up(rows, request)
        refusals = adopt(rows, actor=request, scope=scope_of(request.user))
        self._tell(request, "Adopted", rows, refusals)
        refused = {row.pk for row, _sentence in refusals}
        self._tell_adopted(request, [row for row in rows if row.pk not in refused])

    @admin.action(description="Same person: the unit only has another name for them", permissions=["confirm"])
    def same_person(self, request: HttpRequest, queryset: QuerySet[TerminalPerson]) -> None:
        rows = self._chosen(request, queryset, MOST_DECIDED)
        refusals = confirm_same(rows, actor=request, scope=scope_of(request.user))
        self._tell(request, "Confirmed", rows, refusals)

    @admin.action(description="Remove from the unit …", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[TerminalPerson]) -> HttpResponse | None:
        """Asks first. Who was confirmed is who was shown: their ids come back with the form."""
        rows = self._chosen(request, queryset, MOST_REMOVED)
        if "confirmed" not in request.POST:
            return self._confirmation(request, rows)
        refusals = remove_from_unit(rows, actor=request, scope=scope_of(request.user))
        self._tell(request, "Asked to be removed", rows, refusals)
        return None

    def _chosen(self, request: HttpRequest, queryset: QuerySet[TerminalPerson], most: int) -> list[TerminalPerson]:
        rows = list(queryset.order_by("pk").select_related("terminal")[: most + 1])
        if len(rows) > most:
            told = f"No more than {most} are decided on at once: the others wait."
            self.message_user(request, told, messages.WARNING)
        return rows[:most]

    def _confirmation(self, request: HttpRequest, rows: Sequence[TerminalPerson]) -> HttpResponse:
        _look_up(rows, request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Remove these people from their units?",
            "opts": self.opts,
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
            "of_these": f"{len(rows)} {model_ngettext(self.opts, len(rows))}",
            "people": [(row, self.name_there(row), self.standing(row)) for row in rows],
        }
        return TemplateResponse(request, "admin/iclock/terminalperson/remove.html", context)

    def _tell(self, request: HttpRequest, done: str, rows: Collection[TerminalPerson], refusals: Refusals) -> None:
        self.message_user(request, f"{done}: {len(rows) - len(refusals)}.", messages.SUCCESS)
        for row, sentence in refusals[:_TOLD]:
            self.message_user(request, in_print(f"{row}: {sentence}"), messages.WARNING)
        if len(refusals) > _TOLD:
            self.message_user(request, f"Not done: {len(refusals)} in all.", messages.WARNING)

    def _tell_adopted(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Who is new, who was given an area, and on whom somebody still has to decide."""
        told: dict[str, list[str]] = {}
        for row in rows:
            what = "New employees, in area" if row.standing_now == Standing.UNKNOWN else "Now also in area"
            told.setdefault(f"{what} {row.terminal.area}", []).append(row.emp_code)
        for what, codes in [*told.items()][:_TOLD]:
            self.message_user(request, f"{what}: {_named(codes)}.", messages.SUCCESS)
        waiting = TerminalPerson.objects.unknown().filter(pk__in=[row.pk for row in rows]).order_by("pk")
        if codes := list(waiting.values_list("emp_code", flat=True)):
            told_so = f"They have another name on the unit, and wait until you say “Same person”: {_named(codes)}."
            self.message_user(request, told_so, messages.WARNING)

    @admin.display(description="name on the unit")
    def name_there(self, person: TerminalPerson) -> str:
        return in_print(str(person.held_fields.get("name") or "-"))

    @admin.display(description="name here")
    def name_here(self, person: Any) -> str:
        return person.name_here or "-"

    @admin.display(description="card there")
    def card_there(self, person: TerminalPerson) -> str:
        return str(person.held_fields.get("card") or "-")

    @admin.display(description="privilege there")
    def privilege_there(self, person: TerminalPerson) -> str:
        told = person.held_fields.get("privilege")
        labels: dict[Any, Any] = dict(Employee.DevicePrivilege.choices)
        return "-" if told is None else str(labels.get(told, told))

    @admin.display(description="privilege there")
    def more_than_a_user(self, person: TerminalPerson) -> str:
        """Who may change the unit at its menu stands out of a list in which hardly anybody may."""
        return self.privilege_there(person) if person.held_fields.get("privilege") else "-"

    @admin.display(description="what they are")
    def standing(self, person: Any) -> str:
        return str(Standing(person.standing_now).label)

    @admin.display(description="found", ordering="found_at")
    def found(self, person: TerminalPerson) -> str:
        return second(person.found_at)


@admin.register(PersonIntent)
class PersonIntentAdmin(GrowingAdmin[PersonIntent]):
    list_display = ("id", "terminal", "emp_code", "what", "done", "sentence", "when")
    list_display_links = ("id", "emp_code")
    list_select_related = ("terminal",)
    list_filter = ("done", OfTerminalFilter)
    ordering = ("-id",)
    sortable_by = ("id",)
    search_fields = ("emp_code__exact", "terminal__sn__exact")
    search_help_text = "A user id or a terminal's serial number, in full."
    fields = ("terminal", "emp_code", "what", "done", "sentence", "when")

    @admin.display(description="what")
    def what(self, intent: PersonIntent) -> str:
        deed = _DEEDS[Kind(intent.kind)] if intent.kind in set(Kind) else intent.kind
        which = [*filter(None, intent.columns.split(","))]
        which += [] if intent.finger is None else [finger_in_words(intent.finger)]
        return f"{deed}: {', '.join(which)}" if which else str(deed)

    @admin.display(description="when", ordering="at")
    def when(self, intent: PersonIntent) -> str:
        return second(intent.at)


def _named(codes: Sequence[str]) -> str:
    more = len(codes) - _TOLD
    return in_print(", ".join(codes[:_TOLD])) + (f" and {more} more" if more > 0 else "")


def _look_up(rows: Sequence[TerminalPerson], request: HttpRequest) -> None:
    """Gives each row what it is, and the name of the employee, for who may see employees."""
    everybody = Employee.objects.all() if request.user.has_perm("personnel.view_employee") else Employee.objects.none()
    visible = visible_rows(everybody, request).filter(emp_code__in={row.emp_code for row in rows})
    names = {employee.emp_code: employee.full_name.strip() for employee in visible.order_by().only(*_NAME)}
    standing = standing_of(rows)
    for row in rows:
        vars(row).update(standing_now=standing[row.pk], name_here=names.get(row.emp_code, ""))
