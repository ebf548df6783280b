"""Programs written for the vendor's server, unchanged, against ours: they are told another address and nothing else."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from biotime import BIOT, APIRequestError
from biotime import AuthenticationError as BiotAuthenticationError
from pybiotime import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BasicAuth,
    BioTimeClient,
    JWTAuth,
    LicenseError,
    NotFoundError,
    PermissionDeniedError,
    StaffJWTAuth,
    StaffTokenAuth,
    TokenAuth,
)
from pybiotime.auth import Auth
from pybiotime.errors import LoginSuspendedError

from tests.e2e.test_launcher import PASSWORD, Launch, launched
from tests.e2e.test_path_of_a_punch import manage
from zkbio.launcher.throwaway import throwaway_state
from zkbio.launcher.valkey import free_port

SERIAL = "CKJF201260077"
FURNISH = """
from iclock.models import Terminal
from personnel.models import AttributeDefinition
from zkbio.accounts.models import User
AttributeDefinition.objects.create(name="Passport")
Terminal.objects.create(sn="CKJF201260077", alias="Front door")
User.objects.create_user("fresh", password="a good long passphrase")
User.objects.create_superuser("leaver", password="a good long passphrase")
User.objects.create_superuser("disabled", password="a good long passphrase")
"""
DISABLE = """
from zkbio.accounts.models import User
user = User.objects.get(username="disabled")
user.is_active = False
user.save()
"""
RECORD = """
from datetime import datetime
from iclock.domain.ingest import record_punches
from iclock.models import Terminal
from iclock.punch import Punch, Source
record_punches(
    Terminal.objects.get(sn="CKJF201260077"),
    [Punch(code, datetime.fromisoformat(at), 0, 1) for code, at in {punches!r}],
    source=Source.PULL,
)
"""
REVOKE = """
from zkbio.accounts.domain.tokens import revoke_tokens
from zkbio.accounts.models import User
revoke_tokens(User.objects.get(username={name!r}))
"""
LOGINS: list[type[Auth]] = [TokenAuth, JWTAuth, BasicAuth]
NUMBERS = itertools.count(1)

Connect = Callable[..., BioTimeClient]


def run(launch: Launch, source: str) -> None:
    done = manage(launch, "shell", "-c", source)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with throwaway_state() as state, launched(state.root, free_port(), ADMIN_PASSWORD=PASSWORD) as running:
        running.await_ready()
        run(running, FURNISH)
        yield running


@pytest.fixture(scope="module")
def base(launch: Launch) -> str:
    return f"http://127.0.0.1:{launch.port}"


@pytest.fixture
def connect(base: str) -> Iterator[Connect]:
    """A pybiotime client with the given login; the administrator's token where none is given."""
    opened: list[BioTimeClient] = []

    def make(auth: Auth | None = None, **options: Any) -> BioTimeClient:
        opened.append(BioTimeClient(base, auth=auth or TokenAuth("Admin", PASSWORD), **options))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture(scope="module")
def biot(base: str) -> BIOT:
    return BIOT(base, "Admin", PASSWORD)


def new_code(prefix: str = "T") -> str:
    return f"{prefix}{next(NUMBERS)}"


def hire(client: BioTimeClient, **more: Any) -> Any:
    return client.employees.create(new_code(), department_id=1, area_ids=[1], **more)


# -- pybiotime: logins


@pytest.mark.parametrize("login", LOGINS)
def test_pybiotime_reads_by_each_way_of_logging_in(login: Any, connect: Connect) -> None:
    client = connect(login("Admin", PASSWORD))

    assert client.areas.get(1).area_name == "Not Authorized"
    assert client.departments.get_by_code("1") is not None


def test_pybiotime_takes_us_for_a_server_of_the_ninth_version(connect: Connect) -> None:
    client = connect()
    hire(client)

    info = client.server_info()

    assert (info.docs_title, info.employee_shape, info.has_resigns) == ("ZKBio Time API DOCS", "nested", True)


def test_pybiotime_is_told_of_a_wrong_password_once(connect: Connect) -> None:
    client = connect(TokenAuth("Admin", "wrong"))

    with pytest.raises(AuthenticationError, match="Unable to log in with provided credentials") as refused:
        client.areas.get(1)
    assert refused.value.status_code == 400
    with pytest.raises(LoginSuspendedError):
        client.areas.get(1)


def test_pybiotime_with_a_revoked_token_is_refused_or_logs_in_again(launch: Launch, connect: Connect) -> None:
    remembering = connect(TokenAuth("leaver", PASSWORD))
    assert remembering.areas.get(1).id == 1
    authorization = remembering.auth.authorization()
    assert authorization is not None
    bare = connect(TokenAuth(token=authorization.split()[1]))
    assert bare.areas.get(1).id == 1

    run(launch, REVOKE.format(name="leaver"))

    with pytest.raises(AuthenticationError, match=r"Invalid token\.") as refused:
        bare.areas.get(1)
    assert refused.value.status_code == 401
    assert remembering.areas.get(1).id == 1
    assert remembering.auth.authorization() != authorization


def test_pybiotime_of_a_disabled_user_is_refused_at_the_next_request(launch: Launch, connect: Connect) -> None:
    clients = [connect(login("disabled", PASSWORD)) for login in LOGINS]
    assert [client.areas.get(1).id for client in clients] == [1, 1, 1]

    run(launch, DISABLE)

    for client in clients:
        with pytest.raises(AuthenticationError):
            client.areas.get(1)


def test_pybiotime_without_permission_is_no_matter_of_a_licence(connect: Connect) -> None:
    with pytest.raises(PermissionDeniedError) as refused:
        connect(JWTAuth("fresh", PASSWORD)).areas.get(1)

    assert not isinstance(refused.value, LicenseError)
    assert refused.value.detail


# -- pybiotime: personnel


@pytest.mark.parametrize("name", ["departments", "areas", "positions"])
def test_pybiotime_keeps_trees_of_codes(name: str, connect: Connect) -> None:
    resource: Any = getattr(connect(), name)
    code_field, parent_field = resource.code_field, resource.parent_field
    code = new_code()

    made = resource.create(code, "Made", parent_id=1)
    assert (getattr(made, code_field), getattr(made, parent_field).id) == (code, 1)
    renamed = resource.update(made.id, name="Renamed")
    assert resource.upsert(code, "Renamed") == renamed
    assert [each.id for each in resource.list(parent_id=1)] == [made.id]
    assert resource.get_by_code(f" {code} ").id == made.id
    resource.delete(made.id)
    with pytest.raises(NotFoundError):
        resource.get(made.id)


@pytest.mark.parametrize("name", ["departments", "areas", "positions"])
def test_pybiotime_is_told_which_code_is_taken(name: str, connect: Connect) -> None:
    resource: Any = getattr(connect(), name)

    with pytest.raises(BadRequestError) as refused:
        resource.create("1", "Again")

    assert list(refused.value.field_errors) == [resource.code_field]


def test_pybiotime_keeps_employees(connect: Connect) -> None:
    client = connect()
    job = client.positions.create(new_code(), "Guard")
    place = client.areas.create(new_code(), "Gate")
    wanted: dict[str, Any] = {
        "first_name": "Harry",
        "last_name": "Potter",
        "hire_date": date(2024, 6, 1),
        "birthday": date(1980, 7, 31),
        "gender": "M",
        "mobile": "555",
        "card_no": "5659812",
        "device_password": "1234",
        "app_status": 1,
    }

    made = hire(client, position_id=job.id, fields={"Passport": "P1", "self_password": "not for reading"}, **wanted)

    read = made.model_dump(include=set(wanted))
    assert read == {**wanted, "device_password": None}
    assert (made.full_name, made.format_name, made.extra["Passport"]) == (
        "Harry Potter",
        f"{made.emp_code} Harry",
        "P1",
    )
    moved = client.employees.update(made.id, area_ids=[1, place.id], fields={"position": None, "Passport": None})
    assert (sorted(moved.area_ids), moved.position, moved.extra["Passport"]) == ([1, place.id], None, None)
    assert moved.first_name == "Harry"
    assert client.employees.upsert(made.emp_code, department_id=1, area_ids=[place.id, 1], first_name="Harry") == moved
    assert [each.id for each in client.employees.list(emp_code=made.emp_code, department_id=1, app_status=1)] == [
        made.id
    ]
    client.employees.delete(made.id)
    assert client.employees.get_by_code(made.emp_code) is None


def test_pybiotime_is_told_what_is_wrong_with_an_employee(connect: Connect) -> None:
    client = connect()
    known = hire(client)

    with pytest.raises(BadRequestError) as taken:
        client.employees.create(known.emp_code, department_id=1, area_ids=[1])
    with pytest.raises(BadRequestError) as lost:
        client.employees.create(new_code(), department_id=424242, area_ids=[1, 424242])
    with pytest.raises(NotFoundError, match=r"Not found\."):
        client.employees.get(424242)

    assert list(taken.value.field_errors) == ["emp_code"]
    assert sorted(lost.value.field_errors) == ["area", "department"]


def test_pybiotime_notices_that_a_code_is_kept(connect: Connect) -> None:
    client = connect()
    known = hire(client)

    with pytest.raises(APIError, match="the server kept emp_code"):
        client.employees.update(known.id, emp_code="another", first_name="Saved")

    assert client.employees.get(known.id).first_name == "Saved"


def test_pybiotime_is_told_what_still_uses_a_department(connect: Connect) -> None:
    client = connect()
    used = client.departments.create(new_code(), "Used")
    client.employees.create(new_code(), department_id=used.id, area_ids=[1])

    with pytest.raises(BadRequestError, match="employee"):
        client.departments.delete(used.id)


def test_pybiotime_resigns_and_reinstates(connect: Connect) -> None:
    client = connect()
    person = hire(client)

    left = client.resigns.create(person.id, resign_date=date(2024, 6, 30), resign_type=3, reason="")
    assert (left.employee.id, left.resign_date, left.resign_type, left.disableatt) == (
        person.id,
        date(2024, 6, 30),
        3,
        True,
    )
    changed = client.resigns.update(left.id, reason="Moved away")
    assert (changed.reason, changed.resign_date, changed.disableatt) == ("Moved away", date(2024, 6, 30), True)
    assert [each.id for each in client.resigns.list(employee_id=person.id, resign_type=3)] == [left.id]
    assert client.employees.get(person.id).id == person.id
    client.resigns.reinstate([left.id])
    assert client.resigns.list(employee_id=person.id).count() == 0


def test_pybiotime_reads_every_page(connect: Connect) -> None:
    client = connect()
    people = [hire(client, first_name="Page").id for _ in range(5)]

    paged = client.employees.list(first_name="Page", page_size=2)

    assert [each.id for each in paged] == people
    assert paged.count() == 5


# -- pybiotime: terminals and punches


def test_pybiotime_reads_a_terminal(connect: Connect) -> None:
    client = connect()

    found = client.terminals.get_by_sn(SERIAL)

    assert found is not None
    assert (found.alias, found.is_attendance, found.area and found.area.id) == ("Front door", True, 1)
    assert client.terminals.get(found.id) == found
    assert client.terminals.list(sn="none").first() is None


def test_pybiotime_reads_each_punch_once_late_ones_too(launch: Launch, connect: Connect) -> None:
    client = connect(timezone="UTC")
    morning = datetime(2024, 6, 26, 8, 0)
    first = [("7001", str(morning + timedelta(minutes=minute))) for minute in range(3)]
    late = [("7002", str(morning - timedelta(days=90))), ("7001", str(morning + timedelta(hours=9)))]

    def read(state: Any) -> tuple[list[tuple[str, str]], Any]:
        result = client.transactions.read_new(state, page_size=2)
        naive = [(each.emp_code, str(each.punch_time.replace(tzinfo=None))) for each in result.transactions]
        return naive, result.state

    run(launch, RECORD.format(punches=first))
    found, state = read(None)
    assert found == first
    run(launch, RECORD.format(punches=[*first, *late]))
    found, state = read(state)
    assert sorted(found) == sorted(late)
    assert read(state)[0] == []


def test_pybiotime_reads_what_a_person_did(launch: Launch, connect: Connect) -> None:
    client = connect(timezone="UTC")
    person = hire(client, first_name="Harry")
    run(
        launch,
        RECORD.format(punches=[(person.emp_code, "2024-06-27 08:00:00"), (person.emp_code, "2024-06-27 17:00:00")]),
    )

    evening = client.transactions.list(
        emp_code=person.emp_code, start=datetime(2024, 6, 27, 12), end=datetime(2024, 6, 27, 17), terminal_sn=SERIAL
    )

    (punch,) = list(evening)
    assert (punch.punch_time.hour, punch.first_name, punch.emp) == (17, "Harry", person.id)
    assert (punch.punch_state, punch.punch_state_display, punch.verify_type_display) == ("0", "Check In", "Fingerprint")
    assert client.transactions.get(punch.id) == punch
    assert client.transactions.list(emp_code=person.emp_code).count() == 2


def test_pybiotime_as_a_scheduled_job_prints_what_is_new(launch: Launch, base: str, tmp_path: Path) -> None:
    settings = {"BIOTIME_URL": base, "BIOTIME_USERNAME": "Admin", "BIOTIME_PASSWORD": PASSWORD}

    def job() -> list[tuple[str, str]]:
        done = subprocess.run(
            [sys.executable, "-m", "pybiotime", "sync", "--state", str(tmp_path / "state.json"), "--format", "jsonl"],
            env={"PATH": os.environ["PATH"], **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return [(row["emp_code"], row["punch_state_display"]) for row in rows]

    run(launch, RECORD.format(punches=[("8001", "2024-07-01 08:00:00")]))
    assert ("8001", "Check In") in job()
    run(launch, RECORD.format(punches=[("8002", "2024-07-01 08:00:00")]))
    assert job() == [("8002", "Check In")]


# -- pybiotime: employees for themselves


@pytest.mark.parametrize("login", [StaffTokenAuth, StaffJWTAuth])
def test_pybiotime_lets_employees_read_their_own(login: Any, launch: Launch, connect: Connect) -> None:
    admin = connect()
    own = hire(admin, fields={"self_password": "my own passphrase"})
    other = hire(admin)
    run(launch, RECORD.format(punches=[(each.emp_code, "2024-06-28 08:00:00") for each in (own, other)]))

    staff = connect(login(own.emp_code, "my own passphrase"))

    assert [each.id for each in staff.employees.list()] == [own.id]
    assert [each.emp_code for each in staff.transactions.list()] == [own.emp_code]
    with pytest.raises(NotFoundError):
        staff.employees.get(other.id)
    with pytest.raises(PermissionDeniedError):
        staff.employees.update(own.id, first_name="Boss")
    with pytest.raises(PermissionDeniedError):
        list(staff.departments.list())


def test_pybiotime_is_told_of_a_wrong_password_of_an_employee(connect: Connect) -> None:
    person = hire(connect(), fields={"self_password": "my own passphrase"})

    with pytest.raises(AuthenticationError, match="Unable to log in with provided credentials"):
        list(connect(StaffTokenAuth(person.emp_code, "wrong")).employees.list())


# -- biotime


def test_biotime_is_told_of_a_wrong_password(base: str) -> None:
    with pytest.raises(BiotAuthenticationError):
        BIOT(base, "Admin", "wrong")


def test_biotime_logs_in_again_when_its_token_is_dead(biot: BIOT) -> None:
    """The second login carries the dead token's header."""
    biot.token = "dead." * 3

    assert biot.get_area(1)["area_name"] == "Not Authorized"


def test_biotime_keeps_areas(biot: BIOT) -> None:
    code = new_code("B")
    made: Any = biot.create_area("Gate", code, parent_area=1)
    assert made == {"id": made["id"], "area_code": code, "area_name": "Gate", "parent_area": 1}

    put: Any = biot.update_area(made["id"], "Gate 2", f"{code}b")

    assert put == {"id": made["id"], "area_code": f"{code}b", "area_name": "Gate 2", "parent_area": None}
    found: Any = biot.get_all_area(area_name_icontains="gate 2", page=1, page_size=5, ordering="-id")
    assert [row["id"] for row in found["data"]] == [made["id"]]
    assert biot.delete_area(made["id"]) == {"status": True, "detail": "No content"}


def test_biotime_keeps_departments(biot: BIOT) -> None:
    code = new_code("B")
    made: Any = biot.create_department("Sales", code, parent_dept=1)

    put: Any = biot.update_department(made["id"], "Sales 2", "another")

    assert put == {"id": made["id"], "dept_code": code, "dept_name": "Sales 2", "parent_dept": None}
    found: Any = biot.get_all_department(dept_code=code)
    assert found["data"] == [put]
    assert biot.delete_department(made["id"]) == {"status": True, "detail": "No content"}


def test_biotime_keeps_positions(biot: BIOT) -> None:
    code = new_code("B")
    made: Any = biot.create_position("Guard", code, parent_position=1)

    put: Any = biot.update_position(made["id"], "Guard 2", code)

    assert (put["position_name"], put["parent_position"]) == ("Guard 2", None)
    found: Any = biot.get_all_position(position_code_icontains=code.lower())
    assert [row["position_code"] for row in found["data"]] == [code]
    assert biot.delete_position(made["id"]) == {"status": True, "detail": "No content"}


def test_biotime_keeps_employees_and_sends_nulls_for_what_it_doesnt_know(biot: BIOT) -> None:
    code = new_code("B")
    made: Any = biot.create_employee(code, 1, [1], first_name="Aziz", mobile="555", app_status="1")
    assert (made["first_name"], made["mobile"], made["app_status"]) == ("Aziz", "555", 1)

    put: Any = biot.update_employee(made["id"], code, 1, [1], first_name="Aziza")

    assert {key: put[key] for key in ("id", "emp_code", "department", "area", "first_name")} == {
        "id": made["id"],
        "emp_code": code,
        "department": 1,
        "area": [1],
        "first_name": "Aziza",
    }
    assert (put["mobile"], put["app_status"]) == (None, 1)
    found: Any = biot.get_all_employee(emp_code_icontains=code.lower(), department=1, areas=1)
    assert [row["first_name"] for row in found["data"]] == ["Aziza"]
    assert biot.delete_employee(made["id"]) == {"status": True, "detail": "No content"}


def test_biotime_is_told_what_went_wrong(biot: BIOT) -> None:
    with pytest.raises(APIRequestError, match="404"):
        biot.get_employee(424242)
    with pytest.raises(APIRequestError, match=r"400.*area_code"):
        biot.create_area("Again", "1")
    with pytest.raises(APIRequestError, match=r"400.*department"):
        biot.create_employee(new_code("B"), 424242, [1])
