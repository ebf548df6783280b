"""What is asked of a terminal and changed on it, over the API, against a simulated one that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone, translation

from devices.api.errors import reason
from devices.domain.dialling import NotAllowedError
from devices.domain.identity import WrongUnitError
from devices.domain.live import CallerGoneError
from devices.domain.registry import register_device
from devices.domain.sync import StorageError, sync_device
from devices.driver.errors import TerminalError
from devices.models import Device, SyncRun
from devices.protocol import CMD_SET_TIME, CMD_STARTENROLL
from devices.simulator import Silent, SimTemplate, SimulatedTerminal, SimUser, TerminalSpec
from iclock.models import Terminal
from personnel.models import Employee
from tests.devices.api.conftest import WRONG_UNIT, Ask
from zkbio.accounts.models import AuditEntry
from zkbio.api.renderers import naive_text
from zkbio.launcher.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ANA = SimUser(1, "1001", "Ana", privilege=14, password="1234", card=77)
BEN = SimUser(2, "1002", "Ben")
TEMPLATES = (SimTemplate(1, 0, b"\x01" * 900), SimTemplate(1, 6, b"\x02" * 900, valid=3))
DEAD_PORT = 1
FAILED = {
    "success": False,
    "error": "No se puede conectar con el dispositivo: ¿está encendido y es correcta su dirección?",
}
OCCUPIED = "El dispositivo está ocupado; vuelva a intentarlo dentro de unos segundos."

LIVE = [
    *(("GET", what, None) for what in ("info", "time", "attendance", "users", "users/1001/fingers")),
    ("POST", "sync-time", None),
    ("POST", "users", {"user_id": "7", "name": "Eva"}),
    ("PUT", "users/1001", {"name": "Eva"}),
    ("DELETE", "users/1001", None),
    ("POST", "users/1001/enroll-finger", {"finger_index": 3}),
]


@pytest.fixture
def unit() -> Iterator[SimulatedTerminal]:
    spec = TerminalSpec(serial="CKJF201260077", users=(ANA, BEN), templates=TEMPLATES, comm_key=4711)
    with SimulatedTerminal(spec) as terminal:
        yield terminal


@pytest.fixture
def gate(unit: SimulatedTerminal, add_device: Callable[..., Device]) -> Device:
    return add_device(unit, comm_key=4711)


def every(kind: type[TerminalError]) -> Iterator[type[TerminalError]]:
    for error in kind.__subclasses__():
        yield error
        yield from every(error)


def people(unit: SimulatedTerminal) -> list[tuple[str, str, int, str, int]]:
    return sorted((user.user_id, user.name, user.privilege, user.password, user.card) for user in unit.users())


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_ping_tells_the_time_of_the_device(ask: Ask, unit: SimulatedTerminal, gate: Device, slash: str) -> None:
    status, told = ask("GET", f"/devices/gate/ping{slash}")

    assert (status, list(told)) == (200, ["success", "message", "device_time", "ip"])
    assert (told["success"], told["message"], told["ip"]) == (True, "Conexion exitosa con 'gate'.", "127.0.0.1")
    assert abs(datetime.fromisoformat(told["device_time"]) - unit.now()) < timedelta(seconds=10)


def test_a_ping_that_nobody_answers_is_a_503_with_the_address(ask: Ask, ask_in_english: Ask) -> None:
    register_device(key="gate", name="Gate", host="127.0.0.1", port=DEAD_PORT)

    assert ask("GET", "/devices/gate/ping") == (503, {**FAILED, "ip": "127.0.0.1"})
    assert list(ask("GET", "/devices/gate/ping")[1]) == ["success", "error", "ip"]
    assert ask_in_english("GET", "/devices/gate/ping")[1]["error"] == (
        "127.0.0.1:1 can't be reached (Connection refused): is that its address, and is it on?"
    )


def test_a_ping_of_a_terminal_that_accepts_and_never_answers_is_a_503(
    ask: Ask, unit: SimulatedTerminal, gate: Device
) -> None:
    unit.faults.add(Silent(times=None))

    error = "El dispositivo ha tardado demasiado en responder."
    assert ask("GET", "/devices/gate/ping") == (503, {"success": False, "error": error, "ip": "127.0.0.1"})


@pytest.mark.parametrize(("method", "what", "body"), LIVE)
def test_a_device_that_fails_is_a_500_with_the_reason(ask: Ask, method: str, what: str, body: Any) -> None:
    register_device(key="gate", name="Gate", host="127.0.0.1", port=DEAD_PORT)

    assert ask(method, f"/devices/gate/{what}", body) == (500, FAILED)


@pytest.mark.parametrize(("method", "what", "body"), [*LIVE, ("GET", "ping", None)])
def test_a_device_that_stays_busy_is_a_503(
    ask: Ask, ask_in_english: Ask, gate: Device, settings: Any, method: str, what: str, body: Any
) -> None:
    settings.LIVE_WAIT_SECONDS = 0.2
    Device.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=1))
    with_ip = {"ip": "127.0.0.1"} if what == "ping" else {}

    assert ask(method, f"/devices/gate/{what}", body) == (503, {"success": False, "error": OCCUPIED, **with_ip})
    assert ask_in_english(method, f"/devices/gate/{what}", body)[1]["error"] == (
        "The device is busy; try again in a few seconds."
    )


def test_a_wrong_password_is_said(ask: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    gate.comm_key = 1
    gate.save()

    assert ask("GET", "/devices/gate/info") == (
        500,
        {"success": False, "error": "El dispositivo rechaza la contraseña."},
    )


def test_an_address_that_may_not_be_dialled_any_more_is_not(ask: Ask, gate: Device, settings: Any) -> None:
    settings.DEVICE_NETWORKS = []

    error = "La dirección del dispositivo está fuera de las redes de terminales, así que no se conecta con ella."
    assert ask("GET", "/devices/gate/info") == (500, {"success": False, "error": error})


def test_a_blocked_terminal_is_left_alone(ask: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    gate.terminal = Terminal.objects.create(sn=unit.spec.serial, alias="Gate", admission=Terminal.Admission.BLOCKED)
    gate.save()

    for what in ("users", "attendance"):
        assert ask("GET", f"/devices/gate/{what}") == (
            500,
            {"success": False, "error": "El terminal está bloqueado."},
        )
    assert not unit.journal


def test_info_is_what_the_unit_tells_of_itself(ask: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    status, told = ask("GET", "/devices/gate/info")

    data = told["data"]
    assert (status, list(told), told["success"]) == (200, ["success", "data"], True)
    assert abs(datetime.fromisoformat(data.pop("device_time")) - unit.now()) < timedelta(seconds=10)
    assert data == {
        "id": "gate",
        "name": "Gate",
        "ip": "127.0.0.1",
        "serialnumber": "CKJF201260077",
        "device_name": "K40/ID",
        "platform": "ZLM60_TFT",
        "firmware_version": "Ver 6.60 Apr 28 2017",
        "users_count": 2,
    }
    assert list(data) == [
        *("id", "name", "ip", "serialnumber", "device_name", "platform", "firmware_version", "users_count"),
    ]


def test_the_time_is_the_units(ask: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    status, told = ask("GET", "/devices/gate/time")

    assert (status, list(told), told["device_id"]) == (200, ["success", "device_id", "device_time"], "gate")
    assert abs(datetime.fromisoformat(told["device_time"]) - unit.now()) < timedelta(seconds=10)


def test_a_clock_that_is_wrong_is_set_to_the_time_where_the_terminal_hangs(
    ask: Ask, ask_in_english: Ask, add_device: Callable[..., Device]
) -> None:
    spec = TerminalSpec(serial="CKJF201260078", clock_error=timedelta(days=-400))
    with SimulatedTerminal(spec) as unit:
        add_device(unit, time_zone="UTC+05:30")
        assert ask("POST", "/devices/gate/sync-time") == (
            200,
            {"success": True, "message": "[gate] Hora sincronizada."},
        )
        there = datetime.fromisoformat(naive_text(timezone.now())) + timedelta(hours=5, minutes=30)
        assert abs(unit.now() - there) < timedelta(seconds=10)
        assert ask_in_english("POST", "/devices/gate/sync-time/")[1]["message"] == "[gate] Time synchronised."
    assert [entry.action for entry in AuditEntry.objects.all()] == ["devices.set_clock"] * 2


def test_everybody_on_the_unit_is_listed_without_passwords(ask: Ask, gate: Device) -> None:
    row = {"uid": 1, "user_id": "1001", "name": "Ana", "privilege": 14, "card": 77, "device_id": "gate"}

    status, told = ask("GET", "/devices/gate/users")

    assert (status, told) == (
        200,
        {
            "success": True,
            "data": [row, {**row, "uid": 2, "user_id": "1002", "name": "Ben", "privilege": 0, "card": 0}],
        },
    )
    assert list(told["data"][0]) == list(row)


def test_a_person_is_brought_to_the_unit(ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    body = {"user_id": 1003, "name": "Eva", "password": 4321, "privilege": "14", "card": 99}

    assert ask("POST", "/devices/gate/users", body) == (
        200,
        {
            "success": True,
            "message": "Usuario registrado.",
            "data": {"user_id": "1003", "name": "Eva", "device_id": "gate"},
        },
    )
    made = ask_in_english("POST", "/devices/gate/users/", {"user_id": "1004", "name": "Leo"})[1]
    assert (made["message"], list(made["data"])) == ("User registered.", ["user_id", "name", "device_id"])
    assert people(unit)[2:] == [("1003", "Eva", 14, "4321", 99), ("1004", "Leo", 0, "", 0)]
    assert unit.disabled is False


def test_a_person_who_is_there_is_refused(ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    body = {"user_id": "1001", "name": "Eva"}

    assert ask("POST", "/devices/gate/users", body) == (
        409,
        {"success": False, "error": "user_id '1001' ya existe."},
    )
    assert ask_in_english("POST", "/devices/gate/users", body)[1]["error"] == "user_id '1001' exists already."
    assert (people(unit)[0][1], unit.disabled) == ("Ana", False)


@pytest.mark.parametrize("missing", ["user_id", "name"])
@pytest.mark.parametrize("blank", [None, "", " "])
def test_user_id_and_name_are_required(
    ask: Ask, ask_in_english: Ask, gate: Device, missing: str, blank: str | None
) -> None:
    body = {"user_id": "7", "name": "Eva", missing: blank}

    assert ask("POST", "/devices/gate/users", body) == (
        400,
        {"success": False, "error": "user_id y name son requeridos."},
    )
    assert ask_in_english("POST", "/devices/gate/users", body)[1]["error"] == "user_id and name are required."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("card", value) for value in ("x", -1, 2**32, 1.5, True, "٣")),
        *(("privilege", value) for value in ("admin", -1, 15, 14.5, False)),
        *(("password", value) for value in ("123456789", [1], {})),
    ],
)
def test_what_no_unit_can_hold_is_a_400_before_it_is_asked(
    ask: Ask, unit: SimulatedTerminal, gate: Device, field: str, value: Any
) -> None:
    for method, path, body in (
        ("POST", "/devices/gate/users", {"user_id": "7", "name": "Eva"}),
        ("PUT", "/devices/gate/users/1001", {}),
    ):
        status, told = ask(method, path, {**body, field: value})
        assert (status, told["success"], told["error"].startswith(f"{field}: ")) == (400, False, True)
    assert not unit.journal


def test_what_this_unit_cant_hold_is_a_400_with_the_reason(ask: Ask, ask_in_english: Ask, gate: Device) -> None:
    body = {"user_id": "7", "name": "Eva", "password": "abc"}

    assert ask("POST", "/devices/gate/users", body) == (
        400,
        {"success": False, "error": "La contraseña de un terminal se teclea en él: se compone de cifras."},
    )
    assert ask_in_english("POST", "/devices/gate/users", body) == (
        400,
        {"success": False, "error": "A terminal's password is typed on its keypad: it is made of digits."},
    )


@pytest.mark.parametrize(
    ("user_id", "spanish", "english"),
    [
        (
            "Ana-1",
            "En este dispositivo los user_id son cifras; 'Ana-1' no puede serlo.",
            "This unit's user ids are digits; 'Ana-1' can't be one.",
        ),
        (
            "1234567890",
            "En este dispositivo los user_id tienen como máximo 9 caracteres; '1234567890' tiene 10.",
            "This unit's user ids have at most 9 characters; '1234567890' has 10.",
        ),
        ("0", "Para un terminal, '0' no es nadie.", "'0' means nobody to a terminal."),
    ],
)
def test_why_this_unit_cant_hold_a_user_id_is_said_in_both_languages(
    ask: Ask, ask_in_english: Ask, gate: Device, user_id: str, spanish: str, english: str
) -> None:
    body = {"user_id": user_id, "name": "Eva"}

    assert ask("POST", "/devices/gate/users", body) == (400, {"success": False, "error": spanish})
    assert ask_in_english("POST", "/devices/gate/users", body)[1]["error"] == english


@pytest.mark.parametrize("error", sorted(every(TerminalError), key=lambda kind: kind.__name__))
def test_every_error_of_a_device_has_a_spanish_sentence(error: type[TerminalError]) -> None:
    said = "10.0.0.9 answers in English."

    with translation.override("es"):
        told = reason(error(said))

    assert (told != "", "English" in told) == (True, False)


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("error", [WrongUnitError, NotAllowedError, StorageError])
def test_what_the_operator_alone_may_know_is_not_said(error: type[TerminalError], language: str) -> None:
    with translation.override(language):
        assert "SECRET0001" not in reason(error("SECRET0001 hangs in 10.0.0.0/8"))


def test_only_what_is_sent_of_a_person_is_changed(
    ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device
) -> None:
    assert ask("PUT", "/devices/gate/users/1001", {"name": "Ana B", "card": 5}) == (
        200,
        {"success": True, "message": "Usuario '1001' actualizado."},
    )
    assert people(unit)[0] == ("1001", "Ana B", 14, "1234", 5)
    changed = {"privilege": 0, "password": ""}
    assert ask_in_english("PUT", "/devices/gate/users/1001/", changed)[1]["message"] == "User '1001' updated."
    assert people(unit)[0] == ("1001", "Ana B", 0, "", 5)


def test_a_person_is_taken_from_the_unit(ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    assert ask("DELETE", "/devices/gate/users/1001") == (
        200,
        {"success": True, "message": "Usuario '1001' eliminado."},
    )
    assert ask_in_english("DELETE", "/devices/gate/users/1002/")[1]["message"] == "User '1002' removed."
    assert (people(unit), unit.templates(), unit.disabled) == ([], (), False)


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("PUT", "", {"name": "Eva"}),
        ("DELETE", "", None),
        ("POST", "/enroll-finger", {}),
        ("GET", "/fingers", None),
    ],
)
def test_a_person_who_is_not_there_is_a_404(
    ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device, method: str, below: str, body: Any
) -> None:
    path = f"/devices/gate/users/99{below}"

    assert ask(method, path, body) == (404, {"success": False, "error": "Usuario '99' no encontrado."})
    assert ask_in_english(method, path, body)[1]["error"] == "User '99' not found."
    assert unit.disabled is False


def test_who_only_sends_no_more_and_is_taken_for_gone_is_told_so() -> None:
    with translation.override("es"):
        assert reason(CallerGoneError()) == "Quien preguntaba ha colgado."


@pytest.mark.parametrize("body", [{"foo": 1}, {"name": None}])
def test_a_change_of_nothing_is_a_400_and_not_in_the_trail(
    ask: Ask, unit: SimulatedTerminal, gate: Device, body: Any
) -> None:
    answer = ask("PUT", "/devices/gate/users/1001", body)

    assert answer == (400, {"success": False, "error": "Body JSON requerido."})
    assert (list(unit.journal), AuditEntry.objects.filter(action__startswith="devices.").count()) == ([], 0)


@pytest.mark.parametrize("body", [None, {}])
def test_a_change_without_a_body_is_a_400(ask: Ask, gate: Device, body: Any) -> None:
    for method, path in (("PUT", "/devices/gate/users/1001"), ("POST", "/devices/gate/users")):
        assert ask(method, path, body) == (400, {"success": False, "error": "Body JSON requerido."})


@pytest.mark.parametrize(
    ("finger", "spanish", "english"),
    [
        (0, "Pulgar derecho", "Right thumb"),
        (1, "Indice derecho", "Right index finger"),
        (2, "Medio derecho", "Right middle finger"),
        (3, "Anular derecho", "Right ring finger"),
        (4, "Menique derecho", "Right little finger"),
        (5, "Pulgar izquierdo", "Left thumb"),
        (6, "Indice izquierdo", "Left index finger"),
        (7, "Medio izquierdo", "Left middle finger"),
        (8, "Anular izquierdo", "Left ring finger"),
        (9, "Menique izquierdo", "Left little finger"),
    ],
)
def test_the_unit_asks_for_the_finger_that_is_to_be_enrolled(
    ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device, finger: int, spanish: str, english: str
) -> None:
    path = "/devices/gate/users/1002/enroll-finger"

    status, told = ask("POST", path, {"finger_index": finger})

    assert (status, told) == (
        200,
        {
            "success": True,
            "message": "Modo enrolamiento activado. El usuario debe poner el dedo 3 veces.",
            "data": {"user_id": "1002", "device_id": "gate", "finger_index": finger, "finger_name": spanish},
        },
    )
    assert list(told["data"]) == ["user_id", "device_id", "finger_index", "finger_name"]
    assert CMD_STARTENROLL in unit.journal[-1].commands
    in_english = ask_in_english("POST", path, {"finger_index": finger})[1]
    assert (in_english["message"], in_english["data"]["finger_name"]) == (
        "Enrolment mode is on. The user must put the finger on the sensor 3 times.",
        english,
    )


@override_settings(BIOMETRIC_CONSENT=True)
def test_a_finger_of_an_employee_who_did_not_agree_is_not_asked_for(
    ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device
) -> None:
    path, body = "/devices/gate/users/1002/enroll-finger", {"finger_index": 3}
    employee = Employee.objects.create(emp_code="1002", first_name="Bob", department_id=1)
    sentence = "La persona no ha dado su consentimiento para la biometría: anótelo antes en su ficha de empleado."
    in_english = "Employee 1002 did not agree to biometrics: note that on the employee first."

    assert ask("POST", path, body) == (409, {"success": False, "error": sentence})
    assert ask_in_english("POST", path, body) == (409, {"success": False, "error": in_english})
    assert CMD_STARTENROLL not in unit.commands()

    Employee.objects.filter(pk=employee.pk).update(biometric_consent=True)
    assert ask("POST", path, body)[0] == 200
    assert ask("POST", "/devices/gate/users/1001/enroll-finger", body)[0] == 200, "of a stranger nobody knows"


@pytest.mark.parametrize("body", [None, {}, {"finger_index": None}])
def test_without_an_index_it_is_the_right_thumb(ask: Ask, gate: Device, body: Any) -> None:
    assert ask("POST", "/devices/gate/users/1002/enroll-finger/", body)[1]["data"]["finger_index"] == 0


@pytest.mark.parametrize("finger", [10, -1, "x", 1.5, True, "", [], "٣"])
def test_a_finger_that_no_hand_has_is_a_400(
    ask: Ask, ask_in_english: Ask, unit: SimulatedTerminal, gate: Device, finger: Any
) -> None:
    path, body = "/devices/gate/users/1002/enroll-finger", {"finger_index": finger}

    assert ask("POST", path, body) == (400, {"success": False, "error": "finger_index debe ser 0-9."})
    assert ask_in_english("POST", path, body)[1]["error"] == "finger_index must be 0-9."
    assert not unit.journal


def test_the_fingers_of_a_person_are_listed_without_templates(ask: Ask, ask_in_english: Ask, gate: Device) -> None:
    status, told = ask("GET", "/devices/gate/users/1001/fingers")

    assert (status, told) == (
        200,
        {
            "success": True,
            "user_id": "1001",
            "name": "Ana",
            "device_id": "gate",
            "total_fingers": 2,
            "data": [
                {"finger_index": 0, "finger_name": "Pulgar derecho", "valid": 1},
                {"finger_index": 6, "finger_name": "Indice izquierdo", "valid": 3},
            ],
        },
    )
    assert list(told) == ["success", "user_id", "name", "device_id", "total_fingers", "data"]
    nobody = ask_in_english("GET", "/devices/gate/users/1002/fingers/")[1]
    assert (nobody["total_fingers"], nobody["data"]) == (0, [])


def test_what_is_written_shows_in_what_the_platform_knows_of_the_terminal(ask: Ask, gate: Device) -> None:
    ask("GET", "/devices/gate/attendance")
    known = Terminal.objects.get(device=gate)
    assert (known.user_count, known.fp_count) == (2, 2)

    ask("POST", "/devices/gate/users", {"user_id": "7", "name": "Eva"})
    known.refresh_from_db()
    assert (known.user_count, known.fp_count) == (3, 2)

    ask("DELETE", "/devices/gate/users/1001")
    known.refresh_from_db()
    assert (known.user_count, known.fp_count) == (2, 0)


def test_a_finger_that_was_enrolled_is_known_as_soon_as_somebody_asks_for_it(
    ask: Ask, unit: SimulatedTerminal, gate: Device
) -> None:
    ask("GET", "/devices/gate/attendance")
    known = Terminal.objects.get(device=gate)
    assert known.fp_count == 2

    ask("POST", "/devices/gate/users/1002/enroll-finger", {"finger_index": 3})
    assert wait_until(lambda: len(unit.templates()) == 3, 10)
    assert ask("GET", "/devices/gate/users/1002/fingers")[1]["total_fingers"] == 1

    known.refresh_from_db()
    assert (known.user_count, known.fp_count) == (2, 3)


def test_a_finger_that_was_enrolled_is_known_within_a_minute_though_nobody_asks(
    ask: Ask, unit: SimulatedTerminal, gate: Device
) -> None:
    ask("GET", "/devices/gate/attendance")
    Device.objects.update(next_poll_at=timezone.now() + timedelta(hours=1))

    ask("POST", "/devices/gate/users/1002/enroll-finger", {"finger_index": 3})

    gate.refresh_from_db()
    assert timedelta(0) < gate.next_poll_at - timezone.now() <= timedelta(minutes=1)
    assert wait_until(lambda: len(unit.templates()) == 3, 10)
    sync_device(gate.pk, trigger=SyncRun.Trigger.SCHEDULE)
    assert Terminal.objects.get(device=gate).fp_count == 3


@pytest.mark.parametrize("what", ["users", "info", "users/1001/fingers"])
def test_what_was_changed_at_the_unit_is_known_as_soon_as_somebody_asks(
    ask: Ask, unit: SimulatedTerminal, gate: Device, what: str
) -> None:
    ask("GET", "/devices/gate/attendance")
    unit.delete_template(1, 6)

    ask("GET", f"/devices/gate/{what}")

    assert Terminal.objects.get(device=gate).fp_count == 1


def test_nothing_is_written_to_another_unit_than_the_known_one(ask: Ask, unit: SimulatedTerminal, gate: Device) -> None:
    gate.terminal = Terminal.objects.create(sn="CKJF201260099", alias="Gate")
    gate.save()

    status, told = ask("POST", "/devices/gate/users", {"user_id": "7", "name": "Eva"})

    assert (status, told["error"]) == (500, WRONG_UNIT)
    assert len(people(unit)) == 2


def test_every_live_change_is_in_the_trail(ask: Ask, gate: Device) -> None:
    ask("POST", "/devices/gate/users", {"user_id": "7", "name": "Eva", "password": "4321"})
    ask("PUT", "/devices/gate/users/7", {"name": "Eve"})
    ask("POST", "/devices/gate/users/7/enroll-finger", {"finger_index": 3})
    ask("DELETE", "/devices/gate/users/7")
    ask("DELETE", "/devices/gate/users/7")

    trail = [(entry.actor, entry.address, entry.action, entry.detail) for entry in AuditEntry.objects.order_by("id")]
    told = {"id": "gate", "user_id": "7"}
    assert trail == [
        ("Admin", "127.0.0.1", "devices.create_user", told),
        ("Admin", "127.0.0.1", "devices.change_user", told),
        ("Admin", "127.0.0.1", "devices.enrol", {**told, "finger": 3}),
        ("Admin", "127.0.0.1", "devices.delete_user", told),
    ]


def test_asking_leaves_no_lease_and_no_run_behind(ask: Ask, gate: Device) -> None:
    for what in ("ping", "info", "time", "users"):
        assert ask("GET", f"/devices/gate/{what}")[0] == 200

    gate.refresh_from_db()
    assert (gate.lease_expires_at, gate.lease_token, SyncRun.objects.count()) == (None, 4, 0)


def test_the_example_is_polled_from_its_first_use_on(ask: Ask, unit: SimulatedTerminal, monkeypatch: Any) -> None:
    monkeypatch.setattr("devices.domain.registry.EXAMPLE_HOST", "127.0.0.1")
    example = Device(key="principal", name="Entrada Principal", host="127.0.0.1", port=unit.port, enabled=False)
    example.comm_key = 4711
    example.save()

    assert ask("GET", "/attendance/all")[1] == {"success": True, "total": 0, "data": [], "errors": {}}
    assert Device.objects.get().enabled is False
    assert ask("GET", "/devices/principal/ping")[0] == 200
    assert Device.objects.get().enabled is True


@pytest.mark.parametrize(("method", "what", "body"), [*LIVE, ("GET", "ping", None)])
def test_a_blocked_terminal_is_not_spoken_to_by_a_device_registered_anew(
    ask: Ask, unit: SimulatedTerminal, gate: Device, method: str, what: str, body: Any
) -> None:
    Terminal.objects.create(sn="CKJF201260077", alias="Gate", admission=Terminal.Admission.BLOCKED)
    before = people(unit)

    status, told = ask(method, f"/devices/gate/{what}", body)

    assert (status, told["error"]) == (503 if what == "ping" else 500, "El terminal está bloqueado.")
    assert people(unit) == before


@pytest.mark.parametrize(("method", "what", "body"), LIVE)
def test_another_unit_than_the_known_one_is_neither_read_nor_changed(
    ask: Ask, unit: SimulatedTerminal, gate: Device, method: str, what: str, body: Any
) -> None:
    Device.objects.update(terminal=Terminal.objects.create(sn="ANOTHER", alias="Gate"))
    before = people(unit)

    status, told = ask(method, f"/devices/gate/{what}", body)

    assert (status, told["success"], people(unit)) == (500, False, before)
    assert told["error"] == WRONG_UNIT


def test_a_change_before_the_first_poll_is_known_of_the_terminal(ask: Ask, gate: Device) -> None:
    terminal = Terminal.objects.create(sn="CKJF201260077", alias="Gate")

    assert ask("POST", "/devices/gate/users", {"user_id": "7", "name": "Eva"})[0] == 200

    terminal.refresh_from_db()
    assert terminal.user_count == 3


def test_no_clock_is_set_while_the_servers_and_the_databases_differ(
    ask_in_english: Ask, unit: SimulatedTerminal, gate: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = timezone.now
    monkeypatch.setattr("devices.domain.clocks.timezone.now", lambda: real() + timedelta(minutes=10))

    _, told = ask_in_english("POST", "/devices/gate/sync-time")

    assert told["error"] == "This server's clock and the database's differ: which is right? Nothing was set."
    assert CMD_SET_TIME not in unit.commands()
