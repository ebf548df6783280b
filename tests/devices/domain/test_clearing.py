"""A log is cleared when that was asked for and everything agrees; else it stays, and a sentence says what did not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import F
from django.utils import timezone

from devices import protocol
from devices.domain import clearing
from devices.domain.lease import LeaseLostError
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import (
    Close,
    CountOff,
    Fault,
    Faults,
    Pretend,
    Refuse,
    RowWidth,
    ShortSizes,
    SimPunch,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
    bad_punch_row,
)
from iclock.domain.clearing import ask_to_clear
from iclock.domain.commands import expire_commands
from iclock.models import Alarm, QuarantinedRecord, Terminal, TerminalCommand, Transaction
from tests.devices.conftest import MORNING, PEOPLE, a_log
from tests.faults.visits import Gate, closing
from zkbio.accounts.models import AuditEntry, User
from zkbio.clock import ClockNote

pytestmark = pytest.mark.django_db(transaction=True)

PUNCHES = 100
CLEAR = protocol.CMD_CLEAR_ATTLOG
SIZES = protocol.CMD_GET_FREE_SIZES
# In a visit that finds nothing new and then clears: the visit's own, then the errand's before and after the log, once
# all is stored, and after the clear.
BEFORE, AFTER, LAST, CLEARED = 2, 3, 4, 5


@pytest.fixture
def unit() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(TerminalSpec(serial="CKJF201260077", users=PEOPLE, punches=a_log(PUNCHES))) as terminal:
        yield terminal


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("hr")


@pytest.fixture
def asked(device: Device, user: User) -> Device:
    """Read once, and to be cleared by the next visit."""
    visit(device)
    ask(user)
    return device


FIRST_MINUTE = [MORNING + timedelta(seconds=second) for second in range(60)]


def ask(user: User) -> None:
    ask_to_clear(list(Terminal.objects.all()), user=user, actor=user)


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.COMMAND)
    assert run is not None
    return run


def outcomes() -> list[tuple[str, str]]:
    return list(TerminalCommand.objects.order_by("id").values_list("state", "result"))


def assert_as_before(unit: SimulatedTerminal, punches: int = PUNCHES) -> None:
    assert (unit.clearings, unit.counts().punches, unit.disabled) == ([], punches, False)


def test_a_log_is_read_stored_counted_and_cleared_and_the_next_visit_is_an_ordinary_one(
    asked: Device, unit: SimulatedTerminal
) -> None:
    run = visit(asked)

    assert run.outcome == "unchanged"
    assert outcomes() == [("done", "Cleared: 100 punches are stored here.")]
    assert (len(unit.clearings), unit.counts().punches, unit.disabled) == (1, 0, False)
    assert unit.counts().users == 30
    assert visit(asked).outcome == "unchanged"
    assert (Alarm.objects.count(), Transaction.objects.count()) == (0, PUNCHES)
    unit.punch("1001")
    assert visit(asked).new == 1


def test_the_order_of_what_the_unit_is_asked_for(asked: Device, unit: SimulatedTerminal) -> None:
    visit(asked)

    order = [command for command in unit.journal[-1].commands if command in _ORDER]
    assert order == [*_ORDER]


_ORDER = (
    protocol.CMD_CONNECT,
    protocol.CMD_DISABLEDEVICE,
    protocol.CMD_GET_FREE_SIZES,
    protocol.CMD_PREPARE_BUFFER,
    protocol.CMD_GET_FREE_SIZES,
    protocol.CMD_GET_FREE_SIZES,
    protocol.CMD_CLEAR_ATTLOG,
    protocol.CMD_GET_FREE_SIZES,
    protocol.CMD_ENABLEDEVICE,
    protocol.CMD_EXIT,
)


def test_what_came_of_it_is_written_down_with_who_asked(asked: Device) -> None:
    visit(asked)

    command = TerminalCommand.objects.get()
    detail = {
        "sn": "CKJF201260077",
        "command": command.pk,
        "asked_by": "hr",
        "result": "Cleared: 100 punches are stored here.",
    }
    entries = list(AuditEntry.objects.order_by("id").values_list("actor", "action", "subject", "detail"))
    assert entries == [
        ("hr", "iclock.ask_to_clear_log", "Gate (CKJF201260077)", {"sn": "CKJF201260077"}),
        ("sync", "iclock.clear_log", "Gate (CKJF201260077)", detail),
    ]


DOUBTS: list[tuple[Fault, str]] = [
    (Refuse(command=protocol.CMD_DISABLEDEVICE), "refused to be disabled (reply 2001)."),
    (Refuse(command=CLEAR), "refused to clear its punch log (reply 2001)."),
    (CountOff(by=1, nth=LAST, times=1), "100 punches were read and stored, but now the unit counts 101"),
    (CountOff(by=-1, nth=LAST, times=1), "100 punches were read and stored, but now the unit counts 99"),
    (CountOff(by=3, nth=BEFORE), "the terminal counts 103 rows"),
    (ShortSizes(nth=BEFORE, times=1), "gave a short answer about its sizes"),
    (ShortSizes(nth=LAST, times=1), "gave a short answer about its sizes"),
    (RowWidth(width=49), "no such number of rows"),
    (Close(command=protocol.CMD_PREPARE_BUFFER, reset=True), "broke the connection"),
    (Close(command=SIZES, nth=LAST), "closed the connection"),
]


@pytest.mark.parametrize(("fault", "said"), DOUBTS)
def test_whatever_doesnt_agree_ends_in_no_clear_and_a_sentence(
    fault: Fault, said: str, asked: Device, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(fault)

    visit(asked)

    ((state, sentence),) = outcomes()
    assert state == "failed"
    assert sentence.startswith("Nothing was cleared, and nothing is lost: ")
    assert said in sentence
    assert sentence.endswith((". Ask again once that is mended.", "? Ask again once that is mended."))
    assert_as_before(unit)
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["iclock.ask_to_clear_log", "iclock.refuse_to_clear_log"]
    unit.faults = Faults()
    assert visit(asked).outcome == "unchanged"
    assert (len(outcomes()), Alarm.objects.count()) == (1, 0)


def test_a_unit_that_says_yes_and_keeps_its_log_is_not_believed(asked: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(Pretend(command=CLEAR))

    visit(asked)

    ((state, sentence),) = outcomes()
    assert state == "failed"
    assert sentence.startswith("The log is still there, and nothing is lost: 127.0.0.1:")
    assert "said that its punch log is cleared, but counts 100 punches in it." in sentence
    assert_as_before(unit)
    assert visit(asked).outcome == "unchanged"


def test_a_link_that_breaks_right_after_the_clear_leaves_a_true_sentence_and_an_enabled_unit(
    asked: Device, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(Close(command=CLEAR, reset=True))

    visit(asked)

    ((state, sentence),) = outcomes()
    assert (state, sentence.startswith("Cleared, all of it is stored here; but 127.0.0.1:")) == ("done", True)
    assert (len(unit.clearings), unit.disabled) == (1, False)
    assert visit(asked).outcome == "unchanged"
    assert Alarm.objects.count() == 0


def test_a_unit_that_is_gone_after_the_clear_is_asked_at_the_next_contact(
    asked: Device, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(Close(command=CLEAR), Close(command=protocol.CMD_CONNECT, nth=3, times=None))
    visit(asked)
    assert outcomes() == [("sent", "All 100 punches are stored here; the log is being cleared.")]
    TerminalCommand.objects.update(sent_at=timezone.now() - timedelta(hours=5))
    expire_commands()

    unit.faults = Faults()
    run = visit(asked)

    assert (run.error, outcomes()[0][0], unit.disabled, len(unit.clearings)) == ("", "done", False, 1)
    assert Alarm.objects.count() == 0


def test_another_unit_at_the_address_is_neither_cleared_nor_blamed(asked: Device, unit: SimulatedTerminal) -> None:
    unit.options["~SerialNumber"] = "OTHER1"

    assert visit(asked).error_code == "identity"

    assert outcomes() == [("queued", "")]
    assert_as_before(unit)


def test_an_empty_log_is_not_cleared_again(asked: Device, unit: SimulatedTerminal, user: User) -> None:
    visit(asked)
    ask(user)

    visit(asked)

    assert outcomes()[1] == ("done", "The log was empty already; nothing was cleared.")
    assert unit.commands().count(CLEAR) == 1


def test_a_failed_visit_clears_nothing(asked: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(Close(command=SIZES))

    assert visit(asked).outcome == "failed"

    assert outcomes() == [("queued", "")]
    assert_as_before(unit)


def test_a_wish_of_yesterday_is_not_carried_out(asked: Device, unit: SimulatedTerminal) -> None:
    TerminalCommand.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    visit(asked)

    assert_as_before(unit)


def test_a_lease_that_is_lost_in_front_of_the_clear_stops_it(asked: Device, unit: SimulatedTerminal) -> None:
    gate = Gate(command=SIZES, nth=LAST)
    unit.faults = Faults(gate)

    with ThreadPoolExecutor(1) as thread:
        visiting = thread.submit(closing, visit, asked)
        assert gate.reached.wait(timeout=10)
        Device.objects.update(lease_token=F("lease_token") + 1)
        gate.opened.set()
        with pytest.raises(LeaseLostError):
            visiting.result(timeout=30)

    assert outcomes() == [("sent", "")]
    assert_as_before(unit)


def test_a_blocked_terminal_is_not_cleared(asked: Device, unit: SimulatedTerminal) -> None:
    Terminal.objects.update(admission="blocked")

    assert visit(asked).error_code == "blocked"

    assert_as_before(unit)


def test_rows_that_cant_be_punches_are_cleared_once_their_bytes_are_in_quarantine(
    device: Device, unit: SimulatedTerminal, user: User
) -> None:
    for kind in ("impossible date", "user id 0"):
        unit.punch_raw(bad_punch_row(kind, user_id="1001"))  # type: ignore[arg-type]
    visit(device)
    ask(user)

    visit(device)

    sentence = "Cleared: 102 punches are stored here, 2 of them as records in quarantine that can't be punches."
    assert outcomes() == [("done", sentence)]
    assert (QuarantinedRecord.objects.count(), len(unit.clearings)) == (2, 1)


def test_many_rows_that_cant_be_punches_stand_in_the_way(device: Device, unit: SimulatedTerminal, user: User) -> None:
    for second in range(12):
        unit.punch_raw(bad_punch_row("user id 0", time=second))
    visit(device)
    ask(user)

    visit(device)

    assert outcomes()[0][0] == "failed"
    assert "12 of 112 rows can't be punches: is this firmware known?" in outcomes()[0][1]
    assert_as_before(unit, 112)


def test_rows_that_are_gone_from_here_come_back_before_the_log_is_cleared(
    asked: Device, unit: SimulatedTerminal
) -> None:
    """What is remembered of the log is not believed: a database restored from yesterday remembers as well."""
    Transaction.objects.filter(emp_code="1007").delete()

    visit(asked)

    assert outcomes()[0][0] == "done"
    assert Transaction.objects.count() == PUNCHES


def test_rows_that_the_door_takes_and_the_table_lacks_stand_in_the_way(
    asked: Device, unit: SimulatedTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = clearing.record_punches

    def lose_one(*given: Any, **options: Any) -> Any:
        counts = real(*given, **options)
        Transaction.objects.filter(emp_code="1007", punch_time__in=FIRST_MINUTE).delete()
        return counts

    monkeypatch.setattr(clearing, "record_punches", lose_one)

    visit(asked)

    assert outcomes()[0][0] == "failed"
    assert "of 100 rows that were read 100 went through the door and 2 are not here." in outcomes()[0][1]
    assert_as_before(unit)


def test_a_database_that_fails_in_between_leaves_the_log_alone(
    asked: Device, unit: SimulatedTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: Any, **_options: Any) -> Any:
        raise OperationalError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(clearing, "record_punches", refuse)
        assert visit(asked).outcome == "unchanged"
    assert_as_before(unit)

    visit(asked)

    assert outcomes() == [("failed", "Nothing was cleared, and nothing is lost: it was interrupted. Ask again.")]
    assert_as_before(unit)


@pytest.mark.parametrize("width", [8, 16])
def test_older_generations_are_cleared_too(width: int, add_device: Callable[..., Device], user: User) -> None:
    spec = TerminalSpec(serial=f"OLD{width}", users=PEOPLE, punches=a_log(PUNCHES), user_width=28, punch_width=width)
    with SimulatedTerminal(spec) as unit:
        device = add_device(unit)
        visit(device)
        ask(user)
        visit(device)

        assert outcomes() == [("done", "Cleared: 100 punches are stored here.")]
        assert Transaction.objects.count() == PUNCHES


def test_whose_number_is_another_persons_by_now_keeps_their_punches_when_the_log_is_cleared(
    add_device: Callable[..., Device], user: User
) -> None:
    spec = TerminalSpec(serial="OLD8", users=PEOPLE, punches=a_log(PUNCHES), user_width=28, punch_width=8)
    with SimulatedTerminal(spec) as unit:
        device = add_device(unit)
        visit(device)
        unit.delete_user(7)
        unit.add_user(SimUser(7, "2007", "New"))
        ask(user)
        visit(device)

        assert outcomes()[0][0] == "done"
        assert Transaction.objects.count() == PUNCHES
        assert not Transaction.objects.filter(emp_code="2007").exists()


def test_a_punch_between_the_visit_and_the_clear_is_flagged_where_the_clock_is_wrong(
    device: Device, unit: SimulatedTerminal, user: User
) -> None:
    """Once the log is empty nobody reads it again."""

    class Punches(Fault):
        def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
            unit.fill([SimPunch("1007", unit.now())])
            return packets

    unit.shift_clock(-timedelta(hours=1))
    visit(device)
    ask(user)
    unit.faults = Faults(Punches(command=protocol.CMD_DISABLEDEVICE))

    visit(device)

    assert TerminalCommand.objects.get().result == f"Cleared: {PUNCHES + 1} punches are stored here."
    assert Transaction.objects.latest("id").clock_note == ClockNote.OFF
