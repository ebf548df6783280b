"""The punches of one device, or of all: read from the terminals now, or as they are stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final

import orjson
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from devices.api.errors import Refusal, reason
from devices.api.schema import answer_of, number, row_of, text
from devices.api.views import DEVICE_ID, READ_PUNCHES, UnitView
from devices.domain.attendance import Log, Wanted, merged, read_log, read_stored
from devices.domain.live import visit_each
from devices.domain.people_shown import people_shown
from devices.domain.registry import is_unused_example
from devices.models import Device

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LIVE: Final = "device"
_STORED: Final = "database"
# A longer answer is sent as it is merged.
_AT_ONCE: Final = 2_000
_FILTERS: Final = [
    OpenApiParameter("user_id", str, description="Of this person only."),
    OpenApiParameter("date", str, description="Of this day only: YYYY-MM-DD."),
    OpenApiParameter(
        "source", str, enum=[_LIVE, _STORED], description="Read the terminals now, or answer from what is stored."
    ),
]
_ROW: Final = row_of(
    "DevicePunch",
    many=True,
    user_id=text(),
    timestamp=text(),
    status=number(),
    punch=number(),
    device_id=text(),
    device_name=text(),
)


class AttendanceView(UnitView):
    """The punches of a device."""

    needs = {"GET": (READ_PUNCHES,)}

    @extend_schema(
        operation_id="devices-attendance",
        parameters=[DEVICE_ID, *_FILTERS],
        responses=answer_of("Attendance", total=number(), data=_ROW),
    )
    def get(self, request: Request, device_id: str) -> HttpResponseBase:
        """What the terminal's own log holds, newest first; it is stored on the way."""
        device, wanted = self.device(device_id), _wanted(request)
        if _source(request) == _STORED:
            return _answer([read_stored([device], wanted, user=request.user)])
        return _answer([self.visit(device, read_log(wanted))])


class AllAttendanceView(UnitView):
    """The punches of all devices."""

    needs = {"GET": (READ_PUNCHES,)}

    @extend_schema(
        operation_id="attendance-all",
        parameters=_FILTERS,
        responses=answer_of(
            "AllAttendance", total=number(), data=_ROW, errors=serializers.DictField(child=serializers.CharField())
        ),
    )
    def get(self, request: Request) -> HttpResponseBase:
        """What the logs of all devices hold, newest first; what went wrong with a device stands under its id."""
        wanted, source = _wanted(request), _source(request)
        visible = Device.objects.visible_to(request.user).select_related("terminal").order_by("id")
        devices = [device for device in visible if not is_unused_example(device)]
        if source == _STORED:
            return _answer([read_stored(devices, wanted, user=request.user)], errors={})
        logs: list[Log] = []
        errors: dict[str, str] = {}
        try:
            for device, outcome in visit_each(devices, read_log(wanted), gone=self.gone):
                if isinstance(outcome, Exception):
                    errors[device.key] = reason(outcome)
                else:
                    logs.append(outcome)
        except BaseException:
            _close(logs)
            raise
        return _answer(logs, errors={device.key: errors[device.key] for device in devices if device.key in errors})


def _wanted(request: Request) -> Wanted:
    asked = request.query_params
    return Wanted(asked.get("user_id") or None, _day(asked.get("date", "")), people_shown(request.user))


def _day(written: str) -> date | None:
    if not written:
        return None
    try:
        if _DATE.fullmatch(written):
            return date.fromisoformat(written)
    except ValueError:
        pass
    raise Refusal(400, _("date must be YYYY-MM-DD."))


def _source(request: Request) -> str:
    source = request.query_params.get("source") or _LIVE
    if source not in {_LIVE, _STORED}:
        raise Refusal(400, _("source must be device or database."))
    return source


def _answer(logs: Sequence[Log], *, errors: Mapping[str, str] | None = None) -> HttpResponseBase:
    total = sum(log.total for log in logs)
    tail = b"]}" if errors is None else b'],"errors":' + orjson.dumps(errors) + b"}"
    pieces = _pieces(b'{"success":true,"total":%d,"data":[' % total, merged(logs), tail)
    if total > _AT_ONCE:
        return StreamingHttpResponse(pieces, content_type="application/json")
    return HttpResponse(b"".join(pieces), content_type="application/json")


def _pieces(head: bytes, batches: Iterator[bytes], tail: bytes) -> Iterator[bytes]:
    before = head
    for batch in batches:
        yield before + batch
        before = b","
    yield tail if before == b"," else head + tail


def _close(logs: Sequence[Log]) -> None:
    for log in logs:
        log.lines.close()
