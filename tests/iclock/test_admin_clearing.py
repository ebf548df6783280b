"""Clearing logs in the administration: a page between says what will happen; a permission of its own is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponseBase
from django.test import Client

from iclock.domain.ingest import record_punches
from iclock.models import Terminal, TerminalCommand
from iclock.punch import Punch, Source
from personnel.models import Area
from personnel.models.scope import AreaLimit
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db
TERMINALS = "/admin/iclock/terminal/"

Post = Callable[..., str]


@pytest.fixture
def clerk(db: None) -> User:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(
        Permission.objects.filter(codename__in=["view_terminal", "change_terminal", "clear_log"])
    )
    return clerk


@pytest.fixture
def post(client: Client, clerk: User) -> Post:
    client.force_login(clerk)

    def send(*terminals: Terminal, **more: str) -> str:
        chosen = {"action": "clear_log", "_selected_action": [each.pk for each in terminals], **more}
        response: HttpResponseBase = client.post(TERMINALS, chosen, follow=True)
        return response.text  # type: ignore[attr-defined, no-any-return]

    return send


def asked() -> list[tuple[str, str]]:
    return list(TerminalCommand.objects.order_by("id").values_list("terminal__sn", "kind"))


@pytest.mark.django_db(transaction=True)
def test_a_page_says_what_will_happen_to_which_terminals_before_anything_does(post: Post, terminal: Terminal) -> None:
    other = Terminal.objects.create(sn="<B>", alias="<script>", transaction_count=7)
    Terminal.objects.filter(pk=terminal.pk).update(transaction_count=4_711)
    punches = [Punch("7", datetime(2026, 3, 2, 8, 0, second), 0, 1) for second in range(3)]
    record_punches(terminal, punches, source=Source.PULL)

    page = post(terminal, other)

    assert "The punch log of 2 terminals will be emptied" in page
    assert "<tr><td>Gate (CKJF201260077)<td>4711<td>3" in page
    assert "<tr><td>&lt;script&gt; (&lt;B&gt;)<td>7<td>0" in page
    assert page.count("It is not polled: nothing happens until it is, and the wish ends after a day.") == 2
    assert (asked(), AuditEntry.objects.count()) == ([], 0)


def test_what_is_confirmed_is_asked_for_and_written_down(post: Post, terminal: Terminal, clerk: User) -> None:
    page = post(terminal, confirmed="yes")

    assert "Asked for: the list of commands says what comes of it." in page
    assert asked() == [("CKJF201260077", "clear_log")]
    assert TerminalCommand.objects.get().created_by == clerk
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.action, entry.detail) == (clerk, "iclock.ask_to_clear_log", {"sn": "CKJF201260077"})


@pytest.mark.parametrize("missing", ["clear_log", "change_terminal"])
def test_nobody_clears_without_the_permissions(missing: str, post: Post, terminal: Terminal, clerk: User) -> None:
    clerk.user_permissions.remove(Permission.objects.get(codename=missing))

    post(terminal, confirmed="yes")

    assert (asked(), AuditEntry.objects.count()) == ([], 0)


def test_logs_outside_of_the_limits_are_not_cleared(post: Post, terminal: Terminal, clerk: User) -> None:
    AreaLimit.objects.create(user=clerk, area=Area.objects.create(area_code="2", area_name="Two"))

    post(terminal, confirmed="yes")

    assert asked() == []


def test_no_more_terminals_at_once_than_a_page_can_count(post: Post) -> None:
    many = [Terminal.objects.create(sn=f"T{number}", alias="T") for number in range(101)]

    assert "At most 100 terminals at once." in post(*many, confirmed="yes")
    assert asked() == []


def test_neither_of_the_platforms_groups_may_clear_a_log(db: None) -> None:
    assert not Permission.objects.get(codename="clear_log").group_set.exists()
