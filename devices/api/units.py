"""``/devices/{id}/ping``, ``info``, ``time``, ``sync-time`` and ``check``: the unit itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from devices.api.errors import Refusal, refusal_of
from devices.api.schema import answer_of, flag, number, row_of, text
from devices.api.views import DEVICE_ID, OPERATE, READ_DEVICES, UnitView
from devices.domain.checkup import check_device
from devices.domain.live import talk
from devices.domain.live_changes import look, set_clock
from devices.driver.session import TerminalSession
from devices.models import Device
from zkbio.api.renderers import naive_text


class PingView(UnitView):
    """Whether a device answers."""

    needs = {"GET": (READ_DEVICES,)}

    @extend_schema(
        operation_id="devices-ping",
        parameters=[DEVICE_ID],
        responses=answer_of("Ping", message=text(), device_time=text(allow_null=True), ip=text()),
    )
    def get(self, request: Request, device_id: str) -> Response:
        """Connects, and asks for the time. 503 when the device doesn't answer."""
        device = self.device(device_id)
        try:
            shown = self.visit(device, talk(lambda _device, session: session.clock()))
        except Exception as error:
            raise _unanswered(device, error) or error from error
        message = _("Connected to '%(id)s'.") % {"id": device.key}
        return Response({"success": True, "message": message, "device_time": _text(shown), "ip": device.host})


class InfoView(UnitView):
    """What a device tells of itself."""

    needs = {"GET": (READ_DEVICES,)}

    @extend_schema(
        operation_id="devices-info",
        parameters=[DEVICE_ID],
        responses=answer_of(
            "Info",
            data=row_of(
                "DeviceInfo",
                **{name: text() for name in ("id", "name", "ip", "serialnumber", "device_name", "platform")},
                firmware_version=text(),
                users_count=number(),
                device_time=text(allow_null=True),
            ),
        ),
    )
    def get(self, request: Request, device_id: str) -> Response:
        """Serial number, model, firmware, how many people it holds, and its time."""
        device = self.device(device_id)
        return Response({"success": True, "data": self.visit(device, look(_info))})


class TimeView(UnitView):
    """The clock of a device."""

    needs = {"GET": (READ_DEVICES,)}

    @extend_schema(
        operation_id="devices-time",
        parameters=[DEVICE_ID],
        responses=answer_of("DeviceTime", device_id=text(), device_time=text()),
    )
    def get(self, request: Request, device_id: str) -> Response:
        """What the clock shows."""
        device = self.device(device_id)
        shown = self.visit(device, talk(lambda _device, session: session.clock()))
        if shown is None:
            raise Refusal(500, _("The device tells no time, or one that no calendar has."))
        return Response({"success": True, "device_id": device.key, "device_time": _text(shown)})


class CheckView(UnitView):
    """What is wrong with a device, if anything is."""

    needs = {"GET": (OPERATE,)}

    @extend_schema(
        operation_id="devices-check",
        parameters=[DEVICE_ID],
        responses=answer_of(
            "Check",
            ok=flag(),
            device_id=text(),
            verdict=text(),
            data=row_of("CheckStep", many=True, name=text(), ok=flag(), sentence=text(), advice=text()),
        ),
    )
    def get(self, request: Request, device_id: str) -> Response:
        """Looks at its address, connection, comm key, identity, sizes, clock, people and log, and changes nothing."""
        device = self.device(device_id)
        *steps, verdict = self.visit(device, check_device())
        told = {"success": True, "ok": verdict.ok, "device_id": device.key, "verdict": verdict.sentence}
        return Response({**told, "data": [step._asdict() for step in steps]})


class SyncTimeView(UnitView):
    """The clock of a device, set."""

    needs = {"POST": (OPERATE,)}

    @extend_schema(
        operation_id="devices-sync-time",
        parameters=[DEVICE_ID],
        request=None,
        responses=answer_of("TimeSynced", message=text()),
    )
    def post(self, request: Request, device_id: str) -> Response:
        """Sets the clock to this server's time, in the terminal's zone."""
        device = self.device(device_id)
        self.visit(device, set_clock(actor=request))
        return Response({"success": True, "message": _("[%(id)s] Time synchronised.") % {"id": device.key}})


def _info(device: Device, session: TerminalSession) -> dict[str, Any]:
    identity = session.identity()
    return {
        "id": device.key,
        "name": device.name,
        "ip": device.host,
        "serialnumber": identity.serial,
        "device_name": identity.model,
        "platform": identity.platform,
        "firmware_version": identity.firmware,
        "users_count": session.sizes().users,
        "device_time": _text(session.clock()),
    }


def _unanswered(device: Device, error: Exception) -> Refusal | None:
    refusal = None if isinstance(error, Refusal) else refusal_of(error)
    return Refusal(503, str(refusal.detail), ip=device.host) if refusal else None


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else naive_text(moment)
