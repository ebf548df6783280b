"""``/devices/{id}/users``: the people on a unit, and their fingers."""

from __future__ import annotations

from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from devices.api.errors import Refusal
from devices.api.schema import answer_of, number, row_of, text
from devices.api.serializers import FingerSerializer, UserChangeSerializer, UserSerializer
from devices.api.views import DEVICE_ID, OPERATE, READ_PEOPLE, T, UnitView, no_body, read_body
from devices.domain.live import Work
from devices.domain.live_changes import change_user, create_user, delete_user, look, start_enrolment
from devices.domain.people_shown import people_shown
from devices.driver.errors import KnownUserError, UnknownUserError
from devices.driver.session import TerminalSession
from devices.driver.templates import Template
from devices.driver.users import UnitUser, UserFields, find_user
from devices.models import Device

USER_ID: Final = OpenApiParameter("user_id", str, OpenApiParameter.PATH)
_FINGERS: Final = (
    gettext_lazy("Right thumb"),
    gettext_lazy("Right index finger"),
    gettext_lazy("Right middle finger"),
    gettext_lazy("Right ring finger"),
    gettext_lazy("Right little finger"),
    gettext_lazy("Left thumb"),
    gettext_lazy("Left index finger"),
    gettext_lazy("Left middle finger"),
    gettext_lazy("Left ring finger"),
    gettext_lazy("Left little finger"),
)


class PersonView(UnitView):
    """A view of one person on a device."""

    def visit_about(self, user_id: str, device: Device, work: Work[T]) -> T:
        """The outcome of ``work``, which is about that person; who is outside the caller's limits isn't there."""
        shows = people_shown(self.request.user)
        unknown = Refusal(404, _("User '%(user_id)s' not found.") % {"user_id": user_id})
        if shows is not None and not shows(user_id):
            raise unknown
        try:
            return self.visit(device, work)
        except UnknownUserError as error:
            raise unknown from error


class UsersView(UnitView):
    """The people on a device."""

    needs = {"GET": (READ_PEOPLE,), "POST": (OPERATE,)}

    @extend_schema(
        operation_id="devices-users-list",
        parameters=[DEVICE_ID],
        responses=answer_of(
            "DeviceUsers",
            data=row_of(
                "DeviceUser",
                many=True,
                uid=number(),
                user_id=text(),
                name=text(),
                privilege=number(),
                card=number(),
                device_id=text(),
            ),
        ),
    )
    def get(self, request: Request, device_id: str) -> Response:
        """Everybody on the device. Passwords are never told."""
        device, shows = self.device(device_id), people_shown(request.user)
        users = self.visit(device, look(lambda _device, session: session.users()))
        rows = [_row(user, device) for user in users if shows is None or shows(user.user_id)]
        return Response({"success": True, "data": rows})

    @extend_schema(
        operation_id="devices-users-create",
        parameters=[DEVICE_ID],
        request=UserSerializer,
        responses=answer_of(
            "DeviceUserMade", message=text(), data=row_of("MadeUser", user_id=text(), name=text(), device_id=text())
        ),
    )
    def post(self, request: Request, device_id: str) -> Response:
        """Brings a new person to the device."""
        device = self.device(device_id)
        sent = read_body(request, UserSerializer, required=_("user_id and name are required."))
        user_id, shows = sent.pop("user_id"), people_shown(request.user)
        if shows is not None and not shows(user_id):
            raise PermissionDenied
        try:
            user = self.visit(device, create_user(user_id, UserFields(**sent), actor=request))
        except KnownUserError as error:
            raise Refusal(409, _("user_id '%(user_id)s' exists already.") % {"user_id": user_id}) from error
        data = {"user_id": user.user_id, "name": user.name, "device_id": device.key}
        return Response({"success": True, "message": _("User registered."), "data": data})


class UserView(PersonView):
    """One person on a device."""

    needs = {"PUT": (OPERATE,), "DELETE": (OPERATE,)}

    @extend_schema(
        operation_id="devices-users-update",
        parameters=[DEVICE_ID, USER_ID],
        request=UserChangeSerializer,
        responses=answer_of("DeviceUserChanged", message=text()),
    )
    def put(self, request: Request, device_id: str, user_id: str) -> Response:
        """Changes what is sent, and nothing else."""
        device, sent = self.device(device_id), read_body(request, UserChangeSerializer)
        if not sent:
            raise Refusal(400, no_body())
        self.visit_about(user_id, device, change_user(user_id, UserFields(**sent), actor=request))
        return Response({"success": True, "message": _("User '%(user_id)s' updated.") % {"user_id": user_id}})

    @extend_schema(
        operation_id="devices-users-delete",
        parameters=[DEVICE_ID, USER_ID],
        responses=answer_of("DeviceUserDeleted", message=text()),
    )
    def delete(self, request: Request, device_id: str, user_id: str) -> Response:
        """Takes the person from the device, with their fingers. Their punches stay."""
        self.visit_about(user_id, self.device(device_id), delete_user(user_id, actor=request))
        return Response({"success": True, "message": _("User '%(user_id)s' removed.") % {"user_id": user_id}})


class EnrolView(PersonView):
    """A finger's enrolment at the device."""

    needs = {"POST": (OPERATE,)}

    @extend_schema(
        operation_id="devices-users-enroll-finger",
        parameters=[DEVICE_ID, USER_ID],
        request=FingerSerializer,
        responses=answer_of(
            "EnrolmentStarted",
            message=text(),
            data=row_of(
                "StartedEnrolment", user_id=text(), device_id=text(), finger_index=number(), finger_name=text()
            ),
        ),
    )
    def post(self, request: Request, device_id: str, user_id: str) -> Response:
        """Has the device ask the person for a finger; the answer doesn't wait for them."""
        device, finger = self.device(device_id), _finger(request)
        self.visit_about(user_id, device, start_enrolment(user_id, finger, actor=request))
        message = _("Enrolment mode is on. The user must put the finger on the sensor 3 times.")
        data = {"user_id": user_id, "device_id": device.key, "finger_index": finger}
        return Response({"success": True, "message": message, "data": {**data, "finger_name": str(_FINGERS[finger])}})


class FingersView(PersonView):
    """The fingers of a person on a device."""

    needs = {"GET": (READ_PEOPLE,)}

    @extend_schema(
        operation_id="devices-users-fingers",
        parameters=[DEVICE_ID, USER_ID],
        responses=answer_of(
            "Fingers",
            user_id=text(),
            name=text(),
            device_id=text(),
            total_fingers=number(),
            data=row_of("Finger", many=True, finger_index=number(), finger_name=text(), valid=number()),
        ),
    )
    def get(self, request: Request, device_id: str, user_id: str) -> Response:
        """Which fingers the device has of the person; never the templates."""
        device = self.device(device_id)
        user, fingers = self.visit_about(user_id, device, look(lambda _device, session: _fingers(session, user_id)))
        rows = [
            {"finger_index": held.finger, "finger_name": str(_FINGERS[held.finger]), "valid": held.valid}
            for held in fingers
        ]
        told = {"user_id": user.user_id, "name": user.name, "device_id": device.key}
        return Response({"success": True, **told, "total_fingers": len(rows), "data": rows})


def _row(user: UnitUser, device: Device) -> dict[str, Any]:
    return {
        "uid": user.uid,
        "user_id": user.user_id,
        "name": user.name,
        "privilege": user.privilege,
        "card": user.card,
        "device_id": device.key,
    }


def _finger(request: Request) -> int:
    try:
        read: int = read_body(request, FingerSerializer, optional=True).get("finger_index", 0)
    except ValidationError as error:
        raise Refusal(400, _("finger_index must be 0-9.")) from error
    return read


def _fingers(session: TerminalSession, user_id: str) -> tuple[UnitUser, list[Template]]:
    return find_user(session.users(), user_id), session.fingers(user_id)
