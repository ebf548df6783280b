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
from iclock.models import SyncMark, Terminal, TerminalCommand, TerminalPerson
from personnel.models import Area, Employee
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


@pytest.fixture
def two(terminal: Terminal) -> Area:
    """The terminal's area: Ana belongs there and was placed, Bob was placed as well; the third is nobody's."""
    area = Area.objects.create(area_code="2", area_name="Two")
    Terminal.objects.update(area=area)
    for code, placed in (("7", True), ("8", True), ("99", False)):
        TerminalPerson.objects.create(terminal=terminal, emp_code=code, held=True, placed=placed)
    for code in ("7", "8"):
        Employee.objects.create(emp_code=code, department_id=1, first_name=code).areas.set([area])
    return area


def refused(client: Client, terminal: Terminal, **typed: object) -> list[str]:
    """Why the form isn't saved, beside the box that is to be ticked; nothing if it is."""
    answer = client.post(f"{TERMINALS}{terminal.pk}/change/", {**ENTERED, **typed})
    if answer.status_code == 302:
        return []
    errors: dict[str, list[str]] = answer.context["adminform"].form.errors
    assert list(errors) == ["remove_people"]
    return errors["remove_people"]


def test_an_area_that_empties_the_unit_is_saved_only_if_that_is_said(
    admin_client: Client, terminal: Terminal, two: Area
) -> None:
    other = Area.objects.create(area_code="3", area_name="Three")
    Employee.objects.get(emp_code="7").areas.add(other)

    (sentence,) = refused(admin_client, terminal, area=other.pk)

    assert sentence.startswith("1 person will be deleted from the unit, with their cards, passwords and fingerprints")
    terminal.refresh_from_db()
    assert terminal.area == two
    assert not SyncMark.objects.exists()
    assert "2 people" in refused(admin_client, terminal, area=1)[0]
    assert refused(admin_client, terminal, area=other.pk, remove_people="on") == []
    terminal.refresh_from_db()
    assert terminal.area == other


def test_a_policy_that_removes_the_unknown_is_saved_only_if_that_is_said(
    admin_client: Client, terminal: Terminal, two: Area
) -> None:
    policy = {"area": two.pk, "strangers": "removed"}

    assert refused(admin_client, terminal, **policy)[0].startswith("1 person will be deleted")
    assert refused(admin_client, terminal, **policy, direction="import") == []  # nothing is written to it
    assert refused(admin_client, terminal, **policy, direction="export")[0].startswith("1 person will be deleted")
    assert refused(admin_client, terminal, **policy, direction="export", remove_people="on") == []
    # Who goes already is asked about no more.
    assert refused(admin_client, terminal, **policy, direction="both", alias="Renamed") == []


def test_where_nobody_goes_nothing_is_asked(admin_client: Client, terminal: Terminal, two: Area) -> None:
    wider = Area.objects.create(area_code="3", area_name="Three")
    for person in Employee.objects.all():
        person.areas.add(wider)

    assert refused(admin_client, terminal, area=two.pk, alias="Renamed") == []
    assert refused(admin_client, terminal, area=wider.pk) == []
    assert refused(admin_client, terminal, area=1, direction="off") == []


def test_who_may_only_look_at_a_terminal_is_asked_nothing(client: Client, terminal: Terminal, two: Area) -> None:
    clerk = User.objects.create_user("clerk", password="x", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_terminal"))
    client.force_login(clerk)

    page = client.get(f"{TERMINALS}{terminal.pk}/change/")

    assert page.status_code == 200
    assert "Remove them from the unit" not in page.text
