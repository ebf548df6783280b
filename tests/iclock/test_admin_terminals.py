"""Terminals in the administration: the same verbs as the API's, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from iclock.domain.commands import queue_commands
from iclock.models import SyncMark, Terminal, TerminalCommand
from personnel.models import Area
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db
TERMINALS = "/admin/iclock/terminal/"
COMMANDS = "/admin/iclock/terminalcommand/"
ENTERED = {
    "alias": "Gate",
    "area": "1",
    "time_zone": "UTC",
    "admission": "approved",
    "heartbeat": "10",
    "transfer_time": "00:00;14:05",
    "transfer_interval": "1",
    "direction": "both",
    "strangers": "kept",
}


@pytest.fixture
def act(admin_client: Client, terminal: Terminal) -> Callable[[str], str]:
    def post(action: str) -> str:
        chosen = {"action": action, "_selected_action": [terminal.pk]}
        return admin_client.post(TERMINALS, chosen, follow=True).text

    return post


@pytest.mark.parametrize(("action", "kind"), [("read_now", "upload_transaction"), ("reboot", "reboot")])
def test_an_action_queues_a_command(action: str, kind: str, act: Any, admin_user: User) -> None:
    assert "Queued; the list of commands" in act(action)

    command = TerminalCommand.objects.get()
    assert (command.kind, command.state, command.created_by) == (kind, "queued", admin_user)


def test_waiting_commands_are_cancelled(act: Any) -> None:
    act("reboot")
    act("cancel_waiting")

    assert list(TerminalCommand.objects.values_list("state", flat=True)) == ["cancelled", "done"]


@pytest.mark.parametrize(("action", "admission"), [("block", "blocked"), ("approve", "approved")])
def test_admission_is_written_down(action: str, admission: str, act: Any, terminal: Terminal) -> None:
    act(action)

    terminal.refresh_from_db()
    assert terminal.admission == admission
    assert AuditEntry.objects.get().action == f"iclock.{action}"


def test_a_terminal_in_another_area_waits_for_its_people(admin_client: Client, terminal: Terminal) -> None:
    page = f"{TERMINALS}{terminal.pk}/change/"
    assert "Up to date" in admin_client.get(page).text

    admin_client.post(page, {**ENTERED, "alias": "Renamed"})
    assert not SyncMark.objects.exists()

    area = Area.objects.create(area_code="2", area_name="Two")
    assert admin_client.post(page, {**ENTERED, "area": area.pk}).status_code == 302
    assert SyncMark.objects.pending().get().terminal == terminal
    assert "Waiting since" in admin_client.get(page).text


@pytest.mark.parametrize(("field", "value"), [("sn", "A B"), ("transfer_time", "noon")])
def test_what_the_api_refuses_is_refused_here(field: str, value: str, admin_client: Client) -> None:
    answer = admin_client.post(f"{TERMINALS}add/", {"sn": "NEW1", **ENTERED, field: value})

    assert list(answer.context["adminform"].form.errors) == [field]


def test_a_terminal_with_commands_can_be_deleted(admin_client: Client, terminal: Terminal, admin_user: User) -> None:
    queue_commands([terminal], "reboot", user=admin_user)

    page = f"{TERMINALS}{terminal.pk}/delete/"
    assert "terminal commands: 1" in admin_client.get(page).text.lower()
    admin_client.post(page, {"post": "yes"})
    assert not Terminal.objects.exists()


def test_commands_are_cancelled_one_by_one(admin_client: Client, terminal: Terminal, admin_user: User) -> None:
    for kind in ("reboot", "upload_all"):
        queue_commands([terminal], kind, user=admin_user)
    chosen = TerminalCommand.objects.get(kind="reboot")

    admin_client.post(COMMANDS, {"action": "cancel", "_selected_action": [chosen.pk]})

    assert list(TerminalCommand.objects.values_list("kind", "state")) == [
        ("reboot", "cancelled"),
        ("upload_all", "queued"),
    ]


def test_cancelling_asks_for_the_permission_to_change_terminals(client: Client, terminal: Terminal) -> None:
    clerk = User.objects.create_user("clerk", password="x", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_terminalcommand"))
    queue_commands([terminal], "reboot", user=clerk)
    client.force_login(clerk)

    client.post(COMMANDS, {"action": "cancel", "_selected_action": [TerminalCommand.objects.get().pk]})

    assert TerminalCommand.objects.get().state == "queued"


def test_an_overdue_command_reads_as_expired(admin_client: Client, terminal: Terminal, admin_user: User) -> None:
    queue_commands([terminal], "reboot", user=admin_user)
    TerminalCommand.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert "Nobody reached the terminal in time." in admin_client.get(COMMANDS).text
