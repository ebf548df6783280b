"""``/devices/{id}/check``: the doctor for whoever operates devices, in their language, in the device's turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import override_settings

from devices.domain.lease import hold
from devices.models import Device
from devices.simulator import Faults, RefuseKey, Silent, SimulatedTerminal
from iclock.models import Terminal, Transaction
from tests.devices.api.conftest import Ask

pytestmark = pytest.mark.django_db(transaction=True)
STEPS = ["address", "connection", "comm_key", "identity", "sizes", "clock", "people", "log"]


def test_a_sound_unit_is_well_in_spanish(ask: Ask, device: Device, unit: SimulatedTerminal) -> None:
    Device.objects.update(time_zone="UTC")

    status, told = ask("GET", "/devices/gate/check")

    assert (status, list(told)) == (200, ["success", "ok", "device_id", "verdict", "data"])
    assert (told["success"], told["ok"], told["device_id"]) == (True, True, "gate")
    assert told["verdict"] == "Todo está bien: responde, y se pueden leer su reloj, su personal y su registro."
    assert [step["name"] for step in told["data"]] == STEPS
    assert told["data"][6] == {
        "name": "people",
        "ok": True,
        "sentence": "Se pueden leer sus 30 personas (72 bytes cada una).",
        "advice": "",
    }
    assert not Transaction.objects.exists()
    assert not Device.objects.get().terminal


def test_what_is_wrong_is_said_with_what_to_do(ask_in_english: Ask, device: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(RefuseKey())

    status, told = ask_in_english("GET", "/devices/gate/check/")

    assert (status, told["success"], told["ok"]) == (200, True, False)
    assert told["verdict"] == (
        "It refuses the comm key. Compare it with the comm key in the terminal's menu, under communication;"
        " 0 means none."
    )


def test_another_unit_is_told_of_without_its_name(ask: Ask, device: Device, unit: SimulatedTerminal) -> None:
    Device.objects.update(terminal=Terminal.objects.create(sn="OTHER1", alias="Gate"))

    status, told = ask("GET", "/devices/gate/check")

    assert (status, told["ok"]) == (200, False)
    assert told["verdict"].startswith("En la dirección del dispositivo responde otro terminal")
    assert "CKJF201260077" not in str(told)


def test_a_silent_unit_is_an_answer_too(ask: Ask, device: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(Silent(times=None))

    status, told = ask("GET", "/devices/gate/check")

    assert (status, told["ok"], told["data"][-1]["name"]) == (200, False, "session")


@override_settings(LIVE_WAIT_SECONDS=0.2)
def test_a_busy_device_is_a_503(ask: Ask, device: Device, unit: SimulatedTerminal) -> None:
    with hold(device.pk):
        assert ask("GET", "/devices/gate/check")[0] == 503
    assert list(unit.journal) == []


def test_an_unknown_device_is_a_404(ask: Ask, device: Device) -> None:
    assert ask("GET", "/devices/yard/check")[0] == 404


def test_the_comm_key_is_in_no_answer(ask: Ask, add_device: Callable[..., Device], unit: SimulatedTerminal) -> None:
    add_device(unit, key="yard", comm_key=918_273)
    unit.faults = Faults(RefuseKey())

    assert "918273" not in str(ask("GET", "/devices/yard/check"))
