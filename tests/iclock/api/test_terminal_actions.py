"""Actions on terminals, and the commands that come of them; the contract's section 4."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from iclock.models import SyncMark, Terminal, TerminalCommand
from personnel.models import Area
from personnel.models.scope import AreaLimit
from zkbio.accounts.models import AuditEntry, User

from .conftest import Reader

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/terminals/"
COMMANDS = "/iclock/api/commands/"
DONE = {"code": 0, "msg": "success", "data": []}
QUEUED = ["clear_capture", "clear_log", "clear_all", "upload_all", "upload_transaction", "reboot"]
ACTIONS = [*QUEUED, "clear_command", "approve", "block", "sync"]

Act = Callable[..., Any]


@pytest.fixture
def hr(hr: User) -> User:
    given = ["change_terminal", "clear_terminal", "clear_log", "view_terminalcommand"]
    hr.user_permissions.add(*Permission.objects.filter(codename__in=given))
    return hr


@pytest.fixture
def gates() -> list[Terminal]:
    return [Terminal.objects.create(sn=f"G{n}", alias=f"Gate {n}") for n in (1, 2, 3)]


@pytest.fixture
def act(token_client: Client) -> Act:
    def post(action: str, terminals: Any, status: int = 200) -> Any:
        body = orjson.dumps({"terminals": terminals})
        response = token_client.post(f"{PATH}{action}/", body, content_type="application/json")
        assert response.status_code == status, response.content
        return orjson.loads(response.content)

    return post


def commands() -> list[tuple[str, str, str]]:
    return list(TerminalCommand.objects.values_list("terminal__sn", "kind", "state"))


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_answers_the_same(action: str, gates: list[Terminal], act: Act) -> None:
    assert list(act(action, [gates[0].id]).items()) == list(DONE.items())


@pytest.mark.parametrize("action", QUEUED)
def test_an_action_queues_a_command_for_each_terminal(action: str, gates: list[Terminal], hr: User, act: Act) -> None:
    act(action, [gates[1].id, gates[0].id])

    assert commands() == [("G1", action, "queued"), ("G2", action, "queued")]
    assert set(TerminalCommand.objects.values_list("created_by", flat=True)) == {hr.id}


@pytest.mark.parametrize("spelling", ["list of texts", "comma text", "single", "objects", "twice"])
def test_terminals_are_named_in_many_ways(spelling: str, gates: list[Terminal], act: Act) -> None:
    first, second = gates[0].id, gates[1].id
    spelled: dict[str, Any] = {
        "list of texts": [str(first), str(second)],
        "comma text": f"{first}, {second}",
        "single": second,
        "objects": [{"id": first}],
        "twice": [first, first],
    }

    act("reboot", spelled[spelling])

    named = {"single": ["G2"], "objects": ["G1"], "twice": ["G1"]}.get(spelling, ["G1", "G2"])
    assert [sn for sn, *_ in commands()] == named


@pytest.mark.parametrize("names", [("terminals[0]", "terminals[1]"), ("terminals", "terminals"), ("terminals[]",) * 2])
@pytest.mark.parametrize("multipart", [True, False])
def test_forms_name_terminals_too(
    names: tuple[str, str], multipart: bool, gates: list[Terminal], token_client: Client
) -> None:
    pairs = list(zip(names, [gates[0].id, gates[1].id], strict=True))
    if multipart:
        parts = [f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs]
        body, kind = "".join([*parts, "--B--\r\n"]), "multipart/form-data; boundary=B"
    else:
        body, kind = "&".join(f"{name}={value}" for name, value in pairs), "application/x-www-form-urlencoded"

    response = token_client.generic("POST", f"{PATH}reboot/", body, content_type=kind)

    assert response.json() == DONE
    assert [sn for sn, *_ in commands()] == ["G1", "G2"]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("unknown", [77_777, "x", None, "", [], True, {}, [[1]], 10**18])
def test_an_unknown_terminal_is_refused_and_nothing_is_done(
    action: str, unknown: Any, gates: list[Terminal], act: Act
) -> None:
    terminals = [gates[0].id, unknown] if unknown not in (None, "", []) else unknown

    assert list(act(action, terminals, status=400)) == ["terminals"]
    assert commands() == []
    assert not AuditEntry.objects.exists()
    assert set(Terminal.objects.values_list("admission", flat=True)) == {"approved"}


def test_a_body_without_terminals_is_refused_by_name(token_client: Client) -> None:
    assert token_client.post(f"{PATH}reboot/").json() == {"terminals": ["This field is required."]}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_asks_for_the_permission_to_change(action: str, gates: list[Terminal], hr: User, act: Act) -> None:
    hr.user_permissions.remove(Permission.objects.get(codename="change_terminal"))

    act(action, [gates[0].id], status=403)
    assert commands() == []


@pytest.mark.parametrize(("action", "permission"), [("clear_all", "clear_terminal"), ("clear_log", "clear_log")])
def test_clearing_asks_for_a_permission_of_its_own(
    action: str, permission: str, gates: list[Terminal], hr: User, act: Act
) -> None:
    hr.user_permissions.remove(Permission.objects.get(codename=permission))

    act(action, [gates[0].id], status=403)
    assert commands() == []
    assert not AuditEntry.objects.exists()


def test_who_asks_for_a_log_to_be_cleared_is_written_down(gates: list[Terminal], hr: User, act: Act) -> None:
    act("clear_log", [gates[1].id, gates[0].id])

    entries = AuditEntry.objects.order_by("id").values_list("user", "action", "subject", "detail", "address")
    assert list(entries) == [
        (hr.id, "iclock.ask_to_clear_log", "Gate 1 (G1)", {"sn": "G1"}, "127.0.0.1"),
        (hr.id, "iclock.ask_to_clear_log", "Gate 2 (G2)", {"sn": "G2"}, "127.0.0.1"),
    ]


@pytest.mark.parametrize("action", ACTIONS)
def test_terminals_outside_of_the_limits_dont_exist(action: str, gates: list[Terminal], hr: User, act: Act) -> None:
    two = Area.objects.create(area_code="2", area_name="Two")
    AreaLimit.objects.create(user=hr, area=two)
    Terminal.objects.filter(pk=gates[0].pk).update(area=two)

    act(action, [gates[0].id, gates[1].id], status=400)
    assert commands() == []
    act(action, [gates[0].id])


def test_asking_again_for_what_waits_adds_nothing(gates: list[Terminal], act: Act) -> None:
    act("reboot", [gates[0].id])
    TerminalCommand.objects.update(expires_at=timezone.now() + timedelta(minutes=1))

    act("reboot", [gates[0].id, gates[1].id])

    assert commands() == [("G1", "reboot", "queued"), ("G2", "reboot", "queued")]
    assert all(each.expires_at > timezone.now() + timedelta(hours=1) for each in TerminalCommand.objects.all())


def test_clear_command_cancels_what_waits_and_says_so(gates: list[Terminal], act: Act, get: Reader) -> None:
    act("reboot", [gates[0].id, gates[1].id])
    act("upload_all", [gates[0].id])

    act("clear_command", [gates[0].id, gates[2].id])

    assert commands() == [
        ("G1", "reboot", "cancelled"),
        ("G2", "reboot", "queued"),
        ("G1", "upload_all", "cancelled"),
        ("G1", "clear_command", "done"),
        ("G3", "clear_command", "done"),
    ]
    told = get(COMMANDS, kind="clear_command")["data"]
    assert [row["result"] for row in told] == ["Waiting commands cancelled: 2.", "Waiting commands cancelled: 0."]
    assert all(row["finished_at"] for row in told)


def test_approval_and_blocking_are_written_down(gates: list[Terminal], hr: User, act: Act) -> None:
    act("block", [gates[0].id])
    assert Terminal.objects.get(sn="G1").admission == "blocked"
    assert not SyncMark.objects.exists()

    act("approve", [gates[0].id])
    assert Terminal.objects.get(sn="G1").admission == "approved"
    assert SyncMark.objects.pending().get().terminal == gates[0]
    entries = AuditEntry.objects.order_by("id").values_list("user", "action", "subject", "detail")
    assert list(entries) == [
        (hr.id, "iclock.block", "Gate 1 (G1)", {"sn": "G1"}),
        (hr.id, "iclock.approve", "Gate 1 (G1)", {"sn": "G1"}),
    ]


@pytest.mark.parametrize("action", QUEUED)
def test_actions_are_posts(action: str, token_client: Client) -> None:
    assert token_client.get(f"{PATH}{action}/").status_code == 405


def test_a_command_is_readable(gates: list[Terminal], act: Act, get: Reader) -> None:
    act("reboot", [gates[0].id])
    command = TerminalCommand.objects.get()

    row = {
        "id": command.id,
        "terminal": gates[0].id,
        "kind": "reboot",
        "state": "queued",
        "result": "",
        "created_at": f"{command.created_at:%Y-%m-%d %H:%M:%S}",
        "sent_at": None,
        "finished_at": None,
    }
    assert get(COMMANDS)["data"] == [row]
    assert list(get(f"{COMMANDS}{command.id}/").items()) == list(row.items())


def test_commands_are_filtered(gates: list[Terminal], act: Act, get: Reader) -> None:
    act("reboot", [gates[0].id, gates[1].id])
    act("upload_all", [gates[1].id])
    TerminalCommand.objects.filter(kind="upload_all").update(state="done")
    ids = list(TerminalCommand.objects.values_list("id", flat=True))

    def found(**parameters: Any) -> list[int]:
        return [ids.index(row["id"]) for row in get(COMMANDS, **parameters)["data"]]

    assert found(terminal=gates[1].id) == [1, 2]
    assert found(kind="reboot") == [0, 1]
    assert found(state="done") == [2]
    assert found(state="queued", terminal=gates[0].id) == [0]
    assert found(ordering="-id") == [2, 1, 0]


def test_what_is_overdue_reads_as_expired_before_that_is_written_down(
    gates: list[Terminal], act: Act, get: Reader
) -> None:
    act("reboot", [gates[0].id])
    TerminalCommand.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    row = get(COMMANDS, state="expired")["data"][0]

    assert (row["state"], row["result"]) == ("expired", "Nobody reached the terminal in time.")
    assert get(COMMANDS, state="queued")["data"] == []
    assert commands() == [("G1", "reboot", "queued")]


def test_commands_are_not_written(gates: list[Terminal], act: Act, token_client: Client) -> None:
    act("reboot", [gates[0].id])

    assert token_client.post(COMMANDS, {"terminal": gates[0].id}).status_code == 405
    assert token_client.delete(f"{COMMANDS}{TerminalCommand.objects.get().id}/").status_code == 405


def test_commands_are_read_within_the_limits_and_with_the_permission(
    gates: list[Terminal], hr: User, act: Act, get: Reader
) -> None:
    act("reboot", [gates[0].id, gates[1].id])
    two = Area.objects.create(area_code="2", area_name="Two")
    Terminal.objects.filter(pk=gates[1].pk).update(area=two)
    AreaLimit.objects.create(user=hr, area=two)

    assert [row["terminal"] for row in get(COMMANDS)["data"]] == [gates[1].id]
    get(f"{COMMANDS}{TerminalCommand.objects.get(terminal=gates[0]).id}/", status=404)
    hr.user_permissions.remove(Permission.objects.get(codename="view_terminalcommand"))
    get(COMMANDS, status=403)


def test_a_page_of_commands_costs_as_many_queries_for_three_rows_as_for_one(
    gates: list[Terminal], act: Act, get: Reader
) -> None:
    act("reboot", [gates[0].id])
    get(COMMANDS)
    with CaptureQueriesContext(connection) as one:
        get(COMMANDS)
    act("reboot", [gate.id for gate in gates])
    with CaptureQueriesContext(connection) as three:
        get(COMMANDS)

    assert len(one) == len(three) <= 6
