"""Terminals are entered, changed and removed; the contract's section 4."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from threading import Barrier, Thread
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import timezone

from iclock.domain.commands import queue_commands
from iclock.domain.ingest import record_punches
from iclock.models import SyncMark, Terminal, Transaction
from iclock.punch import Punch, Source
from personnel.models import Area
from personnel.models.scope import AreaLimit
from tests.racing import statuses_at_once
from zkbio.accounts.models import AuditEntry, User

from .conftest import Punches

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/terminals/"
NEW = {"sn": "NEW1", "alias": "Back door", "ip_address": "10.0.0.7"}

Send = Callable[..., Any]


@pytest.fixture
def hr(hr: User) -> User:
    """May write terminals too."""
    verbs = ["add_terminal", "change_terminal", "delete_terminal"]
    hr.user_permissions.add(*Permission.objects.filter(codename__in=verbs))
    return hr


@pytest.fixture
def send(token_client: Client) -> Send:
    """A request with a JSON body; gives the decoded answer, "" for none."""

    def ask(method: str, path: str, status: int, **body: Any) -> Any:
        response = token_client.generic(method, path, json.dumps(body), content_type="application/json")
        assert response.status_code == status, response.content
        return json.loads(response.content) if response.content else ""

    return ask


def test_a_created_terminal_is_answered_flat(send: Send) -> None:
    answer = send("POST", PATH, 201, **NEW)

    assert list(answer.items()) == [
        ("id", Terminal.objects.get().id),
        ("sn", "NEW1"),
        ("ip_address", "10.0.0.7"),
        ("alias", "Back door"),
        ("terminal_name", ""),
        ("fw_ver", ""),
        ("push_ver", ""),
        ("terminal_tz", 0),
        ("area", 1),
        ("heartbeat", 10),
        ("transfer_time", "00:00;14:05"),
        ("transfer_interval", 1),
        ("is_attendance", 1),
    ]


def test_every_key_of_the_contract_is_stored(send: Send) -> None:
    area = Area.objects.create(area_code="2", area_name="Two")
    more = {"terminal_tz": 8, "heartbeat": 30, "area": str(area.id), "transfer_time": "06:30", "transfer_interval": 5}

    send("POST", PATH, 201, **NEW, **more, is_attendance=0)

    stored = Terminal.objects.get()
    assert (stored.time_zone, stored.heartbeat, stored.area_id) == ("UTC+08:00", 30, area.id)
    assert (stored.transfer_time, stored.transfer_interval, stored.is_attendance) == ("06:30", 5, False)


@pytest.mark.parametrize("kind", ["form", "multipart"])
def test_forms_are_read_like_json(kind: str, token_client: Client) -> None:
    body: dict[str, Any] = {**NEW, "terminal_tz": "330", "area": "1"}
    if kind == "form":
        text = "&".join(f"{key}={value}" for key, value in body.items())
        response = token_client.post(PATH, text, content_type="application/x-www-form-urlencoded")
    else:
        response = token_client.post(PATH, body)

    assert response.status_code == 201, response.content
    stored = Terminal.objects.get()
    assert (stored.sn, stored.time_zone, stored.is_attendance) == ("NEW1", "UTC+05:30", True)


@pytest.mark.parametrize("missing", ["sn", "alias", "ip_address"])
def test_what_create_needs_is_named(missing: str, send: Send) -> None:
    body = {key: value for key, value in NEW.items() if key != missing}

    assert send("POST", PATH, 400, **body) == {missing: ["This field is required."]}


REFUSED: list[tuple[str, Any]] = [
    ("sn", ""),
    ("sn", "A B"),
    ("sn", "<b>"),
    ("sn", "Ä1"),
    ("sn", "A" * 51),
    ("sn", ["A"]),
    ("alias", ""),
    ("alias", "A" * 101),
    ("alias", "A\0B"),
    ("ip_address", "10.0.0.999"),
    ("ip_address", "gate.example.com"),
    ("ip_address", {"v4": "10.0.0.7"}),
    ("area", 77),
    ("area", "two"),
    ("area", [1]),
    ("area", True),
    ("area", 10**30),
    ("terminal_tz", "east"),
    ("terminal_tz", 1000),
    ("terminal_tz", {}),
    ("heartbeat", -1),
    ("heartbeat", 2**31),
    ("heartbeat", "often"),
    ("transfer_interval", 10**40),
    ("transfer_interval", -1),
    ("transfer_time", "25:00"),
    ("transfer_time", "noon"),
    ("transfer_time", "00:00;"),
    ("transfer_time", ";".join(["00:00"] * 50)),
    ("is_attendance", 2),
    ("is_attendance", []),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_what_cant_be_stored_is_refused_by_name(field: str, value: Any, send: Send) -> None:
    assert list(send("POST", PATH, 400, **{**NEW, field: value})) == [field]
    assert not Terminal.objects.exists()


def test_a_serial_number_is_taken_once(terminal: Terminal, send: Send) -> None:
    assert list(send("POST", PATH, 400, **{**NEW, "sn": terminal.sn})) == ["sn"]


@pytest.mark.django_db(transaction=True)
def test_of_two_creations_at_once_one_is_refused(token_client: Client) -> None:
    barrier, statuses = Barrier(2), list[int]()

    def create() -> None:
        barrier.wait(timeout=10)
        statuses.append(token_client.post(PATH, NEW).status_code)
        connection.close()

    threads = [Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sorted(statuses) == [201, 400]
    assert Terminal.objects.count() == 1


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_an_update_changes_what_is_sent(method: str, terminal: Terminal, send: Send) -> None:
    answer = send(method, f"{PATH}{terminal.id}/", 200, alias="New", terminal_tz=-210)

    assert (answer["id"], answer["sn"], answer["alias"], answer["terminal_tz"]) == (
        terminal.id,
        terminal.sn,
        "New",
        -210,
    )
    stored = Terminal.objects.get()
    assert (stored.alias, stored.ip_address, stored.time_zone) == ("New", "10.8.12.241", "UTC-03:30")


def test_the_serial_number_is_kept_on_update(terminal: Terminal, send: Send) -> None:
    assert send("PUT", f"{PATH}{terminal.id}/", 200, sn="OTHER", alias="New")["sn"] == terminal.sn


def test_nulls_that_cant_be_stored_are_not_given(terminal: Terminal, send: Send) -> None:
    unset = {"alias": None, "area": None, "terminal_tz": None, "heartbeat": None, "is_attendance": None}

    send("PUT", f"{PATH}{terminal.id}/", 200, **unset, transfer_time=None, transfer_interval=None, ip_address=None)

    stored = Terminal.objects.get()
    assert (stored.alias, stored.area_id, stored.heartbeat, stored.ip_address) == ("Auto add", 1, 10, None)


def test_a_terminal_that_is_deleted_meanwhile_is_not_found(terminal: Terminal, send: Send) -> None:
    with connection.execute_wrapper(_before("FOR NO KEY UPDATE", lambda: Terminal.objects.all().delete())):
        send("PATCH", f"{PATH}{terminal.id}/", 404, alias="New")


def test_an_update_leaves_alone_what_a_visit_writes(
    terminal: Terminal, send: Send, django_assert_num_queries: Any
) -> None:
    visit = _before('UPDATE "iclock_terminal"', lambda: Terminal.objects.update(user_count=7))
    with connection.execute_wrapper(visit):
        send("PATCH", f"{PATH}{terminal.id}/", 200, alias="New")

    assert Terminal.objects.get().user_count == 7


def _before(words: str, deed: Callable[[], object]) -> Any:
    """Does something just before the first statement with these words is executed."""
    done: list[bool] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if words in sql and not done:
            done.append(True)
            deed()
        return execute(sql, params, many, context)

    return wrapper


def test_a_terminal_that_comes_to_another_area_is_marked(terminal: Terminal, send: Send) -> None:
    area = Area.objects.create(area_code="2", area_name="Two")

    send("PATCH", f"{PATH}{terminal.id}/", 200, alias="New")
    assert not SyncMark.objects.exists()

    send("PATCH", f"{PATH}{terminal.id}/", 200, area=area.id)
    assert SyncMark.objects.pending().get().terminal == terminal


def test_a_created_terminal_is_marked(send: Send) -> None:
    send("POST", PATH, 201, **NEW)

    assert SyncMark.objects.pending().get().terminal.sn == "NEW1"


@pytest.mark.django_db(transaction=True)
def test_a_deleted_terminal_leaves_its_punches(
    terminal: Terminal, send: Send, get: Callable[..., Any], token_client: Client
) -> None:
    record_punches(terminal, [Punch("7", datetime(2026, 3, 2, 8), 0, 1)], source=Source.PULL)

    assert send("DELETE", f"{PATH}{terminal.id}/", 204) == ""

    row = get("/iclock/api/transactions/")["data"][0]
    assert (row["terminal"], row["terminal_sn"], row["terminal_alias"]) == (None, "CKJF201260077", "Auto add")
    assert Transaction.objects.count() == 1
    assert AuditEntry.objects.get(action="iclock.delete_terminal").detail == {"sn": "CKJF201260077"}
    send("DELETE", f"{PATH}{terminal.id}/", 404)


@pytest.mark.parametrize(
    ("method", "verb"), [("POST", "add"), ("PATCH", "change"), ("PUT", "change"), ("DELETE", "delete")]
)
def test_each_verb_asks_for_its_permission(method: str, verb: str, terminal: Terminal, hr: User, send: Send) -> None:
    hr.user_permissions.remove(Permission.objects.get(codename=f"{verb}_terminal"))
    path = PATH if method == "POST" else f"{PATH}{terminal.id}/"

    send(method, path, 403, **NEW)
    assert Terminal.objects.get().alias == "Auto add"


@pytest.fixture
def two(hr: User) -> Area:
    """The area that the reader is limited to."""
    area = Area.objects.create(area_code="2", area_name="Two")
    AreaLimit.objects.create(user=hr, area=area)
    return area


def test_a_limited_user_sees_and_touches_their_areas_only(two: Area, terminal: Terminal, send: Send) -> None:
    inside = Terminal.objects.create(sn="IN", alias="Inside", area=Area.objects.create(
        area_code="21", area_name="Below", parent_area=two))  # fmt: skip

    assert [row["sn"] for row in send("GET", PATH, 200)["data"]] == ["IN"]
    for method in ("GET", "PATCH", "PUT", "POST", "DELETE"):
        send(method, f"{PATH}{terminal.id}/", 404, alias="Mine")
    assert list(send("PATCH", f"{PATH}{inside.id}/", 400, area=1)) == ["area"]
    assert Terminal.objects.get(sn="IN").area.area_code == "21"


def test_a_limited_user_names_the_area_of_a_new_terminal(two: Area, send: Send) -> None:
    assert send("POST", PATH, 400, **NEW) == {"area": ["This field is required."]}
    assert list(send("POST", PATH, 400, **NEW, area=1)) == ["area"]
    assert send("POST", PATH, 201, **NEW, area=two.id)["area"] == two.id


def test_whoever_has_limits_takes_over_no_terminal_that_was_here_before(hr: User, send: Send, punches: Punches) -> None:
    area = Area.objects.create(area_code="2", area_name="Two")
    AreaLimit.objects.create(user=hr, area=area)
    punches(1, terminal_sn="NEW1")

    assert list(send("POST", PATH, 400, **NEW, area=area.pk)) == ["sn"]
    assert send("POST", PATH, 201, **{**NEW, "sn": "NEW2"}, area=area.pk)["sn"] == "NEW2"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["approve", "reboot", "clear_command", "block"])
def test_a_deletion_that_meets_an_action_waits_for_no_circle(token_client: Client, action: str) -> None:
    for number in range(6):
        terminal = Terminal.objects.create(sn=f"T{number}", alias="T")
        SyncMark.objects.create(terminal=terminal, wanted_at=timezone.now())
        queue_commands([terminal], "reboot", user=User.objects.get())

        acted, deleted = statuses_at_once(
            lambda pk=terminal.pk: token_client.post(f"{PATH}{action}/", {"terminals": pk}),
            lambda pk=terminal.pk: token_client.delete(f"{PATH}{pk}/"),
        )

        assert (acted in {200, 400}, deleted) == (True, 204)
