"""The punches of one device, or of all: read from the terminals now, or as they are stored."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from typing import Final

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from devices.api.answers import PunchAnswer
from devices.api.errors import Refusal, UnknownDevice, reason, refusal_of
from devices.api.schema import answer_of, number, row_of, text
from devices.api.views import DEVICE_ID, READ_PUNCHES, UnitView
from devices.domain.attendance import Wanted, read_log, read_stored
from devices.domain.live import visit_each
from devices.domain.people_shown import people_shown
from devices.domain.registry import is_unused_example
from devices.models import Device
from zkbio.api.errors import Unavailable

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LIVE: Final = "device"
_STORED: Final = "database"
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

_log = logging.getLogger(__name__)


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
        stored = _source(request) == _STORED
        with PunchAnswer() as answer:
            if stored:
                answer.logs.append(read_stored([device], wanted, user=request.user, grow=answer.grow))
            else:
                answer.logs.append(self.visit(device, read_log(wanted, grow=answer.grow)))
            return answer.response()


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
        with PunchAnswer() as answer:
            if source == _STORED:
                answer.logs.append(read_stored(devices, wanted, user=request.user, grow=answer.grow))
                return answer.response(errors={})
            errors = self._read_all(devices, wanted, answer)
            in_order = (device.key for device in devices if device.key in errors)
            return answer.response(errors={key: errors[key] for key in in_order})

    def _read_all(self, devices: Sequence[Device], wanted: Wanted, answer: PunchAnswer) -> dict[str, str]:
        """Gather the logs, and by the ids of devices what went wrong. Raises Unavailable and CallerGoneError."""
        errors: dict[str, str] = {}
        with closing(visit_each(devices, read_log(wanted, grow=answer.grow), gone=self.gone)) as visits:
            for device, outcome in visits:
                if isinstance(outcome, Unavailable):
                    raise outcome
                if isinstance(outcome, Exception):
                    errors[device.key] = _told(device, outcome)
                else:
                    answer.logs.append(outcome)
        return errors


def _told(device: Device, error: Exception) -> str:
    """What went wrong, for the caller; what nobody expected, for the log."""
    if isinstance(error, Device.DoesNotExist):
        error = UnknownDevice(device.key, [])
    if refusal_of(error) is None:
        _log.error("Reading device %s ended in an error.", device.key, exc_info=error)
    return reason(error)


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
