"""A command's state only moves forward, and of those who want to move it one does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from iclock.domain import commands
from iclock.domain.commands import (
    cancel_commands,
    claim_commands,
    clear_commands,
    expire_commands,
    finish_command,
    queue_commands,
)
from iclock.models import Terminal, TerminalCommand
from iclock.tasks import expire_commands as task
from iclock.tasks import purge_commands as purge_task
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = TerminalCommand.Kind.values


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("hr")


@pytest.fixture
def queue(terminal: Terminal, user: User) -> Callable[[str], TerminalCommand]:
    def ask(kind: str) -> TerminalCommand:
        queue_commands([terminal], kind, user=user)
        return TerminalCommand.objects.get(kind=kind, state="queued")

    return ask


Queue = Callable[[str], TerminalCommand]


def states() -> list[str]:
    return list(TerminalCommand.objects.values_list("state", flat=True))


def race(*contenders: Callable[[], Any]) -> list[Any]:
    """What each gave, in their order."""
    barrier, given = Barrier(len(contenders)), [None] * len(contenders)

    def run(place: int) -> None:
        barrier.wait(timeout=10)
        given[place] = contenders[place]()
        connection.close()

    threads = [Thread(target=run, args=(place,)) for place in range(len(contenders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return given


def test_claimed_commands_are_sent_once(terminal: Terminal, queue: Queue) -> None:
    queue("reboot")
    queue("upload_all")
    queue("clear_all")
    now = timezone.now()

    claimed = claim_commands(terminal.pk, ["reboot", "upload_all"], since=now)

    assert [command.kind for command in claimed] == ["reboot", "upload_all"]
    assert states() == ["sent", "sent", "queued"]
    assert claim_commands(terminal.pk, ["reboot", "upload_all"], since=now) == []


def test_a_terminals_commands_are_not_anothers(terminal: Terminal, queue: Queue) -> None:
    queue("reboot")
    other = Terminal.objects.create(sn="X", alias="Other")

    assert claim_commands(other.pk, KINDS, since=timezone.now()) == []


@pytest.mark.parametrize("kind", ["reboot", "upload_transaction"])
def test_of_two_workers_one_gets_a_command(kind: str, terminal: Terminal, queue: Queue) -> None:
    queue(kind)
    since = timezone.now()

    both = race(*[lambda: claim_commands(terminal.pk, [kind], since=since)] * 2)

    assert sorted(map(len, both)) == [0, 1]


def test_a_command_is_either_cancelled_or_claimed(terminal: Terminal, queue: Queue) -> None:
    for _ in range(10):
        command = queue("reboot")
        since = timezone.now()

        claimed, cancelled = race(
            partial(claim_commands, terminal.pk, ["reboot"], since=since),
            lambda: cancel_commands(TerminalCommand.objects.all()),
        )

        command.refresh_from_db()
        assert (len(claimed), cancelled, command.state) in [(1, 0, "sent"), (0, 1, "cancelled")]


def test_two_who_ask_at_once_ask_once(terminal: Terminal, user: User) -> None:
    race(*[lambda: queue_commands([terminal], "reboot", user=user)] * 4)

    assert states() == ["queued"]


def test_what_was_sent_can_be_asked_for_again(terminal: Terminal, queue: Queue) -> None:
    queue("reboot")
    claim_commands(terminal.pk, ["reboot"], since=timezone.now())
    queue("reboot")

    assert states() == ["sent", "queued"]


@pytest.mark.parametrize(("ok", "state"), [(True, "done"), (False, "failed")])
def test_a_claimed_command_is_finished_once(ok: bool, state: str, terminal: Terminal, queue: Queue) -> None:
    queue("reboot")
    (command,) = claim_commands(terminal.pk, ["reboot"], since=timezone.now())

    assert finish_command(command, ok=ok, sentence="x" * 400)
    assert not finish_command(command, ok=not ok, sentence="too late")

    command.refresh_from_db()
    assert (command.state, command.result) == (state, "x" * 300)
    assert command.finished_at is not None


def test_a_read_that_a_dead_worker_left_is_claimed_anew_and_the_dead_one_cant_finish_it(
    terminal: Terminal, queue: Queue
) -> None:
    queue("upload_all")
    (dead,) = claim_commands(terminal.pk, ["upload_all"], since=timezone.now())

    (anew,) = claim_commands(terminal.pk, ["upload_all"], since=timezone.now())

    assert anew.pk == dead.pk
    assert not finish_command(dead, ok=False, sentence="from the grave")
    assert finish_command(anew, ok=True, sentence="done")


def test_a_restart_that_a_dead_worker_left_is_never_claimed_anew(terminal: Terminal, queue: Queue) -> None:
    queue("reboot")
    claim_commands(terminal.pk, ["reboot"], since=timezone.now())

    assert claim_commands(terminal.pk, ["reboot"], since=timezone.now()) == []


def test_cancelling_touches_only_what_waits(terminal: Terminal, queue: Queue, user: User) -> None:
    queue("reboot")
    claim_commands(terminal.pk, ["reboot"], since=timezone.now())
    queue("upload_all")

    clear_commands([terminal], user=user)

    assert states() == ["sent", "cancelled", "done"]
    assert TerminalCommand.objects.get(state="cancelled").result == commands.CANCELLED


def test_what_nobody_came_for_expires(terminal: Terminal, queue: Queue) -> None:
    for kind in ("reboot", "upload_all", "clear_all"):
        queue(kind)
    claim_commands(terminal.pk, ["upload_all"], since=timezone.now())
    assert expire_commands() == 0
    TerminalCommand.objects.update(expires_at=timezone.now())

    assert claim_commands(terminal.pk, KINDS, since=timezone.now()) == []
    assert expire_commands() == 3
    assert set(states()) == {"expired"}
    assert set(TerminalCommand.objects.values_list("result", flat=True)) == {commands.EXPIRED}


def test_a_restart_without_an_answer_fails_in_the_end(terminal: Terminal, queue: Queue) -> None:
    queue("reboot")
    claim_commands(terminal.pk, ["reboot"], since=timezone.now())
    TerminalCommand.objects.update(expires_at=timezone.now())
    assert expire_commands() == 0
    TerminalCommand.objects.update(sent_at=timezone.now() - commands.PATIENCE - timedelta(seconds=1))

    task()

    command = TerminalCommand.objects.get()
    assert (command.state, command.result) == ("failed", "Sent, but no answer came.")


def test_an_expired_wish_is_no_obstacle_to_a_new_one(terminal: Terminal, queue: Queue) -> None:
    queue("reboot")
    TerminalCommand.objects.update(expires_at=timezone.now())
    queue("reboot")

    assert states() == ["expired", "queued"]


def test_what_was_over_long_ago_is_forgotten(terminal: Terminal, queue: Queue, user: User) -> None:
    queue("reboot")
    clear_commands([terminal], user=user)
    TerminalCommand.objects.filter(kind="reboot").update(finished_at=timezone.now() - timedelta(days=31))
    queue("upload_all")

    purge_task()

    assert list(TerminalCommand.objects.values_list("kind", flat=True)) == ["clear_command", "upload_all"]


def test_commands_go_with_their_terminal(terminal: Terminal, queue: Queue) -> None:
    queue("reboot")
    terminal.delete()

    assert states() == []
