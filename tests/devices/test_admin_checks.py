"""“Check” in the administration: the steps of each device on one page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client, override_settings

from devices.domain.lease import hold
from devices.models import Device
from devices.simulator import Faults, RefuseKey, SimulatedTerminal, TerminalSpec
from iclock.models import Terminal
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def check(admin_client: Client) -> Callable[..., str]:
    return lambda *devices: checked_by(admin_client, *devices)


def checked_by(client: Client, *devices: Device) -> Any:
    chosen = {"action": "check", "_selected_action": [device.pk for device in devices]}
    return client.post("/admin/devices/device/", chosen, follow=True).text


def test_every_step_of_each_device_is_shown(
    check: Callable[..., str], device: Device, add_device: Callable[..., Device]
) -> None:
    with SimulatedTerminal(TerminalSpec(serial="B")) as other:
        other.faults = Faults(RefuseKey())
        page = check(device, add_device(other, key="yard", comm_key=918_273))

    assert "<tr><td>log<td>ok<td>Its log of 3000 punches is whole and can be read (40 bytes each).<td></tr>" in page
    assert "<strong>Something is wrong.</strong> It refuses the comm key. Compare it with" in page
    assert "918273" not in page


def test_what_a_unit_says_of_itself_is_escaped(
    check: Callable[..., str], device: Device, unit: SimulatedTerminal
) -> None:
    unit.options["~DeviceName"] = "<script>"

    page = check(device)

    assert "It is &lt;script&gt;, serial number" in page


def test_a_device_that_is_busy_says_so(check: Callable[..., str], device: Device) -> None:
    with override_settings(LIVE_WAIT_SECONDS=0.2), hold(device.pk):
        assert "Somebody else is talking to it" in check(device)


def test_no_more_devices_at_once_than_somebody_waits_for(check: Callable[..., str], db: None) -> None:
    many = [Device.objects.create(key=f"d{n}", name="D", host=f"10.0.0.{n}") for n in range(1, 22)]

    assert "At most 20 devices at once." in check(*many)


def test_only_who_operates_devices_may_check_them(client: Client, device: Device, unit: SimulatedTerminal) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_device", "change_device"]))
    client.force_login(clerk)
    checked_by(client, device)
    assert list(unit.journal) == []

    clerk.user_permissions.add(Permission.objects.get(codename="operate_device"))
    assert "<td>identity<td>ok" in checked_by(client, device)


def test_who_is_no_superuser_isnt_told_which_other_unit_answers(
    client: Client, device: Device, unit: SimulatedTerminal
) -> None:
    Device.objects.update(terminal=Terminal.objects.create(sn="OTHER1", alias="Gate"))
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_device", "operate_device"]))
    client.force_login(clerk)

    page = checked_by(client, device)

    assert "Another terminal answers at the device&#x27;s address" in page
    assert "CKJF201260077" not in page
