"""What a process serves: everything, or what people and programs ask for, or terminals that dial."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client, override_settings

from tests.zkbio.test_every_url_needs_credentials import PATHS

pytestmark = pytest.mark.django_db
PUSH = "/iclock/cdata?SN=1&options=all"


@pytest.fixture(params=["web", "push"])
def serving(request: pytest.FixtureRequest) -> Iterator[str]:
    with override_settings(SERVE=request.param, ROOT_URLCONF=f"zkbio.{request.param}_urls"):
        yield request.param


def test_terminals_are_answered_where_they_are_served_and_there_only(serving: str) -> None:
    answer = Client().get(PUSH)
    assert answer.status_code == (403 if serving == "push" else 404)
    assert (answer.content == b"This unit is not admitted here.") == (serving == "push")


def test_where_terminals_are_served_nothing_else_exists() -> None:
    with override_settings(SERVE="push", ROOT_URLCONF="zkbio.push_urls"):
        found = {path: Client().get(path).status_code for path in PATHS if not path.startswith("/iclock/1")}
    assert len(found) > 50
    assert {path: status for path, status in found.items() if status != 404} == {}


def test_people_are_served_all_the_same_where_terminals_are_not() -> None:
    with override_settings(SERVE="web", ROOT_URLCONF="zkbio.web_urls"):
        assert Client().get("/admin/login/").status_code == 200
