"""The schema: public, complete, without warnings; every error that any operation may answer is declared."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def schema() -> Any:
    return Client().get("/api/schema/").json()


def operations(schema: Any) -> list[tuple[str, str, Any]]:
    return [
        (path, method, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_the_schema_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")

    assert capsys.readouterr().err == ""


def test_it_is_openapi_3_and_public(schema: Any) -> None:
    assert schema["openapi"].startswith("3.")
    assert schema["info"]["title"] == "ZKBio Time API DOCS"


def test_it_names_every_filter_of_a_list(schema: Any) -> None:
    listing = schema["paths"]["/iclock/api/transactions/"]["get"]

    assert sorted(parameter["name"] for parameter in listing["parameters"]) == [
        "emp_code",
        "end_time",
        "limit",
        "ordering",
        "page",
        "page_size",
        "since_id",
        "start_time",
        "terminal_alias",
        "terminal_sn",
    ]


def test_operations_are_called_by_resource_and_action(schema: Any) -> None:
    called = [operation["operationId"] for *_, operation in operations(schema)]

    assert {"transactions-list", "transactions-read", "terminals-list", "terminals-read"} - set(called) == set()
    assert len(called) == len(set(called))


def test_every_operation_declares_the_errors_that_any_may_answer(schema: Any) -> None:
    for path, method, operation in operations(schema):
        errors = {"400", "429", "503"}
        if "/api/" in path:
            errors |= {"401", "403", "404"}
        if method in {"post", "put", "patch"}:
            errors |= {"411", "413", "415"}
        assert errors - set(operation["responses"]) == set(), (method, path)


def test_a_list_is_described_in_the_envelope(schema: Any) -> None:
    answer = schema["paths"]["/iclock/api/terminals/"]["get"]["responses"]["200"]
    name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]

    envelope = schema["components"]["schemas"][name]
    assert list(envelope["properties"]) == ["count", "next", "previous", "msg", "code", "results", "data"]
    assert "results" not in envelope["required"]
