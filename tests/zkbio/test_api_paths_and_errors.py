"""Odd paths, odd queries, odd Accept headers, and a database that is away."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client

from iclock.models import Terminal
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db
TERMINALS = "/iclock/api/terminals/"


@pytest.fixture
def client() -> Client:
    user = User.objects.create_superuser("admin")
    return Client(headers={"Authorization": f"Token {issue_token(user)}"}, raise_request_exception=False)


@pytest.mark.parametrize("path", ["//iclock/api/terminals/", "/iclock//api///terminals//"])
def test_doubled_slashes_are_single_ones_without_a_redirect(path: str, client: Client) -> None:
    assert client.get(f"http://testserver{path}").status_code == 200


def test_links_on_a_doubled_path_are_clean(client: Client) -> None:
    Terminal.objects.bulk_create([Terminal(sn=str(number), alias="x") for number in range(2)])

    answer = client.get(f"http://testserver/{TERMINALS}?page_size=1").json()

    assert answer["next"] == "http://testserver/iclock/api/terminals/?page=2&page_size=1"


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml", "*/*", "nonsense", "text/html,application/xhtml+xml;q=0.9"]
)
def test_the_api_speaks_json_whatever_accept_says(accept: str, client: Client) -> None:
    response = client.get(TERMINALS, headers={"Accept": accept})

    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("query", ["sn=%00", "sn=a%FFb", "sn=%C3", "page=%00", "ordering=%00id", "search=%ff"])
@pytest.mark.parametrize("path", [TERMINALS, "/iclock/api/transactions/"])
def test_a_parameter_that_is_no_text_is_refused_by_name(path: str, query: str, client: Client) -> None:
    response = client.get(f"{path}?{query}")

    name = query.partition("=")[0]
    assert response.status_code == 400
    assert response.json() == {name: ["This parameter is not UTF-8 text, or holds a NUL byte."]}


def test_a_parameter_whose_name_is_no_text_is_refused_too(client: Client) -> None:
    assert client.get(f"{TERMINALS}?%00a=1").json() == {
        "?00a": ["This parameter is not UTF-8 text, or holds a NUL byte."]
    }


@pytest.mark.parametrize("path", ["/nothing", "/iclock/api/nothing/", "/api/", "/personnel/api/none/1/"])
def test_an_unknown_path_is_a_page_for_browsers(path: str) -> None:
    response = Client().get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "Page not found" in response.content.decode()


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/plain, */*;q=0.1", "text/html;q=0.5,application/json"]
)
def test_an_unknown_path_is_json_where_accept_prefers_it(accept: str) -> None:
    response = Client().get("/no/such/path", headers={"Accept": accept})

    assert (response.status_code, response.json()) == (404, {"detail": "Not found."})


def test_soft_404_answers_200_with_a_page_that_says_so(settings: Any) -> None:
    settings.ZKBIO_SOFT_404 = True

    response = Client().get("/no/such/path")

    assert (response.status_code, "Page not found" in response.content.decode()) == (200, True)


def test_soft_404_leaves_an_unknown_id_alone(settings: Any, client: Client) -> None:
    settings.ZKBIO_SOFT_404 = True

    assert client.get(f"{TERMINALS}7/").status_code == 404


def test_a_database_that_is_away_is_a_503_in_a_sentence(client: Client) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError('connection to server on socket "/secret/path" failed')

    with connection.execute_wrapper(away):
        response = client.get(TERMINALS)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert response.json() == {
        "detail": "The database doesn't answer at the moment. Nothing was changed; please try again."
    }


def test_a_defect_is_a_500_without_a_traceback(client: Client) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("inner secret")

    with connection.execute_wrapper(broken):
        response = client.get(TERMINALS)

    assert (response.status_code, response.json()) == (
        500,
        {"detail": "Something went wrong here; the server's log says what."},
    )


@pytest.mark.parametrize(
    ("language", "detail"), [("es", "No encontrado."), ("es-MX,en;q=0.5", "No encontrado."), ("de", "Not found.")]
)
def test_errors_follow_accept_language(language: str, detail: str, client: Client) -> None:
    response = client.get(f"{TERMINALS}7/", headers={"Accept-Language": language})

    assert (response.status_code, response.json()) == (404, {"detail": detail})


def test_our_own_sentences_follow_accept_language_too(client: Client) -> None:
    response = client.get(f"{TERMINALS}?sn=%00", headers={"Accept-Language": "es"})

    assert response.json() == {"sn": ["Este parámetro no es texto UTF-8 o contiene un byte NUL."]}


def test_links_follow_the_proxy_only_when_it_is_trusted(client: Client, settings: Any) -> None:
    Terminal.objects.bulk_create([Terminal(sn=str(number), alias="x") for number in range(2)])
    settings.ALLOWED_HOSTS = ["testserver", "hr.example"]
    forwarded = {"X-Forwarded-Host": "hr.example", "X-Forwarded-Proto": "https"}
    distrusted = client.get(TERMINALS, {"limit": 1}, headers=forwarded).json()["next"]
    settings.USE_X_FORWARDED_HOST = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    trusted = client.get(TERMINALS, {"limit": 1}, headers=forwarded).json()["next"]

    assert (distrusted, trusted) == (
        f"http://testserver{TERMINALS}?limit=1&page=2",
        f"https://hr.example{TERMINALS}?limit=1&page=2",
    )


def test_a_foreign_host_name_is_refused(client: Client) -> None:
    assert client.get(TERMINALS, headers={"Host": "evil.example"}).status_code == 400


MANY = "&".join(["a=1"] * 1001)


@pytest.mark.parametrize("path", [TERMINALS, "/iclock/api/transactions/"])
def test_more_parameters_than_anybody_needs_are_a_400_in_json(path: str, client: Client) -> None:
    response = client.get(f"{path}?{MANY}")

    assert (response.status_code, list(response.json())) == (400, ["detail"])


def test_more_parameters_than_anybody_needs_are_a_400_on_a_page(client: Client) -> None:
    response = client.get(f"/admin/login/?{MANY}")

    assert (response.status_code, "Bad request" in response.text) == (400, True)


def test_a_foreign_host_name_is_refused_in_json(client: Client) -> None:
    assert list(client.get(TERMINALS, headers={"Host": "evil.example"}).json()) == ["detail"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YWRtaW46eA=="}])
def test_an_origin_that_is_no_address_is_a_401(headers: dict[str, str]) -> None:
    assert Client().get(TERMINALS, headers={"Origin": "http://[", **headers}).status_code == 401
