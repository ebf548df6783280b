"""What the administration pages of every app share: title, login, lists and their filters, write-only secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, TypeVar

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

admin.site.site_header = admin.site.site_title = "Attendance"
admin.site.index_title = "Terminals, people and punches"
admin.site.enable_nav_sidebar = False  # the lists need the width
admin.site.site_url = None  # there is no other site to view yet

M = TypeVar("M", bound=Model)

COUNTED_ROWS: Final = 10_000
# What may follow the name of a filter: the related row's id, and how it is compared.
_COMPARED: Final = re.compile(r"(__id)?(__(exact|iexact|in|isnull|isempty|gte|gt|lte|lt|year|month|day|startswith))?")


class LoginForm(AdminAuthenticationForm):
    """Django's sentence warns that both fields may be case-sensitive; here one is."""

    error_messages = {
        **AdminAuthenticationForm.error_messages,
        "invalid_login": _(
            "Please enter the correct %(username)s and password for a staff account. "
            "Capital letters matter in the password only."
        ),
    }


admin.site.login_form = LoginForm


class DeclaredFiltersAdmin(admin.ModelAdmin[M]):
    """Lists answer to their declared filters, searches and relations only, and show what their user may see.

    Django lets any column be asked for in the address of a list, which reads stored hashes out letter by letter.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        return visible_rows(super().get_queryset(request), request)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return _limited(super().formfield_for_foreignkey(db_field, request, **kwargs), request)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return _limited(super().formfield_for_manytomany(db_field, request, **kwargs), request)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        names = (name for name in self._asked_by(request) if lookup.startswith(name))
        declared = any(_COMPARED.fullmatch(lookup.removeprefix(name)) for name in names)
        return declared and bool(super().lookup_allowed(lookup, value, request))

    def _asked_by(self, request: HttpRequest) -> Iterator[str]:
        for entry in self.get_list_filter(request):
            subject, how = entry if isinstance(entry, tuple | list) else (entry, None)
            name = str(getattr(subject, "parameter_name", subject))
            yield from (f"{name}__id__exact", f"{name}__isnull") if how is VisibleRelatedFilter else (name,)
        yield from (name.lstrip("^=@") for name in self.get_search_fields(request))
        yield from (field.name for field in self.model._meta.concrete_fields if field.is_relation)
        if self.date_hierarchy:
            yield self.date_hierarchy


class VisibleRelatedFilter(admin.RelatedOnlyFieldListFilter):
    """By related rows that the user may see; others can't be asked for either."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        rows: QuerySet[Any] = field.remote_field.model._default_manager.all()
        visible = set(visible_rows(rows, request).values_list("pk", flat=True))
        offered: Any = super().field_choices(field, request, model_admin)
        return [(pk, label) for pk, label in offered if pk in visible]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        asked, offered = self.lookup_val or (), {str(pk) for pk, _label in self.lookup_choices}
        found: QuerySet[Any] | None = super().queryset(request, queryset)
        return found if found is None or offered.issuperset(asked) else found.none()


class StatesFilter(admin.SimpleListFilter):
    """By a state of which one is chosen as long as nobody chooses: that of ``states`` with None."""

    states: ClassVar[Mapping[str | None, str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, title) for value, title in self.states.items() if value]

    def choices(self, changelist: Any) -> Iterator[Any]:
        for value, title in self.states.items():
            chosen = {self.parameter_name: value} if value else {}
            address = changelist.get_query_string(chosen, [] if value else [self.parameter_name])
            yield {"selected": self.value() == value, "query_string": address, "display": title}


class ReadOnlyAdmin(DeclaredFiltersAdmin[M]):
    """Rows that no hand writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


class BoundedPaginator(Paginator[Any]):
    """For tables that grow for ever: counts, and therefore leafs through, no more than ``COUNTED_ROWS`` rows."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows[:COUNTED_ROWS].count() if isinstance(rows, QuerySet) else len(rows)


class GrowingAdmin(ReadOnlyAdmin[M]):
    """A table that grows for ever: neither its list nor what stands beside it reads the whole."""

    list_per_page = 100
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator


class TypedColumnsAdmin(DeclaredFiltersAdmin[M]):
    """Saves the columns that were typed and no others: workers write leases, counters and states at the same moment."""

    also_saved: tuple[str, ...] = ()

    def save_model(self, request: HttpRequest, obj: M, form: forms.ModelForm[M], change: bool) -> None:
        columns = {field.name for field in obj._meta.concrete_fields}
        typed = [name for name in form.fields if name in columns]
        obj.save(update_fields=[*typed, *self.also_saved] if change else None)


class SecretField(forms.CharField):
    """Typed in and never shown again: neither the stored value nor, after an error, what was typed."""

    def __init__(self, **options: Any) -> None:
        widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"})
        super().__init__(**{"required": False, "widget": widget, **options})


def tell_secret(field: forms.Field, *, is_set: bool) -> None:
    """Say beneath the field of a secret whether there is a value now."""
    now = "One is set; leave this empty to keep it." if is_set else "None is set."
    field.help_text = f"{field.help_text} {now}".strip()


def visible_rows(rows: QuerySet[M], request: HttpRequest) -> QuerySet[M]:
    """Within the limits of the user who asks, of those models that have any."""
    visible: QuerySet[M] = rows.visible_to(request.user) if hasattr(rows, "visible_to") else rows
    return visible


def _limited(field: Any, request: HttpRequest) -> Any:
    """A field whose choices are what the user may see."""
    if field is not None:
        field.queryset = visible_rows(field.queryset, request)
    return field


def second(moment: datetime | None) -> str:
    """A moment as lists show it, to the second; an aware one in the viewer's zone."""
    if moment is None:
        return "-"
    here = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return f"{here:%Y-%m-%d %H:%M:%S}"
