"""The log of a terminal that dials is compared with what is here, and what is missing is sent again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from devices.simulator import PUSH_2_2, PUSH_2_4, PUSH_3, Generation, Pusher, SimPunch, TerminalSpec
from devices.simulator.state import TerminalState
from iclock import orders
from iclock.domain import push_orders, push_reconciling, terminals
from iclock.lines import Answer
from iclock.models import (
    PushCommand,
    PushState,
    Terminal,
    TerminalPresence,
    Transaction,
)
from iclock.orders import Kind
from iclock.policy import Direction
from personnel.models import Area

pytestmark = pytest.mark.django_db(transaction=True)

State = PushCommand.State


@pytest.fixture
def gate(db: None) -> Terminal:
    area = Area.objects.create(area_code="2")
    return terminals.add_terminal(sn="PU0001", alias="Gate", area=area, time_zone="UTC", direction=Direction.OFF)


@pytest.fixture
def url(live_server: Any) -> str:
    return str(live_server.url)


class Unit:
    def __init__(self, url: str, *, punches: int = 5, generation: Generation = PUSH_2_4) -> None:
        now = timezone.now().replace(tzinfo=None, microsecond=0)
        made = tuple(SimPunch("7", now - timedelta(hours=1, seconds=number)) for number in range(punches))
        self.state = TerminalState(TerminalSpec(serial="PU0001", punches=made))
        self.pusher = Pusher(self.state, url, generation=generation)

    def live(self, rounds: int = 4) -> None:
        """So many rounds, each compared before, after all was sent."""
        assert self.pusher.step().ok
        assert self.pusher.caught_up()
        for _ in range(rounds):
            push_reconciling.compare_due()
            assert self.pusher.step().ok

    def told(self) -> list[str]:
        return [each.text for each in self.pusher.commands]


def complete_until(terminal: Terminal) -> datetime | None:
    return TerminalPresence.objects.get(terminal=terminal).complete_until


def forget_comparison(ago: timedelta = timedelta(minutes=16)) -> None:
    """The last comparison was so long ago."""
    moment = timezone.now() - ago
    PushState.objects.update(verified_at=moment)
    PushCommand.objects.update(created_at=moment)


@pytest.mark.parametrize("generation", [PUSH_2_2, PUSH_2_4, PUSH_3], ids=["2.2", "2.4", "3"])
def test_a_log_that_is_here_whole_is_complete_until_the_unit_was_asked(
    gate: Terminal, url: str, generation: Generation
) -> None:
    before = timezone.now()
    unit = Unit(url, generation=generation)
    unit.live()
    assert unit.told() == [text for text in unit.told() if text.startswith("VERIFY SUM")]
    asked = PushCommand.objects.get()
    assert complete_until(gate) == asked.sent_at
    assert (asked.sent_at or before) > before
    assert PushState.objects.get().verified_at is not None
    assert push_reconciling.compare_due() == 0, "not before PUSH_VERIFY_MINUTES are over"


@pytest.mark.parametrize("generation", [PUSH_2_2, PUSH_2_4, PUSH_3], ids=["2.2", "2.4", "3"])
def test_a_punch_that_got_lost_is_sent_again(gate: Terminal, url: str, generation: Generation) -> None:
    unit = Unit(url, generation=generation)
    unit.live(0)
    lost = Transaction.objects.order_by("id")[2]
    Transaction.objects.filter(pk=lost.pk).delete()
    unit.live()
    assert Transaction.objects.filter(punch_time=lost.punch_time).exists()
    assert complete_until(gate) == PushCommand.objects.get(kind=Kind.VERIFY_SUM).sent_at
    assert [text.split()[0] for text in unit.told()] == ["VERIFY", "DATA"], "one question for each comparison"


def test_deleted_punches_are_not_missed(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live(0)
    Transaction.objects.filter(pk=Transaction.objects.earliest("pk").pk).update(deleted_at=timezone.now())
    unit.live()
    assert not PushCommand.objects.filter(kind=Kind.QUERY_ATTLOG).exists()
    assert complete_until(gate) is not None


def test_a_punch_made_after_the_count_is_no_gap(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live(1)
    unit.state.punch("7")
    assert unit.pusher.step().ok
    assert Transaction.objects.count() == 6
    unit.live()
    assert not PushCommand.objects.filter(kind=Kind.QUERY_ATTLOG).exists()
    assert complete_until(gate) is not None


def test_all_of_the_log_is_counted_at_first_and_once_a_day_else_what_came_lately(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live()
    forget_comparison()
    unit.live()
    forget_comparison(timedelta(days=2))
    unit.live()
    starts = [row.arguments["start"] for row in PushCommand.objects.order_by("id")]
    assert starts[0] == starts[2] == "2000-01-01T00:00:00"
    lately = timezone.now().replace(tzinfo=None) - datetime.fromisoformat(starts[1])
    assert timedelta(days=1) <= lately < timedelta(days=1, minutes=1)
    assert {row.state for row in PushCommand.objects.all()} == {State.DONE}


def test_a_gap_that_stays_moves_nothing(gate: Terminal, url: str) -> None:
    """The unit counts more than it sends."""
    unit = Unit(url)
    unit.live(0)
    push_reconciling.compare_due()
    _answer(gate, Kind.VERIFY_SUM, told={"AttlogSum": "50"})
    push_reconciling.compare_due()
    assert unit.pusher.step().ok
    assert push_reconciling.compare_due() == 1, "lines may still come"
    assert PushState.objects.get().verified_at is None
    PushCommand.objects.update(finished_at=timezone.now() - timedelta(minutes=3))
    push_reconciling.compare_due()
    assert complete_until(gate) is None
    assert PushState.objects.get().verified_at is not None
    assert PushCommand.objects.filter(kind=Kind.QUERY_ATTLOG).count() == 1


def test_a_unit_that_sent_all_of_it_again_is_complete_though_it_counts_otherwise(gate: Terminal, url: str) -> None:
    """It holds a punch twice, say, which is one here."""
    unit = Unit(url)
    unit.state.fill([unit.state.ledger()[0]])
    unit.live()
    assert Transaction.objects.count() == 5
    assert PushCommand.objects.filter(kind=Kind.QUERY_ATTLOG).count() == 1
    assert complete_until(gate) == PushCommand.objects.get(kind=Kind.VERIFY_SUM).sent_at


@pytest.mark.parametrize("drift", [121, -121])
def test_a_log_whose_clock_is_wrong_is_complete_until_nobody_knows_when(gate: Terminal, url: str, drift: int) -> None:
    unit = Unit(url)
    unit.live(0)
    TerminalPresence.objects.update(clock_drift=drift, clock_read_at=timezone.now())
    unit.live()
    assert complete_until(gate) is None


def test_a_clock_that_is_a_little_behind_makes_it_complete_until_what_it_showed(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live(0)
    TerminalPresence.objects.update(clock_drift=-5, clock_read_at=timezone.now())
    unit.live()
    asked = PushCommand.objects.get().sent_at
    assert asked is not None
    assert complete_until(gate) == asked - timedelta(seconds=5)


def test_a_unit_that_knows_no_sums_is_compared_by_what_it_counts(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live(0)
    push_reconciling.compare_due()
    _answer(gate, Kind.VERIFY_SUM, returned=-1002)
    unit.live()
    kinds = [*PushCommand.objects.order_by("id").values_list("kind", flat=True)]
    assert kinds == ["verify_sum", "info"]
    assert complete_until(gate) == PushCommand.objects.get(kind=Kind.INFO).sent_at

    forget_comparison()
    Transaction.objects.filter(pk=Transaction.objects.earliest("pk").pk).delete()
    unit.live()
    kinds = [*PushCommand.objects.order_by("id").values_list("kind", flat=True)]
    assert kinds == ["verify_sum", "info", "info", "query_attlog"], "it isn't asked again what it doesn't know"
    assert Transaction.objects.count() == 5


def test_a_unit_that_does_not_answer_is_asked_at_the_next_comparison(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live(0)
    push_reconciling.compare_due()
    push_orders.end(PushCommand.objects.all(), State.FAILED, push_orders.UNANSWERED)
    push_reconciling.compare_due()
    assert PushState.objects.get().verified_at is not None
    assert complete_until(gate) is None
    forget_comparison()
    unit.live()
    assert complete_until(gate) is not None


def _answer(terminal: Terminal, kind: orders.Kind, *, returned: int = 0, **more: Any) -> None:
    """The unit is handed its orders and says this."""
    terminal = Terminal.objects.select_related("push").get(pk=terminal.pk)
    assert push_orders.hand_out(terminal)
    order = PushCommand.objects.get(kind=kind)
    push_orders.note_answers(terminal, [Answer(order.pk, returned, **more)])
