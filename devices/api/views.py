"""What all views of the multi-device server have in common: who may, in which language, and how errors look."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import IO, Any, ClassVar, Final, TypeVar

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, RawPostDataException
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from devices.api.errors import Refusal, UnknownDevice, exception_handler
from devices.api.schema import DeviceAutoSchema
from devices.domain.live import Work, visit
from devices.models import Device
from personnel.models.scope import scope_of

T = TypeVar("T")

READ_DEVICES: Final = "devices.view_device"
OPERATE: Final = "devices.operate_device"
READ_PEOPLE: Final = "personnel.view_employee"
READ_PUNCHES: Final = "iclock.view_transaction"

DEVICE_ID: Final = OpenApiParameter("device_id", str, OpenApiParameter.PATH)

# Of Linux's struct tcp_info the first byte: the peer has closed its end, or everything is over. Whoever only sends no
# more can't be told from who hung up, and is taken for that: clients of HTTP keep their end open.
_OVER: Final = frozenset({7, 8})


class AnyJSONParser(BaseParser):
    """JSON whatever its ``Content-Type``: the clients of these paths don't name it always."""

    media_type = "*/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return orjson.loads(stream.read() or b"null")
        except orjson.JSONDecodeError as error:
            raise Refusal(400, no_body()) from error


class DevicePermissions(BasePermission):
    """The view says by method which permissions it ``needs``. Employees' own logins have no business with devices."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user: Any = request.user
        if not (user and user.is_authenticated) or scope_of(user).employee is not None:
            return False
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else str(request.method)
        needed = view.needs.get(method) or (view.needs.get("GET", ()) if request.method == "OPTIONS" else None)
        if needed is None:
            raise MethodNotAllowed(method)
        return bool(user.has_perms(needed))


class DeviceView(APIView):
    """A view of the multi-device server."""

    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    permission_classes = (DevicePermissions,)
    parser_classes = (AnyJSONParser,)
    schema = DeviceAutoSchema()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if (client := request.META.get("gunicorn.socket")) is not None:
            # Who doesn't take their answer for so long is hung up on: it is kept in files until then.
            client.settimeout(settings.SEND_SECONDS)
        return super().dispatch(request, *args, **kwargs)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return exception_handler

    def device(self, key: str) -> Device:
        """The device with that id. Raises UnknownDevice."""
        visible = Device.objects.visible_to(self.request.user)
        # No database can be asked for a NUL.
        found = None if "\0" in key else visible.select_related("terminal").filter(key=key).first()
        if found is None:
            raise self.unknown(key)
        return found

    def visit(self, device: Device, work: Work[T]) -> T:
        """The outcome of ``work`` with a device, in its turn; given up when the caller hangs up."""
        try:
            return visit(device, work, gone=self.gone)
        except Device.DoesNotExist as error:
            raise self.unknown(device.key) from error

    def gone(self) -> bool:
        """Whether the caller has hung up, as far as the server lets it be known."""
        client = self.request.META.get("gunicorn.socket")
        if client is None:
            return False
        with suppress(OSError):  # no TCP
            return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _OVER
        return False

    def unknown(self, key: str) -> UnknownDevice:
        visible = Device.objects.visible_to(self.request.user).order_by("id")
        return UnknownDevice(key, list(visible.values_list("key", flat=True)))


class UnitView(DeviceView):
    """A view of what the unit itself has to be asked for: no HEAD, which would ask for all of it, for nothing."""

    http_method_names = [method for method in DeviceView.http_method_names if method != "head"]


def no_body() -> str:
    return _("JSON body required.")


def read_body(
    request: Request, kind: type[serializers.Serializer[Any]], *, required: str = "", optional: bool = False
) -> dict[str, Any]:
    """The body's values as ``kind`` reads them, without those that are null or missing.

    ``required`` is the sentence for a body that lacks a field which ``kind`` requires, or has a blank one.
    """
    try:
        body = request.data
    except RawPostDataException as error:  # a form, read already for its CSRF token
        raise Refusal(400, no_body()) from error
    if not isinstance(body, dict) or not (body or optional):
        if optional and body is None:
            return {}
        raise Refusal(400, no_body())
    sent = {name: value for name, value in body.items() if value is not None}
    reader = kind(data=sent)
    if required and _lacks(sent, (name for name, field in reader.fields.items() if field.required)):
        raise Refusal(400, required)
    reader.is_valid(raise_exception=True)
    read: dict[str, Any] = reader.validated_data
    return read


def _lacks(sent: Mapping[str, Any], names: Iterable[str]) -> bool:
    return any(not str(sent.get(name, "")).strip() for name in names)
