"""JSON, by orjson: nulls for what JSON can't say, decimals as text, naive times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
from django.utils import timezone
from django.utils.functional import Promise
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


class ORJSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else _json(data)


class AlwaysFirstRenderer(DefaultContentNegotiation):
    """The API speaks JSON whatever ``Accept`` says: clients send text/html, text/plain and nonsense."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type or ""


def json_text(data: Any) -> str:
    """As the answers have it."""
    return _json(data).decode()


def naive_text(moment: datetime) -> str:
    """``2024-06-26 15:46:45``: a naive time as it stands, an aware one in ZKBIO_TIME_ZONE."""
    shown = moment if timezone.is_naive(moment) else timezone.localtime(moment, timezone.get_default_timezone())
    return shown.replace(tzinfo=None).isoformat(" ", "seconds")


def _json(data: Any) -> bytes:
    return orjson.dumps(data, default=_plain, option=_OPTIONS)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return naive_text(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
