"""The vendor's quirks as serializer fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from zkbio.api.renderers import naive_text
from zkbio.clock import fixed_zone_name, zone
from zkbio.wallclock import parse_wall

_HOURS: Final = 14
# At most 18 digits: a bigint holds them.
_ID: Final = re.compile("[0-9]{1,18}", re.ASCII)
_MOST_IDS: Final = 50_000
_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}


@extend_schema_field({"type": "integer", "enum": [0, 1]})
class FlagField(serializers.Field[bool, Any, int, Any]):
    """A boolean, spelled 1 or 0; true, "True" and "1" are read as well."""

    default_error_messages = {"invalid": _("“{value}” is neither 1 nor 0.")}

    def to_representation(self, value: Any) -> int:
        return int(value)

    def to_internal_value(self, data: Any) -> bool:
        flag = _FLAGS.get(str(data).lower())
        if flag is None:
            self.fail("invalid", value=data)
        return flag


@extend_schema_field(OpenApiTypes.STR)
class NaiveTimeField(serializers.Field[datetime, Any, str, Any]):
    """An instant as its naive time in ZKBIO_TIME_ZONE; read only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"read_only": True, **kwargs})

    def to_representation(self, value: datetime) -> str:
        return naive_text(value)


@extend_schema_field(OpenApiTypes.INT)
class TerminalZoneField(serializers.Field[str, Any, int, Any]):
    """A zone's name as ``terminal_tz``: hours east of UTC (8), or minutes where it isn't a whole hour (330).

    Written, hours may have a fraction (8.0, 5.5), values beyond ±14 are minutes (240, 330), and any value sets a zone
    of that fixed offset.
    """

    default_error_messages = {"invalid": _("“{value}” is no offset; write hours (8) or minutes (330).")}

    def to_representation(self, value: str) -> int:
        minutes = _offset_minutes(value, timezone.now())
        return minutes if minutes % 60 else minutes // 60

    def to_internal_value(self, data: Any) -> str:
        try:
            number = Decimal(str(data))
            minutes = number * 60 if abs(number) <= _HOURS else number
            whole = minutes % 1 == 0
            return fixed_zone_name(int(minutes)) if whole else self.fail("invalid", value=data)
        except (ValueError, ArithmeticError):
            self.fail("invalid", value=data)


def _offset_minutes(name: str, now: datetime) -> int:
    offset = now.astimezone(zone(name)).utcoffset()
    return round(offset.total_seconds() / 60) if offset is not None else 0


class LooseDateField(serializers.DateField):
    """A date, with or without zeros, and with a time behind it too."""

    default_error_messages = {"invalid": _("“{value}” is no date; write it as 2024-06-26.")}

    def to_internal_value(self, value: Any) -> date:
        try:
            return parse_wall(str(value)).date()
        except ValueError:
            self.fail("invalid", value=value)


class LooseIdField(serializers.PrimaryKeyRelatedField[Any]):
    """An id as a number or a numeric text, or the nested object that the same API gives (its ``id`` counts).

    Only what the caller may see is found: for them, the rest doesn't exist.
    """

    def get_queryset(self) -> QuerySet[Any]:
        return _visible(self, super().get_queryset())

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(_read_id(self, data))


@extend_schema_field({"type": "array", "items": {"type": "integer"}})
class IdListField(serializers.Field[list[Any], Any, list[int], Any]):
    """Ids as a list, a comma-separated text (``"1,2"``) or a single one, each as in :class:`LooseIdField`.

    Gives the objects in the order asked for, each once. One that doesn't exist, or that the caller may not see, is an
    error that names it.
    """

    default_error_messages = {
        "does_not_exist": serializers.PrimaryKeyRelatedField.default_error_messages["does_not_exist"],
        "incorrect_type": serializers.PrimaryKeyRelatedField.default_error_messages["incorrect_type"],
        "empty": serializers.ListSerializer.default_error_messages["empty"],
        "too_many": _("At most {most} at once."),
    }

    def __init__(self, *, queryset: QuerySet[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queryset = queryset

    def to_representation(self, value: Any) -> list[int]:
        return [each.pk for each in value.all()]

    def to_internal_value(self, data: Any) -> list[Any]:
        parts = data.split(",") if isinstance(data, str) else data if isinstance(data, list | tuple) else [data]
        if len(parts) > _MOST_IDS:
            self.fail("too_many", most=_MOST_IDS)
        ids = list(dict.fromkeys(_read_id(self, part) for part in parts if part != ""))
        if not ids:
            self.fail("empty")
        found = _visible(self, self.queryset).in_bulk(ids)
        for unknown in (each for each in ids if each not in found):
            self.fail("does_not_exist", pk_value=unknown)
        return [found[each] for each in ids]


def _visible(field: serializers.Field[Any, Any, Any, Any], queryset: Any) -> QuerySet[Any]:
    """What the request's caller may see; all of it where there is no request (an import)."""
    request = field.context.get("request")
    found: QuerySet[Any] = queryset.all() if request is None else queryset.visible_to(request.user)
    return found


def is_id(text: str) -> bool:
    """Whether a row can have this id: digits, as many as a bigint holds."""
    return _ID.fullmatch(text) is not None


def _read_id(field: serializers.Field[Any, Any, Any, Any], data: Any) -> int:
    value = data.get("id") if isinstance(data, Mapping) else data
    if isinstance(value, bool) or not isinstance(value, int | str):
        field.fail("incorrect_type", data_type=type(value).__name__)
    text = str(value).strip()
    if not is_id(text):
        field.fail("does_not_exist", pk_value=text[:50])
    return int(text)
