"""The command that enters a terminal: says what it did, or in one line why not."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from django.conf import settings as configured
from django.core.management import call_command
from django.core.management.base import CommandError

from devices.models import Device
from iclock.models import Terminal
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db


def add(*arguments: str) -> str:
    out = io.StringIO()
    call_command("add_device", *arguments, stdout=out)
    return out.getvalue()


def test_an_address_is_enough():
    said = add("10.0.0.5")
    device = Device.objects.get()
    assert (device.key, device.name, device.host, device.port) == ("10-0-0-5", "10.0.0.5", "10.0.0.5", 4370)
    assert (device.transport, device.comm_key, device.enabled) == ("tcp", 0, True)
    assert said.startswith("Added 10.0.0.5 (10.0.0.5:4370) with the id 10-0-0-5. It is read within seconds")
    assert said.endswith("now with: ./script/manage sync_devices --device 10-0-0-5\n")


def test_an_address_with_another_port_is_named_by_both():
    add("10.0.0.5", "--port", "4371")
    device = Device.objects.get()
    assert (device.key, device.name) == ("10-0-0-5-4371", "10.0.0.5:4371")


def test_a_removed_device_leaves_its_terminal():
    terminal = Terminal.objects.create(sn="SN1", alias="Door")
    add("10.0.0.5", "--id", "door", "--name", "Door")
    Device.objects.update(terminal=terminal)
    out = io.StringIO()
    call_command("remove_device", "door", stdout=out)
    assert out.getvalue() == "Removed Door (10.0.0.5:4370). Its terminal and punches stay.\n"
    assert (Device.objects.count(), Terminal.objects.count()) == (0, 1)


def test_an_unknown_device_can_not_be_removed():
    with pytest.raises(CommandError, match=r"^There is no device door\.$"):
        call_command("remove_device", "door")


def test_an_unknown_id_is_answered_with_those_that_there_are():
    for number in range(1, 23):
        add(f"10.0.0.{number}", "--id", f"d{number:02}")
    known = ", ".join(f"d{number:02}" for number in range(1, 21))
    for command in ("remove_device", "accept_unit"):
        with pytest.raises(CommandError, match=rf"^There is no device door; there are {known} and 2 more\.$"):
            call_command(command, "door")


def test_entering_and_removing_a_device_stand_in_the_audit_trail():
    add("10.0.0.5", "--id", "door", "--name", "Door")
    call_command("remove_device", "door", stdout=io.StringIO())
    assert list(AuditEntry.objects.order_by("pk").values_list("actor", "action", "subject", "detail")) == [
        ("add_device", "devices.register", "Door (10.0.0.5:4370)", {"id": "door"}),
        ("remove_device", "devices.remove", "Door (10.0.0.5:4370)", {"id": "door"}),
    ]


def test_everything_can_be_said(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("654321\n"))
    options = ["--port", "4371", "--name", "Main door", "--id", "Main Door", "--comm-key-stdin", "--timeout", "9"]
    add("10.0.0.5", *options, "--encoding", "GBK", "--time-zone", "Europe/Madrid", "--udp", "--interval", "300")
    device = Device.objects.get()
    assert (device.port, device.name, device.key, device.comm_key) == (4371, "Main door", "main_door", 654_321)
    assert (device.timeout, device.encoding, device.time_zone) == (9, "GBK", "Europe/Madrid")
    assert (device.transport, device.interval) == ("udp", 300)


def test_a_comm_key_is_taken_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("DEVICE_COMM_KEY", "42")
    add("10.0.0.5")
    assert Device.objects.get().comm_key == 42


def test_a_comm_key_on_the_command_line_works_and_the_help_warns_of_it(capsys):
    said = add("10.0.0.5", "--comm-key", "777888")
    assert Device.objects.get().comm_key == 777_888
    assert "777888" not in said
    with pytest.raises(SystemExit):
        call_command("add_device", "--help")
    assert "sees it in ps" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["localhost"], "'localhost' is not an IP address"),
        (["169.254.169.254"], "169.254.169.254 is a link-local address and never dialled"),
        (["203.0.113.9"], "203.0.113.9 is outside the networks of terminals"),
        (["10.0.0.5", "--port", "0"], "port: "),
        (["10.0.0.5", "--comm-key", "hello"], "A comm key is a number from 0 to 4294967295."),
        (["10.0.0.5", "--id", "a/b"], "id: "),
        (["10.0.0.5", "--encoding", "klingon"], "encoding: 'klingon' is no code page"),
        (["10.0.0.5", "--time-zone", "Mars/Olympus"], "time_zone: 'Mars/Olympus' is neither"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, sentence):
    with pytest.raises(CommandError) as caught:
        add(*arguments)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    assert Device.objects.count() == 0


def test_an_address_that_is_there_is_an_error_unless_only_missing_ones_are_wanted():
    add("10.0.0.5", "--name", "First")
    there = "10.0.0.5 port 4370 is registered already, with the id 10-0-0-5."
    with pytest.raises(CommandError) as caught:
        add("10.0.0.5", "--name", "Second")
    assert str(caught.value) == (
        f"{there} Change it at /admin/devices/device/{Device.objects.get().pk}/change/, "
        "or take it out with: ./script/manage remove_device 10-0-0-5"
    )
    assert add("10.0.0.5", "--name", "Second", "--if-missing") == f"{there} Nothing was changed.\n"
    assert Device.objects.get().name == "First"


def test_bad_input_ends_the_process_with_1_and_without_a_traceback():
    command = [sys.executable, str(configured.BASE_DIR / "manage.py"), "add_device", "127.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "CommandError: '127.1' is not an IP address; write the terminal's own, in plain digits such as 192.168.1.201.\n"
    )
