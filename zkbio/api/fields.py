"""The vendor's quirks as serializer fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from zkbio.api.renderers import naive_text
from zkbio.clock import fixed_zone_name, zone

_HOURS: Final = 14
_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}


@extend_schema_field({"type": "integer", "enum": [0, 1]})
class FlagField(serializers.Field[bool, Any, int, Any]):
    """A boolean, spelled 1 or 0; true, "True" and "1" are read as well."""

    default_error_messages = {"invalid": "“{value}” is neither 1 nor 0."}

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

    Written, values beyond ±14 are minutes (240, 330) and any value sets a zone of that fixed offset.
    """

    default_error_messages = {"invalid": "“{value}” is no offset; write hours (8) or minutes (330)."}

    def to_representation(self, value: str) -> int:
        minutes = _offset_minutes(value, timezone.now())
        return minutes if minutes % 60 else minutes // 60

    def to_internal_value(self, data: Any) -> str:
        try:
            number = int(str(data))
            return fixed_zone_name(number * 60 if abs(number) <= _HOURS else number)
        except ValueError:
            self.fail("invalid", value=data)


def _offset_minutes(name: str, now: datetime) -> int:
    offset = now.astimezone(zone(name)).utcoffset()
    return round(offset.total_seconds() / 60) if offset is not None else 0
