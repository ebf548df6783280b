"""``/devices``: which devices there are; and ``/``, what this server is."""

from __future__ import annotations

from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from devices.api.errors import Refusal
from devices.api.schema import answer_of, number, row_of, text
from devices.api.serializers import DeviceChangeSerializer, DeviceSerializer
from devices.api.views import DEVICE_ID, READ_DEVICES, DeviceView, no_body, read_body
from devices.domain.registry import AlreadyRegisteredError, change_device, normalise_key, register_device
from devices.models import Device
from personnel.models.scope import scope_of
from zkbio.accounts.domain.audit import record
from zkbio.api.renderers import naive_text

_COLUMNS: Final = {"ip": "host", "password": "comm_key"}
_KEPT: Final = {"ip": text(), "port": number(), "timeout": number(), "name": text(), "created_at": text()}


class StatusView(DeviceView):
    """What this server is. A browser gets the web page."""

    needs = {"GET": (READ_DEVICES,)}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        prefers_page = request.get_preferred_type(["application/json", "text/html"]) == "text/html"
        answer: HttpResponseBase
        if prefers_page and request.method in {"GET", "HEAD"}:
            answer = HttpResponseRedirect(reverse("admin:index"))
        else:
            answer = super().dispatch(request, *args, **kwargs)
        patch_vary_headers(answer, ["Accept"])
        return answer

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        devices = Device.objects.visible_to(request.user).order_by("id")
        known = {device.key: {"ip": device.host, "name": device.name} for device in devices}
        told = {"status": "online", "timestamp": timezone.now()}
        return Response({**told, "total_dispositivos": len(known), "dispositivos": known})


class DevicesView(DeviceView):
    """The devices that are registered."""

    needs = {"GET": (READ_DEVICES,), "POST": ("devices.add_device",)}

    @extend_schema(
        operation_id="devices-list",
        responses=answer_of(
            "DeviceList",
            total=number(),
            data=row_of("ListedDevice", many=True, id=text(), name=text(), ip=text(), port=number(), created_at=text()),
        ),
    )
    def get(self, request: Request) -> Response:
        """All devices, in the order of their registration."""
        devices = Device.objects.visible_to(request.user).order_by("id")
        rows = [
            {
                "id": device.key,
                "name": device.name,
                "ip": device.host,
                "port": device.port,
                "created_at": naive_text(device.created_at),
            }
            for device in devices
        ]
        return Response({"success": True, "total": len(rows), "data": rows})

    @extend_schema(
        operation_id="devices-create",
        request=DeviceSerializer,
        responses=answer_of("DeviceMade", message=text(), data=row_of("MadeDevice", **_KEPT)),
    )
    def post(self, request: Request) -> Response:
        """Registers a device; it is read from now on."""
        if scope_of(request.user).areas is not None:
            raise PermissionDenied  # nobody knows yet which terminal answers there
        sent = _columns(read_body(request, DeviceSerializer, required=_("id, name and ip are required.")))
        key = normalise_key(sent.pop("id"))
        try:
            with transaction.atomic():
                device = register_device(key=key, **sent)
                record(actor=request, action="devices.register", subject=str(device), detail={"id": key})
        except ValidationError as error:
            if Device.objects.filter(key=key).exists():
                raise Refusal(409, _("The id '%(id)s' exists already.") % {"id": key}) from error
            raise
        message = _("Device '%(id)s' registered.") % {"id": key}
        return Response({"success": True, "message": message, "data": _kept(device)})


class OneDeviceView(DeviceView):
    """One registered device."""

    needs = {
        "GET": (READ_DEVICES,),
        "PUT": ("devices.change_device",),
        "DELETE": ("devices.delete_device",),
    }

    @extend_schema(
        operation_id="devices-read",
        parameters=[DEVICE_ID],
        responses=answer_of("Device", data=row_of("OneDevice", id=text(), **_KEPT, updated_at=text(required=False))),
    )
    def get(self, request: Request, device_id: str) -> Response:
        """How a device is dialled; its password is never told."""
        device = self.device(device_id)
        return Response({"success": True, "data": {"id": device.key, **_kept(device), **_edited(device)}})

    @extend_schema(
        operation_id="devices-update",
        parameters=[DEVICE_ID],
        request=DeviceChangeSerializer,
        responses=answer_of("DeviceChanged", message=text(), data=row_of("ChangedDevice", **_KEPT, updated_at=text())),
    )
    def put(self, request: Request, device_id: str) -> Response:
        """Changes what is sent, and nothing else."""
        found = self.device(device_id)
        sent = _columns(read_body(request, DeviceChangeSerializer))
        if not sent:
            raise Refusal(400, no_body())
        try:
            with transaction.atomic():
                device = change_device(found.pk, **sent)
                record(actor=request, action="devices.change", subject=str(device), detail={"changed": sorted(sent)})
        except Device.DoesNotExist as error:
            raise self.unknown(device_id) from error
        except AlreadyRegisteredError as error:
            if Device.objects.visible_to(request.user).filter(pk=error.there.pk).exists():
                raise
            raise Refusal(409, _("This address is registered already.")) from error
        message = _("Device '%(id)s' updated.") % {"id": device.key}
        data = {**_kept(device), "updated_at": naive_text(device.updated_at)}
        return Response({"success": True, "message": message, "data": data})

    @extend_schema(
        operation_id="devices-delete",
        parameters=[DEVICE_ID],
        responses=answer_of("DeviceDeleted", message=text()),
    )
    def delete(self, request: Request, device_id: str) -> Response:
        """Forgets how the device is dialled. Its terminal, its people and its punches stay."""
        device = self.device(device_id)
        with transaction.atomic():
            record(actor=request, action="devices.remove", subject=str(device), detail={"id": device.key})
            gone, _rows = Device.objects.filter(pk=device.pk).delete()
        if not gone:
            raise self.unknown(device_id)
        return Response({"success": True, "message": _("Device '%(id)s' removed.") % {"id": device.key}})


def _columns(sent: dict[str, Any]) -> dict[str, Any]:
    return {_COLUMNS.get(name, name): value for name, value in sent.items()}


def _kept(device: Device) -> dict[str, Any]:
    return {
        "ip": device.host,
        "port": device.port,
        "timeout": device.timeout,
        "name": device.name,
        "created_at": naive_text(device.created_at),
    }


def _edited(device: Device) -> dict[str, str]:
    return {"updated_at": naive_text(device.edited_at)} if device.edited_at else {}
