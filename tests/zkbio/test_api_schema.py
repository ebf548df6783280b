"""The schema and its page: public, complete, without warnings and without the internet."""

from __future__ import annotations

import re

import pytest
import yaml
from django.core.management import call_command
from django.test import Client


def test_the_schema_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")

    assert capsys.readouterr().err == ""


def test_it_names_every_path_and_filter_that_is_served() -> None:
    schema = yaml.safe_load(Client().get("/api/schema/").content)

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
    assert sorted(schema["paths"]) == [
        "/api-token-auth/",
        "/iclock/api/terminals/",
        "/iclock/api/terminals/{id}/",
        "/iclock/api/transactions/",
        "/iclock/api/transactions/{id}/",
    ]


def test_its_page_loads_nothing_from_elsewhere() -> None:
    page = Client().get("/api/docs/").content.decode()

    assert "ZKBio Time API DOCS" in page
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']+""", page) == []
