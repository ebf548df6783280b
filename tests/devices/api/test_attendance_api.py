"""The punches of one terminal and of all: newest first, filtered, stored on the way; one that fails fails no other."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from devices.api import answers
from devices.domain import attendance
from devices.domain.registry import register_device
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Silent, SimPunch, SimulatedTerminal, SimUser, TerminalSpec
from iclock.models import Terminal, Transaction
from personnel.models import Area, Department, Employee
from tests.devices.api.conftest import WRONG_UNIT, Ask, answered, asker
from tests.devices.conftest import MORNING, a_log
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)
CROWD = {
    "success": False,
    "error": "Hay demasiadas respuestas largas en este momento; vuelva a intentarlo un poco más tarde.",
}
NEXT_DAY = MORNING + timedelta(days=1)
PUNCHES = (
    SimPunch("1001", MORNING, verify=1, state=0),
    SimPunch("1002", MORNING + timedelta(seconds=1), verify=15, state=1),
    SimPunch("1001", NEXT_DAY, verify=4, state=255),
)


@pytest.fixture
def unit() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(TerminalSpec(serial="CKJF201260077", punches=PUNCHES)) as terminal:
        yield terminal


@pytest.fixture
def gate(unit: SimulatedTerminal, add_device: Callable[..., Device]) -> Device:
    return add_device(unit)


def row(user_id: str, at: datetime, status: int, punch: int, *, device: str = "gate") -> dict[str, Any]:
    return {
        "user_id": user_id,
        "timestamp": f"{at:%Y-%m-%d %H:%M:%S}",
        "status": status,
        "punch": punch,
        "device_id": device,
        "device_name": device.title(),
    }


NEWEST, MIDDLE, OLDEST = (
    row("1001", NEXT_DAY, 4, 255),
    row("1002", MORNING + timedelta(seconds=1), 15, 1),
    row("1001", MORNING, 1, 0),
)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("source", ["", "?source=device"])
def test_a_log_is_told_newest_first(ask: Ask, gate: Device, slash: str, source: str) -> None:
    status, told = ask("GET", f"/devices/gate/attendance{slash}{source}")

    assert (status, told) == (200, {"success": True, "total": 3, "data": [NEWEST, MIDDLE, OLDEST]})
    assert (list(told), list(told["data"][0])) == (["success", "total", "data"], list(NEWEST))


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("user_id=1001", [NEWEST, OLDEST]),
        ("user_id=100", []),
        ("date=2026-03-02", [MIDDLE, OLDEST]),
        ("user_id=1002&date=2026-03-02", [MIDDLE]),
        ("date=2026-03-04", []),
        ("user_id=&date=", [NEWEST, MIDDLE, OLDEST]),
    ],
)
def test_a_log_is_filtered_by_person_and_by_day(ask: Ask, gate: Device, query: str, rows: list[dict[str, Any]]) -> None:
    told = {"success": True, "total": len(rows), "data": rows}

    assert ask("GET", f"/devices/gate/attendance?{query}") == (200, told)
    assert ask("GET", f"/devices/gate/attendance?{query}&source=database") == (200, told)
    assert ask("GET", f"/attendance/all?{query}") == (200, {**told, "errors": {}})
    assert ask("GET", f"/attendance/all/?{query}&source=database") == (200, {**told, "errors": {}})


@pytest.mark.parametrize("path", ["/devices/gate/attendance", "/attendance/all"])
@pytest.mark.parametrize("day", ["today", "2026-02-30", "20260302", "2026-3-2", "2026-03-02T08:00", "٢٠٢٦-٠٣-٠٢"])
def test_a_day_that_is_none_is_a_400(
    ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device, path: str, day: str
) -> None:
    assert ask("GET", f"{path}?date={day}") == (400, {"success": False, "error": "date debe ser YYYY-MM-DD."})
    assert ask_in_english("GET", f"{path}?date={day}")[1]["error"] == "date must be YYYY-MM-DD."
    assert not unit.journal


def test_a_source_that_is_none_is_a_400(ask: Ask, gate: Device) -> None:
    error = {"success": False, "error": "source debe ser device o database."}

    assert ask("GET", "/attendance/all?source=file") == (400, error)


def test_what_is_read_is_stored_once_and_stands_in_the_history(ask: Ask, gate: Device) -> None:
    for _ in range(3):
        assert ask("GET", "/devices/gate/attendance")[1]["total"] == 3
    ask("GET", "/attendance/all")

    assert Transaction.objects.count() == 3
    runs = [(run.trigger, run.outcome, run.announced, run.known, run.new) for run in SyncRun.objects.order_by("id")]
    assert runs == [("live", "ok", 3, 0, 3), *[("live", "ok", 3, 3, 0)] * 3]
    terminal = Terminal.objects.get(device=gate)
    assert (terminal.sn, terminal.presence.online) == ("CKJF201260077", True)


def test_a_terminal_without_punches_has_none(ask: Ask, add_device: Callable[..., Device]) -> None:
    with SimulatedTerminal(TerminalSpec(serial="CKJF201260078")) as unit:
        add_device(unit)

        assert ask("GET", "/devices/gate/attendance") == (200, {"success": True, "total": 0, "data": []})
        assert ask("GET", "/attendance/all") == (200, {"success": True, "total": 0, "data": [], "errors": {}})


def test_rows_that_name_people_by_number_are_told_by_user_id(ask: Ask, add_device: Callable[..., Device]) -> None:
    spec = TerminalSpec(
        serial="CKJF201260078", punch_width=8, user_width=28, users=(SimUser(3, "1001"),), punches=PUNCHES[:1]
    )
    with SimulatedTerminal(spec) as unit:
        add_device(unit)

        assert ask("GET", "/devices/gate/attendance")[1]["data"] == [OLDEST]


def test_a_long_log_is_streamed_whole_and_in_order(ask: Ask, add_device: Callable[..., Device]) -> None:
    with SimulatedTerminal(TerminalSpec(serial="CKJF201260078", punches=a_log(12_000))) as unit:
        add_device(unit)

        told = ask("GET", "/devices/gate/attendance")[1]

    stamps = [punch["timestamp"] for punch in told["data"]]
    assert (told["total"], len(stamps), stamps) == (12_000, 12_000, sorted(stamps, reverse=True))
    assert ask("GET", "/attendance/all?source=database")[1] == {**told, "errors": {}}


@pytest.mark.parametrize("source", ["device", "database"])
def test_long_answers_that_nobody_took_yet_have_places_and_short_ones_need_none(
    admin: User, add_device: Callable[..., Device], monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(answers, "_places", threading.BoundedSemaphore(1))
    client = Client(headers={"Authorization": f"Token {issue_token(admin)}"})
    with SimulatedTerminal(TerminalSpec(serial="CKJF201260078", punches=a_log(3_000))) as unit:
        add_device(unit)
        sync_device(Device.objects.get().pk, trigger=SyncRun.Trigger.COMMAND)

        for path in ("/devices/gate/attendance", "/attendance/all"):
            first = client.get(f"{path}?source={source}")
            for crowded in ("/devices/gate/attendance", "/attendance/all"):
                response = client.get(f"{crowded}?source={source}")
                assert (*answered(response), response.headers["Retry-After"]) == (503, CROWD, "5")
            assert client.get(f"{path}?source={source}&user_id=1001").status_code == 200
            assert answered(first)[1]["total"] == 3_000
        client.get(f"{path}?source={source}").close()
        assert answered(client.get(f"{path}?source={source}"))[0] == 200


def test_who_finds_no_turn_to_be_answered_is_told_so_and_the_log_is_stored(
    ask: Ask, gate: Device, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(attendance, "_writing", threading.BoundedSemaphore(1))
    settings.LIVE_WAIT_SECONDS = settings.LIVE_SECONDS = 1

    with attendance._writing:
        assert ask("GET", "/devices/gate/attendance?source=database") == (503, CROWD)
        assert ask("GET", "/attendance/all?source=database") == (503, CROWD)
        assert ask("GET", "/devices/gate/attendance") == (503, CROWD)
        assert ask("GET", "/attendance/all")[1]["errors"] == {"gate": CROWD["error"]}

    assert Transaction.objects.count() == 3


def test_what_nobody_expected_of_a_device_is_in_the_log(
    ask: Ask, add_device: Callable[..., Device], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with SimulatedTerminal(TerminalSpec(serial="CKJF201260078", punches=a_log(12_000))) as unit:
        add_device(unit)

        told = ask("GET", "/attendance/all")[1]

    sentence = "Algo ha fallado aquí; el registro del servidor dice qué."
    assert (told["total"], told["errors"]) == (0, {"gate": sentence})
    (record,) = [record for record in caplog.records if "Reading device gate ended" in record.message]
    assert record.exc_info is not None
    assert record.exc_info[0] is FileNotFoundError


def test_what_cannot_be_stored_is_an_error_and_no_answer(ask: Ask, gate: Device) -> None:
    gate.terminal = Terminal.objects.create(sn="CKJF201260099", alias="Other")
    gate.save()

    status, told = ask("GET", "/devices/gate/attendance")

    assert (status, told["error"]) == (500, WRONG_UNIT)
    assert SyncRun.objects.get().error_code == "identity"


def test_a_terminal_that_is_away_is_told_under_its_id_and_fails_nobody(
    ask: Ask, ask_in_english: Ask, gate: Device
) -> None:
    register_device(key="yard", name="Yard", host="127.0.0.1", port=1)
    errors = {"yard": "No se puede conectar con el dispositivo: ¿está encendido y es correcta su dirección?"}

    status, told = ask("GET", "/attendance/all")

    assert (status, told) == (
        200,
        {"success": True, "total": 3, "data": [NEWEST, MIDDLE, OLDEST], "errors": errors},
    )
    assert list(told) == ["success", "total", "data", "errors"]
    assert ask_in_english("GET", "/attendance/all")[1]["errors"] == {
        "yard": "127.0.0.1:1 can't be reached (Connection refused): is that its address, and is it on?"
    }


def test_a_busy_terminal_is_an_error_of_its_own(ask: Ask, gate: Device, settings: Any) -> None:
    settings.LIVE_WAIT_SECONDS = 0.2
    Device.objects.update(lease_expires_at="2099-01-01T00:00:00Z")

    status, told = ask("GET", "/attendance/all")

    busy = "El dispositivo está ocupado; vuelva a intentarlo dentro de unos segundos."
    assert (status, told) == (200, {"success": True, "total": 0, "data": [], "errors": {"gate": busy}})


def test_devices_that_are_not_polled_are_read_too(ask: Ask, gate: Device) -> None:
    Device.objects.update(enabled=False)

    assert ask("GET", "/attendance/all")[1]["total"] == 3


def test_fifty_devices_of_which_five_are_dead_answer_within_one_timeout(
    ask: Ask, add_device: Callable[..., Device]
) -> None:
    with ExitStack() as stack:
        for number in range(45):
            punches = tuple(SimPunch(str(1000 + n), MORNING + timedelta(seconds=n * 45 + number)) for n in range(10))
            spec = TerminalSpec(serial=f"CKJF2012{number:05}", punches=punches)
            add_device(stack.enter_context(SimulatedTerminal(spec)), key=f"d{number}")
        for number in range(2):
            silent = stack.enter_context(SimulatedTerminal(TerminalSpec(serial=f"SILENT{number}")))
            silent.faults.add(Silent(times=None))
            add_device(silent, key=f"silent{number}")
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        stack.enter_context(socket.create_connection(full.getsockname()))
        black_hole = {"host": "127.0.0.1", "port": full.getsockname()[1], "timeout": 1}
        Device.objects.create(key="black_hole", name="Black hole", **black_hole)
        for number in range(1, 3):
            Device.objects.create(key=f"refused{number}", name="Refused", host="127.0.0.1", port=number)
        ask("GET", "/attendance/all")

        began = time.monotonic()
        status, told = ask("GET", "/attendance/all")
        seconds = time.monotonic() - began

    stamps = [punch["timestamp"] for punch in told["data"]]
    assert (status, told["total"], stamps) == (200, 450, sorted(stamps, reverse=True))
    assert {punch["device_id"] for punch in told["data"]} == {f"d{number}" for number in range(45)}
    assert sorted(told["errors"]) == ["black_hole", "refused1", "refused2", "silent0", "silent1"]
    assert seconds < 1 + 4  # the timeout, and the work of two busy cores
    assert Transaction.objects.count() == 450


def test_what_is_stored_is_told_without_asking_the_terminals(ask: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    ask("GET", "/devices/gate/attendance")
    unit.stop()
    data = {"success": True, "total": 3, "data": [NEWEST, MIDDLE, OLDEST]}

    assert ask("GET", "/devices/gate/attendance?source=database") == (200, data)
    assert ask("GET", "/attendance/all?source=database") == (200, {**data, "errors": {}})


def test_a_user_with_limits_sees_the_devices_and_people_within_them(
    ask: Ask, unit: SimulatedTerminal, gate: Device, db: None
) -> None:
    ask("GET", "/devices/gate/attendance")
    register_device(key="unknown", name="Unknown", host="127.0.0.1", port=1)
    here, there = (Area.objects.create(area_code=str(n), area_name=str(n)) for n in (71, 72))
    user = User.objects.create_superuser("keeper", password="a good long passphrase")
    user.is_superuser = False
    user.save()
    user.area_limits.create(area=here)
    limited = asker(may_everything(user))
    Terminal.objects.update(area=there)

    for path in ("/attendance/all", "/attendance/all?source=database"):
        assert limited("GET", path)[1] == {"success": True, "total": 0, "data": [], "errors": {}}
    assert limited("GET", "/devices/gate/ping") == (
        404,
        {"success": False, "error": "Dispositivo 'gate' no encontrado.", "disponibles": []},
    )
    Terminal.objects.update(area=here)
    for path in ("/attendance/all", "/attendance/all?source=database"):
        assert limited("GET", path)[1]["data"] == [NEWEST, MIDDLE, OLDEST]
    assert [device["id"] for device in limited("GET", "/devices")[1]["data"]] == ["gate"]
    assert list(limited("GET", "/")[1]["dispositivos"]) == ["gate"]
    add_employee("1001", area=there)
    for path in ("/attendance/all", "/attendance/all?source=database"):
        assert limited("GET", path)[1]["data"] == [MIDDLE]


def may_everything(user: User) -> User:
    user.user_permissions.set(Permission.objects.all())
    return user


def add_employee(code: str, *, area: Area) -> None:
    employee = Employee.objects.create(emp_code=code, first_name="Ana", department=Department.objects.earliest("id"))
    employee.areas.set([area])


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_first_and_the_last_day_of_the_calendar_are_empty(ask: Ask, day: str) -> None:
    assert ask("GET", f"/attendance/all?date={day}&source=database")[1]["total"] == 0
