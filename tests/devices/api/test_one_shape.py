"""Whatever goes wrong below these paths, wherever it is refused: one shape, in one of two languages, never a page."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpResponseBase
from django.test import Client

from devices.domain.registry import register_device
from devices.models import Device
from devices.simulator import SimulatedTerminal
from tests.devices.api.conftest import Ask, answered, asker
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db
ACCEPTS = ["*/*", "", "application/json", "application/json;q=0.5, text/html", "application/*", "text/html", "nonsense"]
UNREADABLE = "Este parámetro no es texto UTF-8 o contiene un byte NUL."


@pytest.fixture
def client(admin: User) -> Client:
    return Client(headers={"Authorization": f"Token {issue_token(admin)}"}, raise_request_exception=False)


def failed(error: str) -> dict[str, Any]:
    return {"success": False, "error": error}


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("path", ["/devices/x/nothing", "/devices/x/users/1/nothing/", "/attendance", "/attendance/x"])
def test_an_unknown_path_is_a_404_in_the_shape(client: Client, settings: Any, path: str, accept: str) -> None:
    settings.ZKBIO_SOFT_404 = True
    response = client.get(path, headers={"Accept": accept})

    assert answered(response) == (404, failed("No encontrado."))
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/devicesx", "/attendances/all", "/api/devices/x", "/personnel/api/devices/"])
def test_the_neighbours_of_these_paths_keep_their_shape(client: Client, path: str) -> None:
    assert answered(client.get(path, headers={"Accept": "application/json"})) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("accept", ACCEPTS)
def test_no_accept_brings_a_page_or_a_406(client: Client, accept: str) -> None:
    told = client.get("/devices", headers={"Accept": accept})

    assert answered(told) == (200, {"success": True, "total": 0, "data": []})
    assert answered(client.get("/devices/x", headers={"Accept": accept}))[0] == 404


@pytest.mark.parametrize("path", ["/devices", "/devices/x/nothing", "/attendance/all", "/attendance/nothing", "/"])
@pytest.mark.parametrize(("query", "name"), [("user_id=%00", "user_id"), ("date=%ff", "date")])
def test_a_query_that_is_no_text_is_refused_in_the_shape(client: Client, path: str, query: str, name: str) -> None:
    assert answered(client.get(f"{path}?{query}")) == (400, failed(f"{name}: {UNREADABLE}"))


@pytest.mark.parametrize(
    ("environ", "status", "error"),
    [
        (
            {"CONTENT_LENGTH": "99999999"},
            413,
            "El cuerpo es demasiado grande: aquí se leen como máximo 20971520 bytes.",
        ),
        (
            {"HTTP_TRANSFER_ENCODING": "chunked"},
            411,
            "Envíe el cuerpo con su longitud; no se leen cuerpos por fragmentos.",
        ),
        ({"CONTENT_LENGTH": "x"}, 400, "La longitud del cuerpo no es un número."),
    ],
)
def test_a_body_that_is_not_read_is_refused_in_the_shape(
    client: Client, environ: dict[str, Any], status: int, error: str
) -> None:
    assert answered(client.post("/devices", **environ)) == (status, failed(error))


def test_more_parameters_than_anybody_needs_are_refused_in_the_shape(client: Client) -> None:
    status, told = answered(client.get(f"/attendance/all?{'&'.join(['a=1'] * 1001)}"))

    assert (status, sorted(told), told["success"]) == (400, ["error", "success"], False)


@pytest.mark.parametrize("path", ["/devices", "/devices/x", "/attendance/all", "/"])
def test_a_defect_is_a_500_in_the_shape(client: Client, path: str) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("inner secret")

    with connection.execute_wrapper(broken):
        answer = answered(client.get(path))

    assert answer == (500, failed("Algo ha fallado aquí; el registro del servidor dice qué."))


def test_a_database_that_is_away_is_a_503_in_the_shape(client: Client) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("connection failed")

    with connection.execute_wrapper(away):
        status, told = answered(client.get("/devices"))

    assert (status, told) == (
        503,
        failed("La base de datos no responde en este momento. No se ha cambiado nada; vuelva a intentarlo."),
    )


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "BREW", "DELETE"])
def test_a_method_that_there_isnt_is_a_405_in_the_shape(ask: Ask, method: str) -> None:
    assert ask(method, "/attendance/all") == (405, failed(f'Método "{method}" no permitido.'))


@pytest.mark.parametrize(
    ("language", "error"),
    [
        *(
            (language, "Dispositivo 'x' no encontrado.")
            for language in ("", "*", "es-MX", "ES", "fr", "fr-CA,de;q=0.2")
        ),
        *(
            (language, "Dispositivo 'x' no encontrado.")
            for language in ("es,en;q=0.5", "en;q=0", "fr,*;q=0.1", "e n;;")
        ),
        *((language, "Device 'x' not found.") for language in ("en", "en-GB;q=0.8", "EN-us", "fr, en;q=0.1", "en,*")),
    ],
)
def test_spanish_is_the_language_of_who_prefers_no_english(admin: User, language: str, error: str) -> None:
    ask = asker(admin, **{"Accept-Language": language})

    assert ask("GET", "/devices/x")[1]["error"] == error


@pytest.mark.parametrize(("asked", "language"), [("fr", "es"), ("en-GB", "en")])
def test_the_answer_names_its_language(client: Client, asked: str, language: str) -> None:
    response = client.get("/devices/x", headers={"Accept-Language": asked})

    assert (response.headers["Content-Language"], response.headers["Vary"]) == (language, "Accept-Language")


@pytest.mark.parametrize(
    "path",
    [
        *("/attendance/all", "/attendance/all?source=database", "/devices/gate/attendance", "/devices/gate/ping"),
        *("/devices/gate/info", "/devices/gate/time", "/devices/gate/users", "/devices/gate/users/1001/fingers/"),
    ],
)
def test_a_head_asks_nothing_of_a_terminal(client: Client, unit: SimulatedTerminal, device: Device, path: str) -> None:
    response = client.head(path)

    assert (response.status_code, "HEAD" in response.headers["Allow"]) == (405, False)
    assert not unit.journal


@pytest.mark.parametrize("path", ["/devices", "/devices/gate", "/"])
def test_a_head_of_the_registry_is_answered_as_the_get(client: Client, path: str) -> None:
    register_device(key="gate", name="Gate", host="10.0.0.5")

    response: HttpResponseBase = client.head(path)

    assert (response.status_code, response.getvalue()) == (200, b"")
