"""Who may: credentials, permissions, the two groups of the platform, limits, and employees' own logins."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from rest_framework.test import APIClient

from devices.domain.registry import register_device
from devices.models import Device
from iclock.models import Terminal
from personnel.domain.staff import StaffUser
from personnel.models import Area, AreaLimit
from tests.devices.api.conftest import Ask, answered, asker
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db
BODY: dict[str, Any] = {"id": "door", "name": "Door", "ip": "10.0.0.6", "user_id": "7"}

# Every path, and the permission that it asks for.
ASKED = [
    ("GET", "/", "devices.view_device"),
    ("GET", "/devices", "devices.view_device"),
    ("POST", "/devices", "devices.add_device"),
    ("GET", "/devices/gate", "devices.view_device"),
    ("PUT", "/devices/gate", "devices.change_device"),
    ("DELETE", "/devices/gate", "devices.delete_device"),
    ("GET", "/devices/x/ping", "devices.view_device"),
    ("GET", "/devices/x/info", "devices.view_device"),
    ("GET", "/devices/x/time", "devices.view_device"),
    ("GET", "/devices/x/check", "devices.operate_device"),
    ("POST", "/devices/x/sync-time", "devices.operate_device"),
    ("GET", "/devices/x/attendance", "iclock.view_transaction"),
    ("GET", "/attendance/all?source=database", "iclock.view_transaction"),
    ("GET", "/devices/x/users", "personnel.view_employee"),
    ("POST", "/devices/x/users", "devices.operate_device"),
    ("PUT", "/devices/x/users/7", "devices.operate_device"),
    ("DELETE", "/devices/x/users/7", "devices.operate_device"),
    ("POST", "/devices/x/users/7/enroll-finger", "devices.operate_device"),
    ("GET", "/devices/x/users/7/fingers", "personnel.view_employee"),
]
MAY_READ = {"devices.view_device", "iclock.view_transaction", "personnel.view_employee"}


@pytest.fixture(autouse=True)
def _gate(db: None) -> None:
    register_device(key="gate", name="Gate", host="10.0.0.5")


@pytest.fixture
def clerk(db: None) -> User:
    return User.objects.create_user("clerk", password="a good long passphrase")


def give(user: User, *names: str) -> None:
    """These permissions, and no others."""
    codenames = [name.partition(".")[2] for name in names]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))


def forbidden(answer: tuple[int, Any]) -> bool:
    return answer == (403, {"success": False, "error": "Usted no tiene permiso para realizar esta acción."})


@pytest.mark.parametrize(("method", "path", "permission"), ASKED)
def test_without_credentials_it_is_a_401_in_the_shape_of_these_paths(method: str, path: str, permission: str) -> None:
    response = Client().generic(method, path)

    status, told = answered(response)
    assert (status, list(told), told["success"]) == (401, ["success", "error"], False)
    assert response.headers["WWW-Authenticate"].startswith("Token")


@pytest.mark.parametrize(("method", "path", "permission"), ASKED)
def test_each_path_asks_for_its_permission_and_for_no_other(
    clerk: User, method: str, path: str, permission: str
) -> None:
    body = BODY if method in {"POST", "PUT"} else None
    others = {asked for _, _, asked in ASKED} - {permission}

    give(clerk, *others)
    refused = asker(clerk)(method, path, body)
    give(clerk, permission)
    allowed = asker(clerk)(method, path, body)

    assert forbidden(refused)
    assert allowed[0] == (404 if "/x/" in path else 200)


@pytest.mark.parametrize(("group", "may"), [("API read", MAY_READ), ("API write", {asked for *_, asked in ASKED})])
def test_the_platforms_groups_may_read_and_write(clerk: User, group: str, may: set[str]) -> None:
    clerk.groups.add(Group.objects.get(name=group))

    for method, path, permission in ASKED:
        answer = asker(clerk)(method, path, BODY if method in {"POST", "PUT"} else None)
        assert forbidden(answer) is (permission not in may), (method, path)


def test_nobody_is_told_a_password(ask: Ask, admin: User) -> None:
    Device.objects.all().delete()
    ask("POST", "/devices", {"id": "gate", "name": "Gate", "ip": "10.0.0.5", "password": 918273})

    for path in ("/", "/devices", "/devices/gate"):
        assert b"918273" not in Client(headers={"Authorization": "Basic QWRtaW46YWRtaW4xMjM="}).get(path).content
    changed = ask("PUT", "/devices/gate", {"password": 918274})
    assert ("password" in changed[1]["data"], "918274" in str(changed)) == (False, False)


def test_a_disabled_users_token_is_worth_nothing(clerk: User) -> None:
    ask = asker(clerk)
    User.objects.filter(pk=clerk.pk).update(is_active=False)

    assert ask("GET", "/devices")[0] == 401


@pytest.mark.parametrize(("method", "path", "permission"), ASKED)
def test_an_employees_own_login_has_no_business_with_devices(method: str, path: str, permission: str) -> None:
    client = APIClient()
    client.force_authenticate(user=StaffUser(employee_id=1, emp_code="7"))  # type: ignore[arg-type]

    assert answered(client.generic(method, path))[0] == 403


def test_a_form_with_a_cookie_and_no_csrf_token_changes_nothing(admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)

    for kind in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/json"):
        answer = client.generic("POST", "/devices", b'{"id": "a", "name": "A", "ip": "10.0.0.9"}', content_type=kind)
        assert answered(answer)[0] in {400, 403}
    assert Device.objects.count() == 1


@pytest.mark.parametrize(("method", "path", "permission"), [row for row in ASKED if row[1].startswith("/devices/gate")])
def test_a_device_outside_the_limits_is_unknown(clerk: User, method: str, path: str, permission: str) -> None:
    inside, outside = (Area.objects.create(area_code=name, area_name=name) for name in ("in", "out"))
    AreaLimit.objects.create(user=clerk, area=inside)
    Device.objects.update(terminal=Terminal.objects.create(sn="CKJF201260077", alias="Gate", area=outside))
    give(clerk, permission)

    status, told = asker(clerk)(method, path, BODY if method == "PUT" else None)

    assert (status, told["disponibles"]) == (404, [])
    assert Device.objects.get().name == "Gate"


@pytest.mark.parametrize(("method", "path", "permission"), [row for row in ASKED if "/x/" in row[1]])
def test_nothing_is_asked_of_a_device_outside_the_limits(clerk: User, method: str, path: str, permission: str) -> None:
    inside, outside = (Area.objects.create(area_code=name, area_name=name) for name in ("in", "out"))
    AreaLimit.objects.create(user=clerk, area=inside)
    Device.objects.update(terminal=Terminal.objects.create(sn="CKJF201260077", alias="Gate", area=outside))
    give(clerk, permission)

    status, told = asker(clerk)(method, path.replace("/x/", "/gate/"), BODY if method in {"POST", "PUT"} else None)

    assert (status, told["disponibles"]) == (404, [])


def test_a_taken_address_tells_nothing_of_a_device_outside_the_limits(clerk: User) -> None:
    inside, outside = (Area.objects.create(area_code=name, area_name=name) for name in ("in", "out"))
    AreaLimit.objects.create(user=clerk, area=inside)
    hidden = register_device(key="hidden", name="Hidden", host="10.0.0.7")
    for device, area in ((hidden, outside), (Device.objects.get(key="gate"), inside)):
        Device.objects.filter(pk=device.pk).update(terminal=Terminal.objects.create(sn=f"SN{area.pk}", area=area))
    give(clerk, "devices.change_device")

    answer = asker(clerk)("PUT", "/devices/gate", {"ip": "10.0.0.7"})

    assert answer == (409, {"success": False, "error": "Esta dirección ya está registrada."})


def test_who_is_limited_is_not_told_the_operators_networks(clerk: User, ask: Ask) -> None:
    area = Area.objects.create(area_code="in", area_name="in")
    Device.objects.update(terminal=Terminal.objects.create(sn="CKJF201260077", alias="Gate", area=area))
    AreaLimit.objects.create(user=clerk, area=area)
    give(clerk, "devices.change_device")
    sentence = "La dirección del dispositivo está fuera de las redes de terminales, así que no se conecta con ella."

    assert asker(clerk)("PUT", "/devices/gate", {"ip": "9.9.9.9"}) == (400, {"success": False, "error": sentence})
    assert "127.0.0.0/8" in ask("PUT", "/devices/gate", {"ip": "9.9.9.9"})[1]["error"]


def test_who_is_limited_to_areas_registers_nothing(clerk: User) -> None:
    AreaLimit.objects.create(user=clerk, area=Area.objects.create(area_code="in", area_name="in"))
    give(clerk, "devices.add_device")

    assert forbidden(asker(clerk)("POST", "/devices", BODY))
