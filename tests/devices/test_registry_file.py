"""devices.json: loaded, written at every change, and whatever is wrong with it costs nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as configured
from django.db import connection

from devices.domain import registry_disk
from devices.domain.registry import change_device, is_unused_example, register_device
from devices.domain.registry_entries import Outcome, seal_password
from devices.domain.registry_file import load_at_start, trouble
from devices.models import Device

PLAIN = {"ip": "10.0.0.5", "port": 4371, "password": 4711, "timeout": 9, "name": "Gate"}
MOMENTS = {"created_at": "2024-05-06 07:08:09", "updated_at": "2025-06-07 08:09:10"}


@pytest.fixture
def path(tmp_path: Path, settings: Any) -> Path:
    settings.DEVICES_FILE = str(tmp_path / "devices.json")
    settings.DEVICE_NETWORKS = [ip_network("10.0.0.0/8"), ip_network("192.168.0.0/16")]
    return tmp_path / "devices.json"


@pytest.fixture
def committed(db: None, django_capture_on_commit_callbacks: Any) -> Callable[[], Any]:
    """A block whose changes count as committed when it ends: that is when the file is written."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def write(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(entries))


# -- loading


def test_every_field_of_an_entry_is_loaded(db, path):
    write(path, gate={**PLAIN, **MOMENTS})
    assert load_at_start(path).outcomes == [Outcome("gate", "new")]
    device = Device.objects.get()
    assert (device.key, device.host, device.port, device.timeout, device.name) == ("gate", "10.0.0.5", 4371, 9, "Gate")
    assert (device.comm_key, device.enabled) == (4711, True)
    assert read(path)["gate"] | {"password": 4711} == {**PLAIN, **MOMENTS}


def test_an_entry_of_ip_and_name_is_enough_and_digits_may_be_text(db, path):
    write(path, a={"ip": "10.0.0.5", "name": "A"}, b={"ip": "10.0.0.6", "name": "B", "port": "4371", "password": "12"})
    assert [outcome.verdict for outcome in load_at_start(path).outcomes] == ["new", "new"]
    found = [(device.port, device.comm_key, device.timeout) for device in Device.objects.all()]
    assert found == [(4370, 0, 5), (4371, 12, 5)]


def test_what_nobody_edited_is_not_loaded_over_the_database(committed, path):
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    Device.objects.update(name="As the database says")
    assert load_at_start(path).outcomes == []
    assert read(path)["gate"]["name"] == "As the database says"


def test_only_the_edited_entry_is_loaded_over_the_database(committed, path):
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
        register_device(key="hall", name="Hall", host="10.0.0.6")
    said = read(path)
    said["gate"]["name"] = "Edited"
    write(path, **said)
    Device.objects.filter(key="hall").update(name="Renamed")
    assert load_at_start(path).outcomes == [Outcome("gate", "changed")]
    assert [entry["name"] for entry in read(path).values()] == ["Edited", "Renamed"]


def test_an_absent_entry_deletes_nothing_and_comes_back(committed, path):
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    write(path)
    assert load_at_start(path).outcomes == []
    assert list(read(path)) == ["gate"]


def test_a_missing_file_is_made_with_one_example_that_is_not_polled(db, path):
    assert load_at_start(path).outcomes == []
    device = Device.objects.get()
    assert (device.key, device.name, device.host, device.port) == (
        "principal",
        "Entrada Principal",
        "192.168.1.205",
        4370,
    )
    assert (device.enabled, is_unused_example(device)) == (False, True)
    assert list(read(path)) == ["principal"]


def test_the_example_is_polled_once_it_is_edited_in_the_file(db, path):
    load_at_start(path)
    said = read(path)
    said["principal"]["ip"] = "10.0.0.9"
    write(path, **said)
    assert load_at_start(path).outcomes == [Outcome("principal", "changed")]
    assert Device.objects.get().enabled is True


def test_where_devices_are_a_missing_file_is_written_without_the_example(db, path):
    register_device(key="gate", name="Gate", host="10.0.0.5")
    load_at_start(path)
    assert list(read(path)) == ["gate"]


def test_an_example_that_may_not_be_dialled_here_is_left_out(db, path, settings):
    settings.DEVICE_NETWORKS = []
    load_at_start(path)
    assert (read(path), Device.objects.count()) == ({}, 0)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("10.0.0.5", "An entry is written {…} with ip and name."),
        ({"ip": "10.0.0.5"}, "name: a text is missing."),
        ({"name": "X"}, "ip: a text is missing."),
        ({"ip": "10.0.0.5", "name": "a\0b"}, "name: 'a\\x00b' has characters that can't be shown."),
        ({"ip": "10.0.0.5", "name": "A", "password": "sealed:\u00e9"}, "password: what is sealed was altered."),
        ({"ip": "10.0.0.5", "name": "A", "password": "sealed:\ud800"}, "password: what is sealed was altered."),
        ({"ip": "10.0.0.5", "name": "\ud800"}, "name: '\\ud800' has characters that can't be shown."),
        ({"ip": "127.1", "name": "X"}, "'127.1' is not an IP address; write the terminal's own"),
        ({"ip": "203.0.113.9", "name": "X"}, "203.0.113.9 is outside the networks of terminals"),
        ({**PLAIN, "port": True}, "port: 'True' is not a whole number."),
        ({**PLAIN, "port": 70_000}, "port: Ensure this value is less than or equal to 65535."),
        ({**PLAIN, "timeout": 1.5}, "timeout: '1.5' is not a whole number."),
        ({**PLAIN, "password": None}, "password: a number is missing; 0 is none."),
        ({**PLAIN, "password": "secret"}, "A comm key is a number from 0 to 4294967295."),
        ({**PLAIN, "password": "sealed:????"}, "password: what is sealed was altered."),
        ({**PLAIN, "password": seal_password("other", 4711)}, "password: it was sealed by another installation or"),
        ({**PLAIN, "name": "n" * 101}, "name: Ensure this value has at most 100 characters"),
    ],
)
def test_a_bad_entry_is_refused_by_its_id_kept_and_stops_no_other(db, path, entry, why):
    write(path, bad=entry, good={**PLAIN, "ip": "10.0.0.6"})
    bad, good = load_at_start(path).outcomes
    assert (bad.key, bad.verdict, bad.why[: len(why)]) == ("bad", "refused", why)
    assert (good, Device.objects.get().key) == (Outcome("good", "new"), "good")
    assert read(path)["bad"] == entry
    assert trouble(path).endswith("these entries wait for the next start: bad")


@pytest.mark.parametrize("key", ["Main Door", "a/b", "", "ä", "x" * 51, "a\nb", "\0"])
def test_an_id_that_is_none_is_refused(db, path, key):
    write(path, **{key: PLAIN})
    assert [(outcome.key, outcome.verdict) for outcome in load_at_start(path).outcomes] == [(key, "refused")]
    assert list(read(path)) == [key]


def test_addresses_that_are_handed_on_are_loaded_in_whatever_order(db, path):
    register_device(key="a", name="A", host="10.0.0.1")
    register_device(key="b", name="B", host="10.0.0.2")
    write(path, a={"ip": "10.0.0.2", "name": "A"}, b={"ip": "10.0.0.3", "name": "B"})
    assert load_at_start(path).outcomes == [Outcome("a", "changed"), Outcome("b", "changed")]
    assert [device.host for device in Device.objects.all()] == ["10.0.0.2", "10.0.0.3"]


def test_an_address_of_another_device_is_refused_in_words(db, path):
    register_device(key="a", name="A", host="10.0.0.1")
    write(path, b={"ip": "10.0.0.1", "name": "B"})
    (outcome,) = load_at_start(path).outcomes
    assert outcome.why.startswith("10.0.0.1 port 4370 is registered already, with the id a.")


# -- writing


def test_each_change_is_written_privately_and_the_comm_key_sealed(committed, path):
    with committed():
        made = register_device(key="gate", name="Puerta ñ", host="10.0.0.5", comm_key=4711)
    first = read(path)["gate"]
    with committed():
        change_device(made.pk, timeout=7)
    second = read(path)["gate"]
    with committed():
        Device.objects.get().delete()
    assert (first["ip"], first["timeout"], "updated_at" in first) == ("10.0.0.5", 5, False)
    assert first["password"].startswith("sealed:")
    assert (second["timeout"], second["password"]) == (7, first["password"])
    assert read(path) == {}
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(found.name for found in path.parent.iterdir()) == [".devices.json.written", "devices.json"]


def test_letters_are_written_as_they_are(committed, path):
    with committed():
        register_device(key="gate", name="Puerta ñ", host="10.0.0.5")
    assert "Puerta ñ" in path.read_text()


def test_what_we_do_not_know_of_in_an_entry_is_kept(committed, path):
    write(path, gate={**PLAIN, "place": {"floor": 2}})
    load_at_start(path)
    with committed():
        change_device(Device.objects.get().pk, name="Renamed")
    assert (read(path)["gate"]["name"], read(path)["gate"]["place"]) == ("Renamed", {"floor": 2})


def test_an_edit_by_hand_while_it_runs_is_not_written_over(committed, path):
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    write(path, gate={**PLAIN, "name": "Typed"}, new={**PLAIN, "ip": "10.0.0.7"})
    with committed():
        register_device(key="hall", name="Hall", host="10.0.0.6")
    assert {key: entry["name"] for key, entry in read(path).items()} == {"gate": "Typed", "hall": "Hall", "new": "Gate"}
    assert trouble(path).endswith("these entries wait for the next start: gate, new")
    assert load_at_start(path).outcomes == [Outcome("gate", "changed"), Outcome("new", "new")]
    assert trouble(path) == ""


def test_a_comm_key_that_opens_no_more_is_no_reason_to_forget_what_the_file_has(committed, path, settings):
    with committed():
        made = register_device(key="gate", name="Gate", host="10.0.0.5", comm_key=4711)
    before = read(path)["gate"]["password"]
    settings.FIELD_KEYS = {"k2": bytes(32)}
    with committed():
        change_device(made.pk, timeout=7)
    assert (read(path)["gate"]["password"], read(path)["gate"]["timeout"]) == (before, 7)


def test_a_new_key_of_the_ring_seals_anew(committed, path, settings):
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5", comm_key=4711)
    before = read(path)["gate"]["password"]
    settings.FIELD_KEYS = {"k2": bytes(32), **settings.FIELD_KEYS}
    load_at_start(path)
    assert read(path)["gate"]["password"] != before
    settings.FIELD_KEYS = {"k2": bytes(32)}
    write(path, gate=read(path)["gate"] | {"name": "Edited"})
    assert load_at_start(path).outcomes == [Outcome("gate", "changed")]
    assert Device.objects.get().comm_key == 4711


def test_the_owner_of_the_file_stays_its_owner(committed, path):
    if os.geteuid() != 0:
        pytest.skip("only root could change the owner")
    write(path)
    os.chown(path, 65_534, 65_534)
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    assert (path.stat().st_uid, list(read(path))) == (65_534, ["gate"])


def test_a_link_stays_a_link(committed, path, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path.symlink_to(elsewhere / "registry.json")
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    assert path.is_symlink()
    assert list(read(elsewhere / "registry.json")) == ["gate"]


# -- what is wrong with the file


BROKEN = {
    b'{\n  "gate": {"ip" 1}\n}': "is not JSON (line 2, column 17: ",
    b"": "is not JSON (line 1, column 1: ",
    b'{"a": 1,\n "b": "\xff"}': "is not UTF-8 (line 2, column 8)",
    b'{"a": {}, "a": {}}': "can't be understood (the name 'a' stands in it twice)",
    b"[]": "(line 1, column 1) is not {id: {…}, …}",
    b"[" * 200_000: "can't be understood (",
    b'{"a": ' + b"9" * 5_000 + b"}": "can't be understood (",
    b'{"a": {"timeout": 1e400}}': "can't be understood (1e400 is no number that JSON has)",
    b'{"a": {"timeout": NaN}}': "can't be understood (NaN is no number that JSON has)",
    b'{"a": {"timeout": -Infinity}}': "can't be understood (-Infinity is no number that JSON has)",
}


@pytest.mark.parametrize("content", BROKEN)
def test_a_corrupt_file_is_said_where_and_kept_and_stops_no_change(committed, path, caplog, content):
    path.write_bytes(content)
    with pytest.raises(registry_disk.RegistryFileError) as raised:
        load_at_start(path)
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
        register_device(key="hall", name="Hall", host="10.0.0.6")
    assert BROKEN[content] in str(raised.value)
    assert (path.read_bytes(), Device.objects.count()) == (content, 2)
    assert len([record for record in caplog.records if "was not written" in record.message]) == 1, "said once"
    assert BROKEN[content] in trouble(path)


def test_a_note_that_cant_be_understood_is_no_note(committed, path):
    load_at_start(path)
    note = path.with_name(f".{path.name}.written")
    note.write_text("[" * 300_000)
    load_at_start(path)
    note.write_text("[" * 300_000)
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    assert list(read(path)) == ["principal", "gate"]


def test_a_mended_file_is_written_again_and_that_is_said(committed, path, caplog):
    caplog.set_level("INFO")
    path.write_text("{")
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    path.unlink()
    with committed():
        register_device(key="hall", name="Hall", host="10.0.0.6")
    assert list(read(path)) == ["gate", "hall"]
    assert f"{path} is written again." in caplog.messages


def test_a_read_only_file_is_loaded_and_left_alone(committed, path):
    write(path, gate=PLAIN)
    path.chmod(0o444)
    assert load_at_start(path) == (
        [Outcome("gate", "new")],
        f"{path} is read-only; to have it written: chmod u+w {path}",
    )
    assert Device.objects.get().key == "gate"
    assert read(path) == {"gate": PLAIN}
    assert "is read-only" in trouble(path)


def test_a_read_only_file_is_loaded_once_and_not_again_over_the_database(db, path):
    write(path, gate=PLAIN)
    path.chmod(0o444)
    load_at_start(path)
    Device.objects.update(name="As the database says")
    assert load_at_start(path).outcomes == []
    assert Device.objects.get().name == "As the database says"


@pytest.mark.parametrize("what", ["folder", "pipe", "missing folder"])
def test_what_is_no_file_stops_no_change(committed, path, settings, what):
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        settings.DEVICES_FILE = str(path / "nowhere" / "devices.json")
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    assert Device.objects.count() == 1
    assert trouble(Path(settings.DEVICES_FILE)) != ""


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The disk takes nothing from now on."""

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(registry_disk.os, "fsync", refuse)


def test_a_full_disk_costs_neither_the_change_nor_the_old_file(committed, path, full_disk, caplog):
    with committed():
        register_device(key="gate", name="Gate", host="10.0.0.5")
    before = path.read_bytes()
    full_disk()
    with committed():
        register_device(key="hall", name="Hall", host="10.0.0.6")
    assert (Device.objects.count(), path.read_bytes()) == (2, before)
    assert "can't be written: No space left on device" in caplog.text
    assert trouble(path).endswith("lacks the latest changes; see the log.")
    assert sorted(found.name for found in path.parent.iterdir()) == [".devices.json.written", "devices.json"]


@pytest.mark.parametrize("survived", [1, 2])
def test_an_end_between_two_writes_makes_no_entry_look_edited(committed, path, monkeypatch, survived):
    """Killed after the note, or after the note and the file: the next start takes the database's word either way."""
    with committed():
        made = register_device(key="gate", name="Gate", host="10.0.0.5")
    written = []

    def replace_some(target: Path, text: str) -> None:
        if len(written) == survived:
            raise registry_disk.RegistryFileError("killed")
        written.append(target)
        real(target, text)

    real = registry_disk._replace
    monkeypatch.setattr(registry_disk, "_replace", replace_some)
    with committed():
        change_device(made.pk, name="Newer")
    monkeypatch.setattr(registry_disk, "_replace", real)
    Device.objects.update(name="Newest")
    assert load_at_start(path).outcomes == []
    assert read(path)["gate"]["name"] == "Newest"


def test_the_administration_says_what_is_wrong_with_the_file(admin_client, path):
    path.write_text("{")
    page = admin_client.get("/admin/devices/device/").content.decode()
    assert f"{path} is not JSON (line 1, column 2" in page
    path.unlink()
    load_at_start(path)
    assert str(path) not in admin_client.get("/admin/devices/device/").content.decode()


# -- several processes

_REGISTER = """
import sys, django; django.setup()
from devices.domain.registry import register_device
who = int(sys.argv[1])
print("ready", flush=True); sys.stdin.readline()
for n in range(int(sys.argv[2])):
    register_device(key=f"p{who}-{n}", name="x", host=f"10.{who}.0.{n + 1}", comm_key=who + 1)
"""


@pytest.mark.django_db(transaction=True)
def test_processes_that_register_at_once_lose_nothing(path):
    processes, each = 4, 12
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environ = {**os.environ, "DATABASE_URL": url, "DEVICES_FILE": str(path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _REGISTER, str(who), str(each)],
            cwd=configured.BASE_DIR,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for who in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=90) for process in running]
    assert [process.returncode for process in running] == [0] * processes, said
    assert [told for _, told in said] == [""] * processes
    assert set(read(path)) == {f"p{who}-{n}" for who in range(processes) for n in range(each)}
    assert trouble(path) == ""
