"""Callers of the API, and what they send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from personnel.domain.seed import seed_after_migrate
from personnel.models import Area, AreaLimit, Department, DepartmentLimit, Employee
from personnel.signals import people_changed, templates_withdrawn
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User

Caller = Callable[..., Any]


class Api:
    """Requests of one user; a body is JSON unless ``format`` says form or multipart."""

    def __init__(self, user: User | None) -> None:
        headers = {"Authorization": f"Token {issue_token(user)}"} if user else {}
        self.client = Client(headers=headers, raise_request_exception=False)

    def __call__(self, method: str, path: str, body: Any = None, *, format: str = "json") -> HttpResponse:  # noqa: A002
        if body is None:
            return self.client.generic(method, path)
        if format == "json":
            return self.client.generic(method, path, orjson.dumps(body), content_type="application/json")
        if format == "form":
            pairs = [
                (key, each) for key, value in body.items() for each in (value if isinstance(value, list) else [value])
            ]
            return self.client.generic(method, path, urlencode(pairs), content_type="application/x-www-form-urlencoded")
        return self.client.generic(method, path, encode_multipart(BOUNDARY, body), content_type=MULTIPART_CONTENT)

    def get(self, path: str, status: int = 200, **parameters: Any) -> Any:
        answer = self.client.get(path, parameters)
        assert answer.status_code == status, answer.content
        return orjson.loads(answer.content)

    def post(self, path: str, body: Any = None, status: int = 201, *, format: str = "json") -> Any:  # noqa: A002
        return self._decoded(self("POST", path, body or {}, format=format), status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return self._decoded(self("PATCH", path, body), status)

    def put(self, path: str, body: Any, status: int = 200) -> Any:
        return self._decoded(self("PUT", path, body), status)

    def delete(self, path: str, status: int = 204) -> Any:
        return self._decoded(self("DELETE", path), status)

    @staticmethod
    def _decoded(answer: HttpResponse, status: int) -> Any:
        assert answer.status_code == status, answer.content
        return orjson.loads(answer.content) if answer.content else None


def user_with(*codenames: str, name: str = "hr") -> User:
    user = User.objects.create_user(name, password="x")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


EVERY_PERMISSION = [
    f"{verb}_{model}"
    for verb in ("view", "add", "change", "delete")
    for model in ("department", "area", "position", "employee", "resignation")
]


@pytest.fixture
def hr(db: None) -> User:
    """Somebody who may do everything with people, and is no superuser."""
    return user_with(*EVERY_PERMISSION)


@pytest.fixture
def api(hr: User) -> Api:
    return Api(hr)


@pytest.fixture
def person(db: None) -> Caller:
    """An employee; keyword arguments are columns, positional ones the ids of areas."""

    def write(emp_code: str = "7", *areas: int, **columns: Any) -> Employee:
        employee = Employee.objects.create(emp_code=emp_code, **{"department_id": 1, **columns})
        employee.areas.set(areas or [1])
        return employee

    return write


@pytest.fixture
def places(db: None) -> dict[int, Area]:
    """Areas 2, 3 and 4 ; 4 lies below 2."""
    two, three = (Area.objects.create(id=pk, area_code=str(pk), area_name=f"Area {pk}") for pk in (2, 3))
    four = Area.objects.create(id=4, area_code="4", area_name="Area 4", parent_area=two)
    seed_after_migrate()  # leads the sequences past these ids
    return {2: two, 3: three, 4: four}


@pytest.fixture
def offices(db: None) -> dict[int, Department]:
    """Departments 2 and 3 below department 1, and 4 below 2."""
    made = {
        pk: Department.objects.create(id=pk, dept_code=f"d{pk}", dept_name=f"Dept {pk}", parent_dept_id=1)
        for pk in (2, 3)
    }
    made[4] = Department.objects.create(id=4, dept_code="d4", dept_name="Dept 4", parent_dept=made[2])
    seed_after_migrate()
    return made


@pytest.fixture
def limited(hr: User, places: dict[int, Area]) -> Api:
    """The same somebody, limited to area 2 (and 4, below it)."""
    AreaLimit.objects.create(user=hr, area=places[2])
    return Api(hr)


@pytest.fixture
def of_department(offices: dict[int, Department]) -> Api:
    """Somebody limited to department 2 (and 4)."""
    user = user_with(*EVERY_PERMISSION, name="head")
    DepartmentLimit.objects.create(user=user, department=offices[2])
    return Api(user)


@pytest.fixture
def news() -> Iterator[list[tuple[set[int], set[str]]]]:
    """What was announced: areas and codes."""
    heard: list[tuple[set[int], set[str]]] = []

    def listen(*, area_ids: frozenset[int], emp_codes: frozenset[str], **_: Any) -> None:
        heard.append((set(area_ids), set(emp_codes)))

    people_changed.connect(listen)
    yield heard
    people_changed.disconnect(listen)


@pytest.fixture
def withdrawn() -> Iterator[list[tuple[list[str], set[str]]]]:
    heard: list[tuple[list[str], set[str]]] = []

    def listen(*, employees: list[Employee], kinds: frozenset[str], **_: Any) -> None:
        heard.append(([each.emp_code for each in employees], set(kinds)))

    templates_withdrawn.connect(listen)
    yield heard
    templates_withdrawn.disconnect(listen)
