"""Query parameters: unknown ones are ignored, dates are read leniently, what can't be read is a 400 that names it."""

from __future__ import annotations

from typing import Any, Final

import django_filters
from django import forms
from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.views import APIView

from zkbio.wallclock import WallClockFormField

_BIGGEST: Final = 2**63 - 1


class IdFormField(forms.IntegerField):
    """An id: what PostgreSQL's bigint can hold."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": _BIGGEST, **kwargs})


class IdFilter(django_filters.Filter):
    field_class = IdFormField


class IdListWidget(forms.TextInput):
    """``2,3``, and the same parameter more than once."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        texts = data.getlist(name) if hasattr(data, "getlist") else [data.get(name) or ""]
        return [part.strip() for text in texts for part in str(text).split(",") if part.strip()]


class IdListFormField(forms.Field):
    widget = IdListWidget

    def clean(self, value: Any) -> list[int]:
        return [IdFormField().clean(each) for each in value]


@extend_schema_field({"type": "array", "items": {"type": "integer"}})
class IdListFilter(django_filters.Filter):
    field_class = IdListFormField


@extend_schema_field(OpenApiTypes.STR)
class WallClockFilter(django_filters.Filter):
    """``2019-04-1 00:00:00``, ``2019-04-01T00:00`` or a bare date, compared with a wall clock."""

    field_class = WallClockFormField


class DayFormField(WallClockFormField):
    """A date, with or without a time behind it."""

    def to_python(self, value: Any) -> Any:
        moment = super().to_python(value)
        return moment and moment.date()


@extend_schema_field(OpenApiTypes.DATE)
class DayFilter(django_filters.Filter):
    field_class = DayFormField


class AddressFilter(django_filters.Filter):
    field_class = forms.GenericIPAddressField


class ZKFilterBackend(DjangoFilterBackend):
    """A list that isn't filtered builds no form: that takes as long as twenty rows."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:  # type: ignore[override]
        filters: Any = self.get_filterset_class(view, queryset)
        if filters is not None and filters.base_filters.keys().isdisjoint(request.query_params):
            return queryset
        found: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return found


class ZKOrderingFilter(OrderingFilter):
    """``ordering=-punch_time,id``: unknown names are ignored; the id decides ties, so that pages don't overlap."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        asked = tuple(super().get_ordering(request, queryset, view) or ())
        names = [name.lstrip("-") for name in asked]
        if "id" in names:
            return asked[: names.index("id") + 1]
        return (*asked, "-id" if asked and asked[-1].startswith("-") else "id")
