"""What a terminal keeps: its ring of punches, its ledger, its people, its clock, and who asked what of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier, Thread

import pytest

from devices.simulator import (
    Clearing,
    Counts,
    Refused,
    SimPunch,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
    bad_punch_row,
)
from devices.simulator.people import hire, working_days
from devices.simulator.state import TerminalState
from tests.devices.simulator.wire_client import WireClient

START = datetime(2026, 3, 2, 8)
SPEC = TerminalSpec(serial="ST", users=(SimUser(1, "1001", "Anna"), SimUser(2, "1002", "Bob")), punch_capacity=3)
FIVE = tuple(SimPunch("1001", START + timedelta(minutes=minute)) for minute in range(5))


def test_a_full_log_drops_its_oldest_rows_and_the_ledger_keeps_them() -> None:
    terminal = TerminalState(SPEC)
    terminal.fill(FIVE)
    expected = TerminalState(replace(SPEC, punches=FIVE[2:]))
    assert terminal.counts() == Counts(users=2, templates=0, punches=3)
    assert terminal.table("punches") == expected.table("punches")
    assert terminal.ledger() == FIVE


def test_clearing_says_who_and_the_ledger_survives() -> None:
    terminal = TerminalState(replace(SPEC, punches=FIVE))
    terminal.clear_log()
    terminal.clear_data(Clearing(9, 14))
    assert terminal.counts() == Counts(0, 0, 0)
    assert terminal.clearings == [Clearing(0, 0), Clearing(9, 14)]
    assert terminal.ledger() == FIVE


def test_a_disabled_terminal_takes_no_finger() -> None:
    terminal = TerminalState(SPEC)
    terminal.disabled = True
    assert terminal.punch("1001") is None
    assert terminal.ledger() == ()


def test_the_clock_runs_with_real_time_its_zone_and_its_error() -> None:
    real = [datetime(2026, 3, 2, 8, 0, 0, 999)]
    spec = replace(SPEC, utc_offset=timedelta(hours=5, minutes=45), clock_error=timedelta(seconds=-30))
    terminal = TerminalState(spec, clock=lambda: real[0])
    assert terminal.now() == datetime(2026, 3, 2, 13, 44, 30)
    terminal.set_clock(datetime(2000, 1, 1))
    real[0] += timedelta(seconds=90)
    assert terminal.now() == datetime(2000, 1, 1, 0, 1, 30)
    assert terminal.punch("1001") == SimPunch("1001", datetime(2000, 1, 1, 0, 1, 30))


def test_people_get_the_next_free_uid_and_keep_their_own() -> None:
    terminal = TerminalState(SPEC)
    assert terminal.add_user(SimUser(0, "1003")).uid == 3
    terminal.delete_user(1)
    assert terminal.add_user(SimUser(0, "1004")).uid == 4
    assert [user.user_id for user in terminal.users()] == ["1002", "1003", "1004"]


def test_what_does_not_fit_is_refused() -> None:
    terminal = TerminalState(replace(SPEC, user_capacity=2, finger_capacity=1))
    terminal.put_template(SimTemplate(1, 0, b"x"))
    with pytest.raises(Refused, match="room for another user"):
        terminal.add_user(SimUser(3, "1003"))
    with pytest.raises(Refused, match="room for another template"):
        terminal.put_template(SimTemplate(2, 0, b"x"))
    with pytest.raises(Refused, match="can't have user id '1002'"):
        terminal.add_user(SimUser(1, "1002"))
    for uid, finger in ((9, 0), (1, 10), (1, -1)):
        with pytest.raises(Refused, match=f"no finger {finger} of uid {uid}"):
            terminal.put_template(SimTemplate(uid, finger, b"x"))
    with pytest.raises(ValueError, match="has 40 bytes"):
        terminal.punch_raw(bad_punch_row("zero date")[:-1])
    with pytest.raises(ValueError, match="no such generation"):
        TerminalSpec(serial="X", punch_width=49)


def test_punches_from_many_threads_are_all_in_log_and_ledger() -> None:
    terminal = TerminalState(replace(SPEC, punch_capacity=10_000))
    barrier = Barrier(8)

    def punch_often(number: int) -> None:
        barrier.wait()
        for second in range(200):
            terminal.punch("1001", at=START + timedelta(hours=number, seconds=second))

    threads = [Thread(target=punch_often, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = terminal.ledger()
    assert len(set(held)) == 1_600
    assert terminal.table("punches") == TerminalState(replace(SPEC, punch_capacity=10_000, punches=held)).table(
        "punches"
    )


def test_the_journal_tells_what_each_session_asked() -> None:
    with SimulatedTerminal(SPEC) as terminal:
        with WireClient(terminal.port) as first:
            first.connect().ask(1003)
            first.ask(1002)
            first.ask(1001)
        with WireClient(terminal.port) as second:
            second.connect().ask(50)
        assert [(record.transport, record.commands) for record in terminal.journal] == [
            ("tcp", [1000, 1003, 1002, 1001]),
            ("tcp", [1000, 50]),
        ]
        assert terminal.commands() == [1000, 1003, 1002, 1001, 1000, 50]
        assert terminal.journal[0].number != terminal.journal[1].number


def test_another_sessions_id_is_not_authorised() -> None:
    with SimulatedTerminal(SPEC) as terminal, WireClient(terminal.port) as client:
        assert client.ask(1100).command == 2005
        client.connect()
        client.session ^= 1
        assert client.ask(1100).command == 2005


def test_stopping_ends_sessions_and_starting_keeps_the_port_and_the_log() -> None:
    with SimulatedTerminal(replace(SPEC, punches=FIVE[:2])) as terminal, WireClient(terminal.port) as client:
        client.connect()
        port = terminal.port
        terminal.stop()
        with pytest.raises((ConnectionError, EOFError)):
            client.exactly(1)
        terminal.start()
        with WireClient(port) as again:
            assert len(again.connect().table(13, 0)) == 84


def test_working_days_are_believable_and_the_same_for_a_seed() -> None:
    people = hire(30, seed=5)
    punches = working_days(people, 5_000, until=START, seed=5)
    assert punches == working_days(hire(30, seed=5), 5_000, until=START, seed=5)
    assert len({(punch.user_id, punch.time) for punch in punches}) == 5_000
    assert [punch.time for punch in punches] == sorted(punch.time for punch in punches)
    assert punches[-1].time.date() == START.date() - timedelta(days=1)
    assert any(not user.name.isascii() for user in people)
