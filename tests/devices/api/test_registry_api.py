"""``/devices``: every row of the contract about the registry, and every error of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import close_old_connections, connection
from django.test import Client
from django.utils import timezone

from devices.domain.registry import register_device
from devices.models import Device
from devices.signals import devices_changed
from tests.devices.api.conftest import Ask, answered, asker
from zkbio.accounts.models import AuditEntry, User
from zkbio.api.renderers import naive_text

pytestmark = pytest.mark.django_db
GATE: dict[str, Any] = {"id": " Main Gate ", "name": " Main gate ", "ip": "10.0.0.5", "password": 123456}
ODD = [
    *("127.1", "0x7f000001", "017700000001", "2130706433", "::ffff:127.0.0.1", "[::]", "::", "localhost", "zk.example"),
    *("127.0.0.1;id", "$(id)", "127.0.0.1|id", "127.0.0.1\n", "127.0.0.1\0", "\uff11\uff12\uff17.0.0.1", "١٢٧.0.0.1"),
    *("169.254.169.254", "224.0.0.1", "0.0.0.0", "127.0.0.1.", "127.0.0.1 ", " 127.0.0.1", "8.8.8.8"),
    *(2130706433, True, ["127.0.0.1"], {"ip": "127.0.0.1"}),
]


@pytest.fixture
def gate() -> Device:
    return register_device(key="gate", name="Gate", host="10.0.0.5", comm_key=4711)


def kept(device: Device) -> dict[str, Any]:
    return {
        "ip": device.host,
        "port": device.port,
        "timeout": device.timeout,
        "name": device.name,
        "created_at": naive_text(device.created_at),
    }


def test_the_root_tells_programs_what_it_is(ask: Ask, gate: Device) -> None:
    status, told = ask("GET", "/")

    assert status == 200
    assert list(told) == ["status", "timestamp", "total_dispositivos", "dispositivos"]
    assert told["timestamp"] <= naive_text(timezone.now())
    assert (told["status"], told["total_dispositivos"]) == ("online", 1)
    assert told["dispositivos"] == {"gate": {"ip": "10.0.0.5", "name": "Gate"}}


def test_the_root_leads_a_browser_to_the_web_page() -> None:
    answer = Client().get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/html", 302), ("TEXT/HTML", 302), ("text/html;q=0, application/json", 401), ("application/json", 401)],
)
def test_what_the_root_answers_depends_on_what_is_accepted(accept: str, status: int) -> None:
    answer = Client().get("/", headers={"Accept": accept})

    assert (answer.status_code, "Accept" in answer.headers["Vary"].split(", ")) == (status, True)


def test_an_unknown_id_is_quoted_as_far_as_anybody_reads(ask: Ask) -> None:
    status, told = ask("GET", f"/devices/{'x' * 8_000}")

    assert (status, len(told["error"])) == (404, 501)


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_the_root_tells_a_stranger_nothing(accept: str) -> None:
    status, told = answered(Client().get("/", headers={"Accept": accept}))

    assert (status, list(told), told["success"]) == (401, ["success", "error"], False)


@pytest.mark.parametrize("path", ["/devices", "/devices/"])
def test_all_devices_are_listed_in_the_order_of_their_registration(ask: Ask, gate: Device, path: str) -> None:
    door = register_device(key="a_door", name="Ä door", host="10.0.0.6", port=4371)

    assert ask("GET", path) == (
        200,
        {
            "success": True,
            "total": 2,
            "data": [
                {"id": d.key, "name": d.name, "ip": d.host, "port": d.port, "created_at": naive_text(d.created_at)}
                for d in (gate, door)
            ],
        },
    )


def test_keys_stand_in_the_order_of_the_contract(ask: Ask, gate: Device) -> None:
    assert list(ask("GET", "/devices")[1]["data"][0]) == ["id", "name", "ip", "port", "created_at"]
    assert list(ask("GET", "/devices/gate")[1]["data"]) == ["id", "ip", "port", "timeout", "name", "created_at"]
    assert list(ask("POST", "/devices", {**GATE, "ip": "10.0.0.9"})[1]["data"]) == [
        *("ip", "port", "timeout", "name", "created_at"),
    ]
    assert list(ask("PUT", "/devices/gate", {"name": "Other"})[1]["data"]) == [
        *("ip", "port", "timeout", "name", "created_at", "updated_at"),
    ]


def test_json_is_not_escaped(ask: Ask) -> None:
    register_device(key="gate", name="Peñón 門", host="10.0.0.5")
    client = Client(headers={"Authorization": "Basic QWRtaW46YWRtaW4xMjM="})

    assert '"name":"Peñón 門"'.encode() in client.get("/devices").content


@pytest.mark.parametrize("path", ["/devices", "/devices/"])
def test_a_device_is_registered_under_its_id_in_small_letters(ask: Ask, path: str) -> None:
    status, told = ask("POST", path, GATE)

    device = Device.objects.get()
    assert (status, told) == (
        200,
        {"success": True, "message": "Dispositivo 'main_gate' registrado.", "data": kept(device)},
    )
    assert (device.key, device.name, device.host, device.port) == ("main_gate", "Main gate", "10.0.0.5", 4370)
    assert (device.timeout, device.comm_key, device.enabled) == (5, 123456, True)


def test_registering_answers_in_english_when_asked(ask_in_english: Ask) -> None:
    assert ask_in_english("POST", "/devices", GATE)[1]["message"] == "Device 'main_gate' registered."


def test_numbers_may_be_written_as_text(ask: Ask) -> None:
    status, _told = ask("POST", "/devices", {**GATE, "port": "4371", "timeout": "7", "password": "0099"})

    device = Device.objects.get()
    assert (status, device.port, device.timeout, device.comm_key) == (200, 4371, 7, 99)


def test_a_body_is_read_whatever_its_content_type_says(admin: User) -> None:
    client = Client(headers={"Authorization": "Basic QWRtaW46YWRtaW4xMjM="})
    body = b'{"id": "gate", "name": "Gate", "ip": "10.0.0.5"}'

    for number, kind in enumerate(["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]):
        sent = body.replace(b"gate", b"gate%d" % number).replace(b"0.5", b"0.%d" % number)
        assert answered(client.generic("POST", "/devices", sent, content_type=kind))[0] == 200


@pytest.mark.parametrize("body", [None, {}, [], [1], "text", 7, True])
@pytest.mark.parametrize(("method", "path"), [("POST", "/devices"), ("PUT", "/devices/gate")])
def test_without_a_body_nothing_is_done(ask: Ask, gate: Device, method: str, path: str, body: Any) -> None:
    assert ask(method, path, body) == (400, {"success": False, "error": "Body JSON requerido."})


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"id": "\xff"}', b"null", b"id=gate&name=x&ip=10.0.0.5"])
def test_a_body_that_is_no_json_counts_as_none(admin: User, body: bytes) -> None:
    client = Client(headers={"Authorization": "Basic QWRtaW46YWRtaW4xMjM=", "Accept-Language": "en"})

    assert answered(client.generic("POST", "/devices", body)) == (
        400,
        {"success": False, "error": "JSON body required."},
    )


@pytest.mark.parametrize("missing", ["id", "name", "ip"])
@pytest.mark.parametrize("blank", [None, "", "  "])
def test_id_name_and_ip_are_required(ask: Ask, ask_in_english: Ask, missing: str, blank: str | None) -> None:
    body = {**GATE, missing: blank}

    assert ask("POST", "/devices", body) == (400, {"success": False, "error": "id, name e ip son requeridos."})
    assert ask_in_english("POST", "/devices", body)[1]["error"] == "id, name and ip are required."


def test_an_id_that_is_taken_is_refused(ask: Ask, ask_in_english: Ask, gate: Device) -> None:
    for body in ({**GATE, "id": "GATE"}, {**GATE, "id": "gate", "ip": "10.0.0.6"}):
        assert ask("POST", "/devices", body) == (409, {"success": False, "error": "El id 'gate' ya existe."})
        assert ask_in_english("POST", "/devices", body)[1]["error"] == "The id 'gate' exists already."


def test_an_address_that_is_taken_is_refused(ask: Ask, ask_in_english: Ask, gate: Device) -> None:
    register_device(key="door", name="Door", host="10.0.0.6")
    error = "10.0.0.5, puerto 4370, ya está registrado con el id 'gate'."

    assert ask("POST", "/devices", GATE) == (409, {"success": False, "error": error})
    assert ask("PUT", "/devices/door", {"ip": "10.0.0.5"}) == (409, {"success": False, "error": error})
    assert ask_in_english("POST", "/devices", GATE)[1]["error"] == (
        "10.0.0.5 port 4370 is registered already, with the id 'gate'."
    )
    assert Device.objects.get(key="door").host == "10.0.0.6"


@pytest.mark.parametrize("ip", ODD)
def test_an_odd_address_is_a_400_and_changes_nothing(ask: Ask, gate: Device, ip: Any) -> None:
    posted, put = ask("POST", "/devices", {**GATE, "ip": ip}), ask("PUT", "/devices/gate", {"ip": ip})

    for status, told in (posted, put):
        assert (status, list(told), told["success"]) == (400, ["success", "error"], False)
        assert told["error"].startswith("ip: ")
    assert list(Device.objects.values_list("host", flat=True)) == ["10.0.0.5"]


def test_why_an_address_is_refused_is_said_in_both_languages(ask: Ask, ask_in_english: Ask) -> None:
    body = {**GATE, "ip": "169.254.169.254"}

    assert ask("POST", "/devices", body)[1]["error"] == (
        "ip: 169.254.169.254 es una dirección de enlace local y nunca se conecta con ella;"
        " escriba la dirección del propio terminal."
    )
    assert ask_in_english("POST", "/devices", body)[1]["error"] == (
        "ip: 169.254.169.254 is a link-local address and never dialled; write the terminal's own address."
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("port", value)
            for value in ("abc", "", 0, 65_536, -1, 4370.5, True, "٤٣٧٠", "4_370", " 4370", [], {}, 2**63)
        ),
        *(("timeout", value) for value in ("x", 0, 61, 1.5, "1e1", False)),
        *(("password", value) for value in ("secret", -1, 2**32, True, [1])),
        *(("name", value) for value in ("x" * 101, ["Gate"], {}, True, "a\0b")),
    ],
)
def test_what_cannot_be_is_a_400_that_names_the_field(ask: Ask, gate: Device, field: str, value: Any) -> None:
    body = {"id": "other", "name": "Other", "ip": "10.0.0.9"}
    posted, put = ask("POST", "/devices", {**body, field: value}), ask("PUT", "/devices/gate", {field: value})

    for status, told in (posted, put):
        assert (status, told["success"], told["error"].startswith(f"{field}: ")) == (400, False, True)
    assert Device.objects.get().name == "Gate"


@pytest.mark.parametrize("key", ["a/b", "x" * 51, "ñ", "a.b", "../etc", "a\0b", True, ["gate"]])
def test_an_id_that_no_path_could_hold_is_a_400(ask: Ask, key: Any) -> None:
    status, told = ask("POST", "/devices", {**GATE, "id": key})

    assert (status, told["success"], told["error"].startswith("id: ")) == (400, False, True)


def test_one_device_is_told_without_its_password(ask: Ask, gate: Device) -> None:
    for path in ("/devices/gate", "/devices/gate/"):
        assert ask("GET", path) == (200, {"success": True, "data": {"id": "gate", **kept(gate)}})


def test_only_what_is_sent_is_changed(ask: Ask, ask_in_english: Ask, gate: Device) -> None:
    status, told = ask("PUT", "/devices/gate", {"name": "Front gate", "port": None})

    gate.refresh_from_db()
    updated = {**kept(gate), "updated_at": naive_text(gate.updated_at)}
    assert (status, told) == (
        200,
        {"success": True, "message": "Dispositivo 'gate' actualizado.", "data": updated},
    )
    assert (gate.name, gate.host, gate.port, gate.timeout, gate.comm_key) == ("Front gate", "10.0.0.5", 4370, 5, 4711)
    assert ask("GET", "/devices/gate")[1]["data"] == {"id": "gate", **updated}
    assert ask_in_english("PUT", "/devices/gate", {"password": 0})[1]["message"] == "Device 'gate' updated."
    gate.refresh_from_db()
    assert gate.comm_key_sealed is None


def test_a_mended_device_is_read_at_once(ask: Ask, gate: Device) -> None:
    Device.objects.update(next_poll_at="2099-01-01T00:00:00Z")

    ask("PUT", "/devices/gate", {"ip": "10.0.0.7"})

    gate.refresh_from_db()
    assert (gate.host, gate.next_poll_at <= timezone.now()) == ("10.0.0.7", True)


def test_a_device_that_is_not_polled_stays_so_when_it_is_edited(ask: Ask, gate: Device) -> None:
    Device.objects.update(enabled=False)

    ask("PUT", "/devices/gate", {"ip": "10.0.0.7"})

    gate.refresh_from_db()
    assert gate.enabled is False


def test_the_example_is_polled_from_its_first_edit_on(ask: Ask, settings: Any) -> None:
    Device.objects.create(key="principal", name="Entrada Principal", host="192.168.1.205", enabled=False)

    ask("PUT", "/devices/principal", {"ip": "10.0.0.7"})

    assert Device.objects.get().enabled is True


def test_a_removed_device_is_gone(ask: Ask, ask_in_english: Ask, gate: Device) -> None:
    register_device(key="door", name="Door", host="10.0.0.6")

    assert ask("DELETE", "/devices/gate") == (200, {"success": True, "message": "Dispositivo 'gate' eliminado."})
    assert ask_in_english("DELETE", "/devices/door")[1]["message"] == "Device 'door' removed."
    assert not Device.objects.exists()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, "/devices/{id}") for method in ("GET", "PUT", "DELETE")),
        *(("GET", f"/devices/{{id}}/{what}") for what in ("ping", "info", "time", "attendance", "users")),
        *(("POST", f"/devices/{{id}}/{what}") for what in ("sync-time", "users")),
        *((method, "/devices/{id}/users/1") for method in ("PUT", "DELETE")),
        ("POST", "/devices/{id}/users/1/enroll-finger"),
        ("GET", "/devices/{id}/users/1/fingers"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_an_unknown_device_is_a_404_that_names_those_there_are(
    ask: Ask, ask_in_english: Ask, gate: Device, method: str, path: str, slash: str
) -> None:
    register_device(key="a_door", name="Door", host="10.0.0.6")
    where = path.format(id="Gate") + slash
    ids = ["gate", "a_door"]

    told = {"success": False, "error": "Dispositivo 'Gate' no encontrado.", "disponibles": ids}
    assert ask(method, where) == (404, told)
    assert list(ask(method, where)[1]) == ["success", "error", "disponibles"]
    assert ask_in_english(method, where)[1] == {**told, "error": "Device 'Gate' not found."}


@pytest.mark.parametrize("language", ["es", "es-MX,es;q=0.9,en;q=0.8", "*", ""])
def test_spanish_is_what_who_asks_for_nothing_else_gets(admin: User, language: str) -> None:
    ask = asker(admin, **{"Accept-Language": language})

    assert ask("GET", "/devices/x")[1]["error"] == "Dispositivo 'x' no encontrado."


def test_a_method_that_a_path_doesnt_have_is_a_405_in_the_same_shape(ask_in_english: Ask) -> None:
    assert ask_in_english("PATCH", "/devices") == (405, {"success": False, "error": 'Method "PATCH" not allowed.'})


def test_every_change_of_the_registry_is_in_the_trail(ask: Ask) -> None:
    ask("POST", "/devices", GATE)
    ask("PUT", "/devices/main_gate", {"password": 99, "name": "Gate"})
    ask("DELETE", "/devices/main_gate")

    trail = [(entry.actor, entry.action, entry.detail) for entry in AuditEntry.objects.order_by("id")]
    assert trail == [
        ("Admin", "devices.register", {"id": "main_gate"}),
        ("Admin", "devices.change", {"changed": ["comm_key", "name"]}),
        ("Admin", "devices.remove", {"id": "main_gate"}),
    ]


@pytest.mark.django_db(transaction=True)
def test_every_change_of_the_registry_is_told_after_its_commit(ask: Ask) -> None:
    seen: list[list[str]] = []

    def look(**_news: Any) -> None:
        seen.append(list(Device.objects.values_list("name", flat=True)))

    devices_changed.connect(look)
    try:
        ask("POST", "/devices", GATE)
        ask("POST", "/devices", GATE)
        ask("PUT", "/devices/main_gate", {"name": "Gate"})
        ask("DELETE", "/devices/main_gate")
    finally:
        devices_changed.disconnect(look)

    assert seen == [["Main gate"], ["Gate"], []]


@pytest.mark.django_db(transaction=True)
def test_of_two_edits_at_once_none_is_lost(ask: Ask, gate: Device) -> None:
    start = threading.Barrier(2)
    changes = [{"name": "Front gate"}, {"timeout": 9}]

    def edit(change: dict[str, Any]) -> None:
        start.wait(timeout=20)
        for _ in range(10):
            ask("PUT", "/devices/gate", change)
        connection.close()

    threads = [threading.Thread(target=edit, args=[change]) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    close_old_connections()
    gate.refresh_from_db()
    assert (gate.name, gate.timeout) == ("Front gate", 9)


@pytest.mark.parametrize("below", ["", "/ping", "/info", "/users", "/attendance"])
def test_an_id_that_no_database_holds_is_unknown(ask: Ask, below: str) -> None:
    assert ask("GET", f"/devices/%00{below}")[0] == 404


def test_a_name_is_one_readable_line(ask: Ask) -> None:
    body = {"id": "door", "name": "a\u202eb", "ip": "10.0.0.9"}

    assert ask("POST", "/devices", body)[0] == 400


@pytest.mark.parametrize("body", [{"id": "new"}, {"ip": None}, {"colour": "red"}])
def test_a_change_of_nothing_is_refused_and_not_noted(ask: Ask, gate: Device, body: dict[str, Any]) -> None:
    edited = Device.objects.get().updated_at

    assert ask("PUT", "/devices/gate", body) == (400, {"success": False, "error": "Body JSON requerido."})
    assert Device.objects.get().updated_at == edited
    assert not AuditEntry.objects.filter(action="devices.change").exists()
