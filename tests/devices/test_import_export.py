"""The commands that carry the registry from one place to another."""

from __future__ import annotations

import io
import json
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from devices.domain.registry import register_device
from devices.models import Device
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db

GATE = {"ip": "10.0.0.5", "port": 4371, "password": 4711, "timeout": 9, "name": "Gate"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "from-the-old-server.json"


def said(command: str, *arguments: object) -> str:
    out = io.StringIO()
    call_command(command, *map(str, arguments), stdout=out)
    return out.getvalue()


def read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))


def test_each_entry_is_told_with_what_became_of_it(file):
    register_device(key="a", name="A", host="10.0.0.1")
    register_device(key="b", name="B", host="10.0.0.2")
    file.write_text(
        json.dumps({"a": {"ip": "10.0.0.1", "name": "A"}, "b": {"ip": "10.0.0.2", "name": "New name"}, "gate": GATE})
    )
    assert said("import_devices", file) == "a: same\nb: changed\ngate: new\n1 new, 1 changed, 1 same.\n"
    assert [device.name for device in Device.objects.all()] == ["A", "New name", "Gate"]


def test_refused_entries_are_told_and_the_others_are_entered(file, capsys):
    file.write_text(json.dumps({"bad": {"ip": "localhost", "name": "X"}, "gate": GATE}))
    with pytest.raises(CommandError, match=r"^Some entries were refused; all others are as the file says\.$"):
        call_command("import_devices", str(file))
    bad, gate, summary = capsys.readouterr().out.splitlines()
    assert bad.startswith("bad: refused: 'localhost' is not an IP address")
    assert (gate, summary) == ("gate: new", "1 new, 1 refused (bad).")
    assert Device.objects.get().key == "gate"


def test_a_dry_run_says_the_same_and_does_nothing(file, tmp_path, settings, django_capture_on_commit_callbacks):
    settings.DEVICES_FILE = str(tmp_path / "devices.json")
    file.write_text(json.dumps({"gate": GATE}))
    with django_capture_on_commit_callbacks(execute=True):
        told = said("import_devices", file, "--dry-run")
    assert told == "gate: new\n1 new. Nothing was changed: a dry run.\n"
    assert Device.objects.count() == 0
    assert not (tmp_path / "devices.json").exists()


def test_what_is_imported_stands_in_the_devices_file_too(file, tmp_path, settings):
    settings.DEVICES_FILE = str(tmp_path / "devices.json")
    file.write_text(json.dumps({"gate": GATE}))
    said("import_devices", file)
    assert read(tmp_path / "devices.json")["gate"]["ip"] == "10.0.0.5"


def test_the_devices_file_itself_can_be_imported_while_it_runs(tmp_path, settings):
    settings.DEVICES_FILE = str(tmp_path / "devices.json")
    (tmp_path / "devices.json").write_text(json.dumps({"gate": GATE}))
    said("import_devices", tmp_path / "devices.json")
    assert read(tmp_path / "devices.json")["gate"]["password"].startswith("sealed:")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "can't be read: No such file or directory."), ("{", "is not JSON (line 1, column 2: ")],
)
def test_a_file_that_can_not_be_read_is_one_sentence(file, content, sentence):
    if content is not None:
        file.write_text(content)
    with pytest.raises(CommandError) as caught:
        call_command("import_devices", str(file))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_start_is_stopped_by_nothing(tmp_path, settings):
    settings.DEVICES_FILE = str(tmp_path / "devices.json")
    (tmp_path / "devices.json").write_text("{")
    told = said("import_devices", "--at-start")
    assert told.startswith(f"{tmp_path}/devices.json is not JSON (line 1, column 2: ")
    assert told.endswith("nothing of it was loaded, and it is kept. The database goes on as it is.\n")


def test_a_start_tells_in_its_last_line_what_was_loaded(tmp_path, settings):
    settings.DEVICES_FILE = str(tmp_path / "devices.json")
    (tmp_path / "devices.json").write_text(json.dumps({"gate": GATE, "bad": {}, "a\nb": {}}))
    last = said("import_devices", "--at-start").splitlines()[-1]
    assert last == f"{tmp_path}/devices.json: 1 new, 2 refused (bad, a\\nb)."


def test_a_start_tells_that_the_file_is_read_only(tmp_path, settings):
    settings.DEVICES_FILE = str(tmp_path / "devices.json")
    (tmp_path / "devices.json").write_text(json.dumps({"gate": GATE}))
    (tmp_path / "devices.json").chmod(0o400)
    last = said("import_devices", "--at-start").splitlines()[-1]
    assert last.startswith(
        f"{tmp_path}/devices.json: 1 new. Not written afterwards: {tmp_path}/devices.json is read-only"
    )
    assert Device.objects.get().key == "gate"


def test_an_export_is_private_and_sealed_and_comes_back_here(file):
    register_device(key="gate", name="Gate", host="10.0.0.5", comm_key=4711, timeout=9)
    assert said("export_devices", file) == f"Devices written to {file}: 1.\n"
    assert (file.stat().st_mode & 0o777, read(file)["gate"]["password"][:7]) == (0o600, "sealed:")
    Device.objects.all().delete()
    said("import_devices", file)
    assert Device.objects.get().comm_key == 4711


def test_an_export_with_secrets_comes_back_on_another_installation(file, settings):
    register_device(key="gate", name="Gate", host="10.0.0.5", comm_key=4711)
    assert "with their comm keys (keep it to yourself): 1." in said("export_devices", file, "--with-secrets")
    assert read(file)["gate"]["password"] == 4711
    Device.objects.all().delete()
    settings.FIELD_KEYS = {"k9": bytes(32)}
    said("import_devices", file)
    assert Device.objects.get().comm_key == 4711


def test_a_file_that_is_there_is_replaced_only_when_that_is_wanted(file):
    file.write_text("mine")
    with pytest.raises(CommandError, match="is there already; to replace it, add --force"):
        call_command("export_devices", str(file))
    assert file.read_text() == "mine"
    said("export_devices", file, "--force")
    assert read(file) == {}


EVERYTHING = {
    "transport": "udp",
    "interval": 300,
    "encoding": "cp1252",
    "time_zone": "Europe/Madrid",
    "quiet_from": "22:00",
    "quiet_until": "06:00",
    "polled": False,
}


def test_whatever_else_belongs_to_a_device_goes_out_and_comes_back(file):
    gate = register_device(
        key="gate", name="Gate", host="10.0.0.5", transport="udp", interval=300, encoding="cp1252",
        time_zone="Europe/Madrid", quiet_from=time(22), quiet_until=time(6), enabled=False,
    )  # fmt: skip
    said("export_devices", file)
    assert {name: read(file)["gate"].get(name) for name in EVERYTHING} == EVERYTHING
    before = {name: getattr(gate, name) for name in ("transport", "interval", "encoding", "time_zone", "enabled")}
    gate.delete()
    said("import_devices", file)
    again = Device.objects.get()
    assert {name: getattr(again, name) for name in before} == before
    assert (again.quiet_from, again.quiet_until) == (time(22), time(6))
    assert said("import_devices", file).startswith("gate: same\n")


def test_what_devices_have_by_default_is_not_written(file):
    register_device(key="gate", name="Gate", host="10.0.0.5")
    said("export_devices", file)
    assert list(read(file)["gate"]) == ["ip", "port", "password", "timeout", "name", "created_at"]


def test_what_an_entry_does_not_tell_stays_as_it_is(file):
    register_device(key="gate", name="Gate", host="10.0.0.5", interval=300, quiet_from=time(22), quiet_until=time(6))
    file.write_text(json.dumps({"gate": {"ip": "10.0.0.5", "name": "Gate"}}))
    assert said("import_devices", file) == "gate: same\n1 same.\n"


def test_quiet_hours_and_polling_are_changed_by_an_import(file):
    register_device(key="gate", name="Gate", host="10.0.0.5", quiet_from=time(22), quiet_until=time(6))
    file.write_text(json.dumps({"gate": {**GATE, "quiet_from": None, "quiet_until": None, "polled": False}}))
    said("import_devices", file)
    gate = Device.objects.get()
    assert (gate.quiet_from, gate.quiet_until, gate.enabled) == (None, None, False)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"transport": "ip"}, "transport: 'ip' is neither tcp nor udp."),
        ({"interval": "often"}, "interval: 'often' is not a whole number."),
        ({"interval": 0}, "interval: Ensure this value is greater than or equal to 1."),
        ({"encoding": "klingon"}, "encoding: 'klingon' is no code page for names; write UTF-8, GBK, cp1252…"),
        ({"time_zone": 7}, "time_zone: a text is missing."),
        ({"quiet_from": "late", "quiet_until": "06:00"}, "quiet_from: 'late' is no time such as 22:00."),
        ({"quiet_from": "22:00"}, "quiet_until: Quiet hours have a beginning and an end: give both, or none."),
        (
            {"quiet_from": "04:00", "quiet_until": "04:00"},
            "quiet_until: Quiet hours that end when they begin are none: give another end, or leave both empty.",
        ),
        ({"polled": "no"}, "polled: write true or false."),
    ],
)
def test_what_is_told_wrongly_of_a_device_is_said(file, capsys, wrong, sentence):
    file.write_text(json.dumps({"gate": {**GATE, **wrong}}))
    with pytest.raises(CommandError):
        call_command("import_devices", str(file))
    assert capsys.readouterr().out.splitlines()[0] == f"gate: refused: {sentence}"


def test_a_dry_run_does_not_claim_to_have_refused_anything(file, capsys):
    file.write_text(json.dumps({"bad": {}, "gate": GATE}))
    with pytest.raises(CommandError, match=r"^Some entries would be refused; all others would be as the file says\.$"):
        call_command("import_devices", str(file), "--dry-run")
    assert capsys.readouterr().out.splitlines()[-1] == "1 new, 1 refused (bad). Nothing was changed: a dry run."


def trail() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("actor", "action", "subject"))


def test_an_import_stands_in_the_audit_trail_and_a_dry_run_does_not(file):
    register_device(key="a", name="A", host="10.0.0.1")
    file.write_text(json.dumps({"a": {"ip": "10.0.0.1", "name": "B"}, "gate": GATE}))
    said("import_devices", file, "--dry-run")
    assert trail() == []
    said("import_devices", file)
    said("import_devices", file)
    assert trail() == [
        ("import_devices", "devices.change", "B (10.0.0.1:4370)"),
        ("import_devices", "devices.register", "Gate (10.0.0.5:4371)"),
    ]
    assert AuditEntry.objects.earliest("pk").detail == {"changed": ["name"]}


def test_disclosed_comm_keys_stand_in_the_audit_trail(file):
    register_device(key="gate", name="Gate", host="10.0.0.5", comm_key=4711)
    said("export_devices", file)
    assert trail() == []
    said("export_devices", file, "--with-secrets", "--force")
    assert trail() == [("export_devices", "devices.disclose", str(file))]
    assert AuditEntry.objects.get().detail == {"devices": 1}
