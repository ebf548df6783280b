from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet

from iclock.models import Terminal, Transaction
from iclock.models.terminal import State
from zkbio.api.filters import AddressFilter, IdFilter, WallClockFilter


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

    @property
    def after_id(self) -> int | None:
        after: int | None = self.form.cleaned_data["since_id"]
        return after

    @property
    def wanted(self) -> Q:
        """The filters as one condition, empty when none was given."""
        cleaned: dict[str, Any] = self.form.cleaned_data
        wanted = Q()
        for name, each in self.filters.items():
            if name != "since_id" and cleaned[name] not in (None, ""):
                wanted &= Q(**{f"{each.field_name}__{each.lookup_expr}": cleaned[name]})
        return wanted
