"""The command that reads terminals in front of you: a line for each, exit code 1 when one failed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from devices.domain.lease import hold
from devices.models import Device
from devices.simulator import Faults, Silent, SimulatedTerminal, TerminalSpec

pytestmark = pytest.mark.django_db(transaction=True)


def sync(*arguments: str) -> str:
    out = io.StringIO()
    call_command("sync_devices", *arguments, stdout=out)
    return out.getvalue()


def test_each_device_has_its_line_as_it_is_done(device: Device, unit: SimulatedTerminal) -> None:
    first = sync()
    second = sync("--device", "gate")

    assert first.startswith("[1/1] gate: 3000 punches on it: 3000 new, 0 known, 0 duplicate, 0 quarantined (")
    assert second.startswith("[1/1] gate: unchanged, not downloaded (")


def test_json_is_for_programs(device: Device) -> None:
    (report,) = [json.loads(line) for line in sync("--json").splitlines()]

    assert {**report, "seconds": 0} == {
        "device": "gate",
        "outcome": "ok",
        "error_code": "",
        "error": "",
        "announced": 3_000,
        "known": 0,
        "new": 3_000,
        "duplicate": 0,
        "quarantined": 0,
        "seconds": 0,
    }


def test_a_failed_device_is_said_and_the_others_are_read(
    device: Device, add_device: Callable[..., Device], capsys: pytest.CaptureFixture[str]
) -> None:
    out = io.StringIO()
    with SimulatedTerminal(TerminalSpec(serial="DEAD1")) as dead:
        dead.faults = Faults(Silent(times=None))
        add_device(dead, key="dead")

        with pytest.raises(CommandError, match=r"^1 of 2 devices failed\.$"):
            call_command("sync_devices", stdout=out)

    lines = sorted(line.split("] ")[1] for line in out.getvalue().splitlines())
    assert lines[0] == f"dead: failed (timeout): 127.0.0.1:{dead.port} stopped answering for 1 s."
    assert lines[1].startswith("gate: 3000 punches on it: 3000 new")


def test_a_busy_device_is_said_to_be_busy(device: Device) -> None:
    with hold(device.id):
        assert sync() == "[1/1] gate: busy: another worker is talking to it\n"


def test_a_device_that_is_not_polled_is_read_only_by_name(device: Device) -> None:
    Device.objects.update(enabled=False)

    assert sync() == ""
    assert sync("--device", "gate").startswith("[1/1] gate: 3000 punches")


def test_an_unknown_device_is_named(device: Device) -> None:
    with pytest.raises(CommandError, match=r"^There is no device back_door; there are gate\.$"):
        sync("--device", "gate", "--device", "back_door")


def test_a_failure_is_said_once(device: Device, unit: SimulatedTerminal, caplog: pytest.LogCaptureFixture) -> None:
    sync()
    out = io.StringIO()
    unit.faults = Faults(Silent(times=None))

    with pytest.raises(CommandError):
        call_command("sync_devices", stdout=out)

    assert out.getvalue().count("failed (") == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
