"""What a terminal was asked to do is carried out by the next visit to its device, which is due at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from devices import protocol
from devices.domain import schedule
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Close, Faults, Latency, Reboot, SimulatedTerminal
from iclock.domain.commands import clear_commands, queue_commands
from iclock.domain.terminals import call_terminals, remove_terminals
from iclock.models import Terminal, TerminalCommand, Transaction
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

READS_OF_TABLES = protocol.CMD_PREPARE_BUFFER
FAR = timedelta(hours=1)


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.COMMAND)
    assert run is not None
    return run


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("hr")


@pytest.fixture
def known(device: Device) -> Device:
    """Visited once, and not due for an hour."""
    visit(device)
    Device.objects.update(next_poll_at=timezone.now() + FAR)
    device.refresh_from_db()
    return device


@pytest.fixture
def ask(known: Device, user: User) -> Callable[[str], TerminalCommand]:
    def queue(kind: str) -> TerminalCommand:
        queue_commands([known.terminal], kind, user=user)  # type: ignore[list-item]
        return TerminalCommand.objects.get(kind=kind)

    return queue


Ask = Callable[[str], TerminalCommand]


def outcome(command: TerminalCommand) -> tuple[str, str]:
    command.refresh_from_db()
    return command.state, command.result


def is_due(device: Device) -> bool:
    device.refresh_from_db()
    return device.next_poll_at <= timezone.now()


@pytest.mark.parametrize("kind", TerminalCommand.Kind.values)
def test_a_command_makes_the_device_due(kind: str, known: Device, ask: Ask) -> None:
    assert not is_due(known)

    ask(kind)

    assert is_due(known)


def test_poll_now_makes_the_device_due(known: Device) -> None:
    call_terminals([known.terminal_id])  # type: ignore[list-item]

    assert is_due(known)


def test_only_polled_devices_of_called_terminals_become_due(known: Device) -> None:
    Device.objects.update(enabled=False)
    other = Device.objects.create(key="b", name="B", host="10.0.0.2", next_poll_at=timezone.now() + FAR)

    call_terminals([known.terminal_id])  # type: ignore[list-item]

    assert (is_due(known), is_due(other)) == (False, False)


@pytest.mark.parametrize(("kind", "tables"), [("upload_all", 2), ("upload_transaction", 1)])
def test_the_log_is_read_whatever_its_counter_says(
    kind: str, tables: int, known: Device, unit: SimulatedTerminal, ask: Ask
) -> None:
    """With everything the people are read, too."""
    command, read = ask(kind), unit.commands().count(READS_OF_TABLES)

    run = visit(known)

    assert (run.outcome, run.announced, run.known, run.new) == ("ok", 3_000, 3_000, 0)
    assert outcome(command) == ("done", "3000 punches read, 0 new.")
    assert unit.commands().count(READS_OF_TABLES) == read + tables
    assert visit(known).outcome == "unchanged"


def test_the_sentence_tells_what_was_new(known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    command = ask("upload_transaction")
    unit.punch("1001", at=datetime(2026, 3, 3, 8))

    visit(known)

    assert outcome(command) == ("done", "3001 punches read, 1 new.")


def test_an_empty_log_is_read_too(known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    command = ask("upload_all")
    unit.clear_log()

    visit(known)

    assert outcome(command) == ("done", "0 punches read, 0 new.")


def test_a_single_punch_is_counted_as_one(known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    command = ask("upload_all")
    unit.clear_log()
    unit.punch("1001")

    visit(known)

    assert outcome(command) == ("done", "1 punch read, 1 new.")


def test_a_terminal_that_is_away_finds_its_commands_at_its_return(
    known: Device, unit: SimulatedTerminal, ask: Ask
) -> None:
    reading, restart = ask("upload_all"), ask("reboot")
    unit.stop()

    assert visit(known).outcome == "failed"
    assert [outcome(reading)[0], outcome(restart)[0]] == ["queued", "queued"]

    unit.start()
    visit(known)
    assert [outcome(reading)[0], outcome(restart)[0]] == ["done", "done"]


def test_a_read_that_broke_off_is_done_by_the_next_visit(known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    command = ask("upload_all")
    unit.faults = Faults(Close(command=READS_OF_TABLES, after=5))

    assert visit(known).outcome == "failed"
    assert outcome(command) == ("sent", "")

    unit.faults = Faults()
    visit(known)
    assert outcome(command) == ("done", "3000 punches read, 0 new.")


def test_a_unit_is_restarted_after_everything_is_stored(known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    unit.punch("1001", at=datetime(2026, 3, 3, 8))
    unit.disabled = True
    command = ask("reboot")

    run = visit(known)

    assert (run.outcome, run.new) == ("ok", 1)
    assert outcome(command) == ("done", "Restarted.")
    assert (unit.reboots, unit.disabled) == (1, False)
    assert unit.commands().index(protocol.CMD_RESTART) == len(unit.commands()) - 1
    assert len(unit.ledger()) == Transaction.objects.count() == 3_001
    assert visit(known).outcome == "unchanged"
    assert unit.reboots == 1


def test_a_unit_that_leaves_without_an_answer_was_restarted(known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    command = ask("reboot")
    unit.faults = Faults(Reboot(command=protocol.CMD_RESTART))

    visit(known)

    assert outcome(command) == ("done", "Restarted.")


def test_a_restart_that_is_not_answered_is_not_asked_for_again(
    known: Device, unit: SimulatedTerminal, ask: Ask
) -> None:
    command = ask("reboot")
    unit.faults = Faults(Latency(command=protocol.CMD_RESTART, seconds=3))

    assert visit(known).outcome == "unchanged"
    state, sentence = outcome(command)
    assert (state, sentence.startswith("Sent, but: 127.0.0.1:")) == ("failed", True)

    unit.faults = Faults()
    visit(known)
    assert unit.commands().count(protocol.CMD_RESTART) == 1


def test_a_restart_whose_connection_fails_waits_for_the_next_visit(
    known: Device, unit: SimulatedTerminal, ask: Ask
) -> None:
    command = ask("reboot")
    unit.faults = Faults(Close(command=protocol.CMD_CONNECT, nth=2))

    assert visit(known).outcome == "unchanged"
    assert outcome(command) == ("queued", "")
    assert not is_due(known)

    unit.faults = Faults()
    visit(known)
    assert outcome(command) == ("done", "Restarted.")


def test_a_restart_left_by_a_dead_worker_is_never_repeated(known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    command = ask("reboot")
    TerminalCommand.objects.update(state="sent", sent_at=timezone.now() - timedelta(minutes=10))

    visit(known)

    assert outcome(command) == ("sent", "")
    assert unit.reboots == 0


def test_a_read_left_by_a_dead_worker_is_done(known: Device, ask: Ask) -> None:
    command = ask("upload_all")
    TerminalCommand.objects.update(state="sent", sent_at=timezone.now() - timedelta(minutes=10))

    visit(known)

    assert outcome(command)[0] == "done"


@pytest.mark.parametrize("kind", ["clear_all", "clear_capture"])
def test_what_the_pull_side_cant_do_stays_queued(kind: str, known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    command = ask(kind)

    visit(known)

    assert outcome(command) == ("queued", "")
    assert len(unit.ledger()) == 3_000
    assert not is_due(known)


def test_a_cancelled_command_is_not_carried_out(known: Device, unit: SimulatedTerminal, ask: Ask, user: User) -> None:
    command = ask("reboot")
    clear_commands([known.terminal], user=user)  # type: ignore[list-item]

    visit(known)

    assert outcome(command)[0] == "cancelled"
    assert unit.reboots == 0


def test_what_is_asked_for_during_a_visit_is_not_put_off(
    known: Device, unit: SimulatedTerminal, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wish comes after the visit looked for some, and before its end says when the next one is."""
    real = schedule.wait_after

    def ask_meanwhile(**given: float) -> timedelta:
        if not TerminalCommand.objects.exists():
            ask("reboot")
        return real(**given)  # type: ignore[arg-type]

    monkeypatch.setattr(schedule, "wait_after", ask_meanwhile)
    visit(known)
    assert is_due(known)

    visit(known)
    assert not is_due(known)
    assert unit.reboots == 1


def test_a_blocked_terminal_is_asked_for_nothing(known: Device, unit: SimulatedTerminal, ask: Ask) -> None:
    command = ask("reboot")
    Terminal.objects.update(admission="blocked")

    assert visit(known).error_code == "blocked"
    assert (outcome(command)[0], unit.reboots) == ("queued", 0)


def test_a_deleted_terminal_doesnt_come_back_by_itself(known: Device, unit: SimulatedTerminal) -> None:
    remove_terminals([known.terminal_id], actor="test")

    known.refresh_from_db()
    assert (known.enabled, known.terminal) == (False, None)
    assert schedule.claim_due() == []
    assert Transaction.objects.count() == 3_000

    Device.objects.update(enabled=True)
    assert visit(known).new == 0
    assert Terminal.objects.get().sn == "CKJF201260077"
