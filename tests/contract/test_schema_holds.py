"""Requests made from the schema, sound ones and broken ones: no defect, and no answer that the schema doesn't tell of.

That loose input is refused isn't asked for: reading it is the contract. The same requests are made at every run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.hashers import make_password
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckFunction, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from personnel.models import Employee
from tests.contract.resources import RESOURCES
from zkbio.accounts.domain.signed_tokens import issue_signed_token
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.wsgi import application

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ROWS = 3

config = SchemathesisConfig()
config.projects.default.generation.update(
    modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE], deterministic=True, database="none"
)
config.projects.default.phases.update(phases=["fuzzing"])
schema = schemathesis.openapi.from_wsgi("/api/schema/", application, config=config)
few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _one_connection(db: None) -> Iterator[None]:
    """The test's transaction lives in it: as Django's own test client does, no request may close it."""
    doors = (request_started, request_finished)
    for door in doors:
        door.disconnect(close_old_connections)
    yield
    for door in doors:
        door.connect(close_old_connections)


@pytest.fixture
def token(db: None, settings: Any, tmp_path: Path) -> str:
    settings.MEDIA_ROOT = tmp_path
    return issue_token(User.objects.create_superuser("Admin", password="admin123"))


@pytest.fixture
def existing(db: None) -> dict[str, int]:
    """The id of one row of each resource; one of the people logs in as the administrator does."""
    Employee.objects.create(emp_code="Admin", department_id=1, self_password=make_password("admin123"))
    return {resource.path: resource.rows(ROWS)[0] for resource in RESOURCES.values()}


@pytest.fixture(scope="module")
def asked() -> Iterator[dict[str, set[int]]]:
    """Which answers each operation gave about rows that exist: without a good one, little was tested."""
    answers: dict[str, set[int]] = defaultdict(set)
    yield answers
    assert [name for name, statuses in answers.items() if statuses and min(statuses) >= 300] == []


def ask(case: Case, token: str) -> int:
    answer = case.call_and_validate(headers={"Authorization": f"Token {token}"}, checks=CHECKS)
    assert not connection.needs_rollback
    return answer.status_code


def named(existing: dict[str, int]) -> dict[str, Any]:
    """What bodies name, and what is there by that name."""
    person, unit = existing["/personnel/api/employees/"], existing["/iclock/api/terminals/"]
    parents = dict.fromkeys(("parent_dept", "parent_area", "parent_position"), 1)
    people = {"department": 1, "position": 1, "area": [1], "areas": [1], "employee": person, "employees": [person]}
    resigned = {"resigns": [existing["/personnel/api/resigns/"]]}
    units = {"terminals": [unit], "ip_address": "10.1.2.3", "terminal_tz": 8}
    login = {"username": "Admin", "password": "admin123", "token": issue_signed_token(User.objects.get())}
    return {**parents, **people, **resigned, **units, **login}


def naming(known: dict[str, Any], body: Any) -> Any:
    """The body with what it names replaced by what exists."""
    return {**body, **{key: known[key] for key in body if key in known}} if isinstance(body, dict) else body


@schema.parametrize()
@few
def test_what_the_schema_allows_and_forbids_is_answered_as_it_says(case: Case, token: str) -> None:
    ask(case, token)


# Of devices none exists here, so that none is dialled; tests/devices/api asks those that exist.
@schema.exclude(path_regex=r"^/(devices|attendance)/").parametrize()
@few
def test_requests_about_rows_that_exist_are_answered_as_the_schema_says(
    case: Case, token: str, existing: dict[str, int], asked: dict[str, set[int]]
) -> None:
    number = next((number for path, number in existing.items() if case.path.startswith(path)), 1)
    case.body = naming(named(existing), case.body)
    case.path_parameters = {**(case.path_parameters or {}), "id": number}
    # Only exports know it; the other lists leave it alone.
    case.query = {"export_type": "csv"}

    asked[case.operation.label].add(ask(case, token))
