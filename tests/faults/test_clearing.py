"""Rows 15, 24 and 32 of the fault matrix where they are about clearing: nothing is cleared that isn't stored here."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from devices import protocol
from devices.models import Device
from devices.simulator import Faults, PunchAfter, SimulatedTerminal
from iclock.domain.clearing import ask_to_clear
from iclock.models import Alarm, Terminal, TerminalCommand
from tests.faults.stack import TURN, Stack, Unit, eventually, key_of
from tests.faults.visits import Gate, a_spec, closing, ledger, polled, stored, visit
from zkbio.accounts.models import User

LEASE_SECONDS = 61
PUNCHES = 3_000
CLEAR = protocol.CMD_CLEAR_ATTLOG
SIZES = protocol.CMD_GET_FREE_SIZES
LEFT_ALONE = ("failed", "Nothing was cleared, and nothing is lost: it was interrupted. Ask again.")
NOT_CARRIED_OUT = (
    "failed",
    "The log is still there, and nothing is lost: the worker was interrupted. Ask again once that is mended.",
)
CARRIED_OUT = ("done", "Cleared, all of it is stored here; but the worker was interrupted.")
_ASK = """
import sys
from django.contrib.auth import get_user_model
from iclock.domain.clearing import ask_to_clear
from iclock.models import Terminal
user = get_user_model().objects.get(username="faults")
ask_to_clear(list(Terminal.objects.filter(sn=sys.argv[1])), user=user, actor=user)
"""


@dataclass(frozen=True)
class LostOnTheWay(Gate):
    """The command is on its way when its sender dies, and never arrives."""

    def received(self, data: bytes) -> bytes | None:
        self.reached.set()
        assert self.opened.wait(timeout=60)
        return None

    def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
        return packets


@contextmanager
def asked(stack: Stack) -> Iterator[Unit]:
    """A terminal that was read, whose people punched again since, and whose log is to be cleared."""
    with stack.units(1, punches=PUNCHES) as (unit,):
        stack.sync(unit)
        unit.fill_to(PUNCHES + 5)
        stack.django(_ASK, unit.spec.serial)
        yield unit


def outcomes(stack: Stack, unit: Unit) -> list[tuple[str, str]]:
    return stack.query(
        "SELECT state, result FROM iclock_terminalcommand JOIN iclock_terminal t ON t.id = terminal_id"
        " WHERE t.sn = %s AND kind = 'clear_log' ORDER BY iclock_terminalcommand.id",
        unit.spec.serial,
    )


def trail(stack: Stack, unit: Unit) -> list[tuple[str, str]]:
    return stack.query(
        "SELECT actor, action FROM accounts_auditentry WHERE detail->>'sn' = %s ORDER BY id", unit.spec.serial
    )


def alarms(stack: Stack, unit: Unit) -> list[tuple[Any, ...]]:
    return stack.query(
        "SELECT kind, sentence FROM iclock_alarm JOIN iclock_terminal t ON t.id = terminal_id WHERE t.sn = %s",
        unit.spec.serial,
    )


@contextmanager
def stopped_at(stack: Stack, unit: Unit, gate: Gate) -> Iterator[subprocess.Popen[str]]:
    """A visit in a process of its own that has come to the gate; killed at the end, before the gate opens."""
    unit.faults = Faults(gate)
    with stack.start_sync(unit) as process:
        assert gate.reached.wait(timeout=60)
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=10)
            gate.opened.set()
    unit.faults = Faults()


def assert_settled(stack: Stack, unit: Unit, outcome: tuple[str, str], *, cleared: bool) -> None:
    """What must hold after the next contact, wherever the worker was killed."""
    before = unit.clearings[:]
    stack.elapse(LEASE_SECONDS)
    (report,) = stack.sync(unit)

    assert (report["outcome"], report["error"]) in {("ok", ""), ("unchanged", "")}
    assert outcomes(stack, unit) == [outcome]
    assert trail(stack, unit) == [
        ("faults", "iclock.ask_to_clear_log"),
        ("sync", "iclock.clear_log" if cleared else "iclock.refuse_to_clear_log"),
    ]
    assert unit.clearings == before
    assert len(unit.clearings) == cleared
    assert not unit.disabled
    stack.assert_equal_to_the_ledgers([unit])
    assert alarms(stack, unit) == []
    assert stack.query("SELECT disabled_at FROM devices_device WHERE key = %s", key_of(unit)) == [(None,)]


def test_a_log_is_cleared_once_all_of_it_is_stored(stack: Stack) -> None:
    with asked(stack) as unit:
        (report,) = stack.sync(unit)

        assert (report["outcome"], report["new"]) == ("ok", 5)
        assert outcomes(stack, unit) == [("done", f"Cleared: {PUNCHES + 5} punches are stored here.")]
        assert (len(unit.clearings), unit.counts().punches, unit.disabled) == (1, 0, False)
        unit.punch("1001")
        (report,) = stack.sync(unit)
        assert (report["outcome"], report["new"]) == ("ok", 1)
        stack.assert_equal_to_the_ledgers([unit])
        assert alarms(stack, unit) == []
        assert len(unit.clearings) == 1


def test_row_15_killed_before_the_commit(stack: Stack) -> None:
    with asked(stack) as unit:
        gate = Gate(command=protocol.CMD_DISABLEDEVICE)
        unit.faults = Faults(gate)
        with stack.start_sync(unit) as doomed:
            assert gate.reached.wait(timeout=60)
            with stack.holding("SELECT pg_advisory_xact_lock(%s)", TURN):
                gate.opened.set()
                assert eventually(lambda: stack.waiting_for_the_turn() == 1)
                doomed.kill()
                doomed.wait(timeout=10)
        unit.faults = Faults()
        assert eventually(lambda: stack.waiting_for_the_turn() == 0)
        assert unit.disabled

        assert_settled(stack, unit, LEFT_ALONE, cleared=False)


def test_row_15_killed_after_the_commit(stack: Stack) -> None:
    with asked(stack) as unit:
        # The visit asks for the sizes twice, the errand before the log, after it, and once all is stored.
        with stopped_at(stack, unit, Gate(command=SIZES, nth=5)):
            assert stack.stored(unit) == PUNCHES + 5
            assert unit.disabled

        assert_settled(stack, unit, LEFT_ALONE, cleared=False)


def test_row_15_killed_before_the_clear(stack: Stack) -> None:
    with asked(stack) as unit:
        with stopped_at(stack, unit, LostOnTheWay(command=CLEAR)):
            assert outcomes(stack, unit) == [
                ("sent", f"All {PUNCHES + 5} punches are stored here; the log is being cleared.")
            ]
        assert unit.clearings == []

        assert_settled(stack, unit, NOT_CARRIED_OUT, cleared=False)


def test_row_15_killed_in_the_clear(stack: Stack) -> None:
    with asked(stack) as unit:
        with stopped_at(stack, unit, Gate(command=CLEAR)):
            assert len(unit.clearings) == 1

        assert_settled(stack, unit, CARRIED_OUT, cleared=True)


def test_row_15_killed_after_the_clear_and_before_the_note(stack: Stack) -> None:
    with asked(stack) as unit:
        with stopped_at(stack, unit, Gate(command=SIZES, nth=6)):
            assert len(unit.clearings) == 1
        unit.disabled = False  # somebody switched it off and on again, and the day goes on
        unit.punch("1002")

        assert_settled(stack, unit, CARRIED_OUT, cleared=True)


def test_row_24_a_worker_that_lost_its_lease_never_clears(stack: Stack) -> None:
    """It is stopped for longer than its lease; another one polls; it wakes in front of the clear."""
    with asked(stack) as unit:
        gate = Gate(command=SIZES, nth=5)
        unit.faults = Faults(gate)
        stack.execute("UPDATE devices_device SET timeout = 60 WHERE key = %s", key_of(unit))
        with stack.start_sync(unit) as sleeper:
            assert gate.reached.wait(timeout=60)
            _stop(sleeper.pid)
            stack.elapse(LEASE_SECONDS)
            other = stack.start_sync(unit)
            assert eventually(lambda: _taken_over(stack, unit))
            gate.opened.set()
            os.kill(sleeper.pid, signal.SIGCONT)
            said, _ = sleeper.communicate(timeout=60)
            other.communicate(timeout=60)
        unit.faults = Faults()

        assert "was taken over by another worker" in said
        assert unit.clearings == []
        assert not unit.disabled
        assert outcomes(stack, unit) == [LEFT_ALONE]
        stack.assert_equal_to_the_ledgers([unit])


@pytest.fixture
def to_clear(transactional_db: None) -> Iterator[tuple[Device, SimulatedTerminal]]:
    """A terminal that was read, and whose log is to be cleared by the next visit."""
    with polled(a_spec(punches=100)) as (device, unit):
        visit(device)
        user = User.objects.create_user("hr")
        ask_to_clear(list(Terminal.objects.all()), user=user, actor=user)
        yield device, unit


def test_row_32_a_punch_before_the_log_is_read_is_stored_and_cleared_with_the_others(
    to_clear: tuple[Device, SimulatedTerminal],
) -> None:
    """It comes between the counters and the log, in spite of the unit's being disabled."""
    device, unit = to_clear
    unit.faults = Faults(PunchAfter(user_id="1001", command=SIZES, nth=2))

    visit(device)

    assert TerminalCommand.objects.get().result == "Cleared: 101 punches are stored here."
    assert_one_good_cycle(device, unit)


def test_row_32_a_punch_after_the_log_was_read_stops_the_clear(to_clear: tuple[Device, SimulatedTerminal]) -> None:
    device, unit = to_clear
    unit.faults = Faults(PunchAfter(user_id="1001", command=SIZES, nth=3))

    visit(device)

    command = TerminalCommand.objects.get()
    assert command.state == "failed"
    assert command.result == (
        "Nothing was cleared, and nothing is lost: 100 punches were read and stored, but now the unit counts 101:"
        " did somebody punch? Ask again once that is mended."
    )
    assert (unit.clearings, unit.counts().punches) == ([], 101)
    assert_one_good_cycle(device, unit)


def test_row_32_a_punch_right_after_the_clear_is_read_next_time(to_clear: tuple[Device, SimulatedTerminal]) -> None:
    device, unit = to_clear
    unit.faults = Faults(PunchAfter(user_id="1001", command=CLEAR))

    visit(device)

    command = TerminalCommand.objects.get()
    assert command.state == "done"
    assert command.result.startswith("Cleared, all of it is stored here; but 127.0.0.1:")
    assert command.result.endswith("said that its punch log is cleared, but counts 1 punches in it.")
    assert_one_good_cycle(device, unit)


def test_row_32_nobody_can_punch_meanwhile(to_clear: tuple[Device, SimulatedTerminal]) -> None:
    device, unit = to_clear
    gate = Gate(command=SIZES, nth=4)
    unit.faults = Faults(gate)

    with ThreadPoolExecutor(1) as thread:
        visiting = thread.submit(closing, visit, device)
        assert gate.reached.wait(timeout=10)
        assert unit.punch("1001") is None
        gate.opened.set()
        visiting.result(timeout=30)

    assert TerminalCommand.objects.get().state == "done"
    assert unit.punch("1001") is not None
    assert_one_good_cycle(device, unit)


def assert_one_good_cycle(device: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults()
    assert visit(device).error == ""
    assert stored(unit) == ledger(unit)
    assert not unit.disabled
    assert list(Alarm.objects.values_list("kind", "sentence")) == []


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def _taken_over(stack: Stack, unit: Unit) -> bool:
    rows = stack.query("SELECT lease_expires_at > now() FROM devices_device WHERE key = %s", key_of(unit))
    return rows == [(True,)]
