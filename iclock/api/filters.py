from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import django_filters
from django import forms
from django.core.exceptions import ValidationError as FormError
from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError

from iclock.models import Alarm, Biodata, Terminal, TerminalCommand, Transaction
from iclock.models.terminal import State
from zkbio.api.filters import AddressFilter, IdFilter, WallClockFilter


class SmallNumberFilter(django_filters.Filter):
    field_class = forms.IntegerField

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": 2**15 - 1, **options})


class TerminalFilter(django_filters.FilterSet):
    sn = django_filters.CharFilter()
    alias = django_filters.CharFilter()
    state = django_filters.CharFilter(help_text=", ".join(f"{state.value} {state.name.lower()}" for state in State))
    area = IdFilter(field_name="area_id")
    ip_address = AddressFilter()
    sn_icontains = django_filters.CharFilter(field_name="sn", lookup_expr="icontains")
    alias_icontains = django_filters.CharFilter(field_name="alias", lookup_expr="icontains")

    class Meta:
        model = Terminal
        fields: list[str] = []


class CommandFilter(django_filters.FilterSet):
    terminal = IdFilter(field_name="terminal_id")
    state = django_filters.CharFilter(field_name="state_now", help_text=", ".join(TerminalCommand.State.values))
    kind = django_filters.CharFilter(help_text=", ".join(TerminalCommand.Kind.values))

    class Meta:
        model = TerminalCommand
        fields: list[str] = []


class AlarmFilter(django_filters.FilterSet):
    terminal = IdFilter(field_name="terminal_id")
    kind = django_filters.CharFilter(help_text=", ".join(Alarm.Kind.values))
    open = django_filters.TypedChoiceFilter(
        field_name="closed_at",
        lookup_expr="isnull",
        choices=[("1", "Open"), ("0", "Over")],
        coerce=lambda value: value == "1",
        help_text="1 for what is open, 0 for what is over.",
    )

    class Meta:
        model = Alarm
        fields: list[str] = []


class BiodataFilter(django_filters.FilterSet):
    employee = IdFilter(field_name="employee_id")
    bio_type = SmallNumberFilter(help_text=", ".join(f"{kind.value} {kind.label}" for kind in Biodata.Type))

    class Meta:
        model = Biodata
        fields: list[str] = []


class TransactionFilter(django_filters.FilterSet):
    emp_code = django_filters.CharFilter()
    terminal_sn = django_filters.CharFilter()
    terminal_alias = django_filters.CharFilter()
    start_time = WallClockFilter(field_name="punch_time", lookup_expr="gte", help_text="Inclusive.")
    end_time = WallClockFilter(field_name="punch_time", lookup_expr="lte", help_text="Inclusive.")
    since_id = IdFilter(method="keep", help_text="Only rows with a higher id; `next` leads on by id.")

    class Meta:
        model = Transaction
        fields: list[str] = []

    def keep(self, queryset: QuerySet[Transaction], name: str, value: int) -> QuerySet[Transaction]:
        """The keyset is the page's business (iclock.domain.pages)."""
        return queryset


class Wanted(NamedTuple):
    """The filters as one condition, empty when none was given, and the id after which a reader goes on."""

    condition: Q
    after_id: int | None


def read_wanted(parameters: Mapping[str, str]) -> Wanted:
    """What the parameters ask for. Raises ValidationError that names each one that can't be read.

    By the filters' own fields, but without a form: django-filter makes its class anew for every request, and that
    takes longer than a page.
    """
    wanted, after_id, errors = Q(), None, {}
    for name, each in _transaction_filters().items():
        try:
            value = each.field.clean(parameters.get(name))
        except FormError as error:
            errors[name] = error.messages
            continue
        if name == "since_id":
            after_id = value
        elif value not in (None, ""):
            wanted &= Q(**{f"{each.field_name}__{each.lookup_expr}": value})
    if errors:
        raise ValidationError(errors)
    return Wanted(wanted, after_id)


@cache
def _transaction_filters() -> Mapping[str, django_filters.Filter]:
    filters: Mapping[str, django_filters.Filter] = TransactionFilter().filters
    return filters
