"""Many people and many fingers taken off simulated terminals, sound and spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devices import protocol as p
from devices.driver.errors import NotKeptError, RefusedError, UnfitError, UnknownUserError, UnreachableError
from devices.driver.guarded import Address
from devices.driver.session import TerminalSession, open_session
from devices.driver.users import UnitUser
from devices.simulator import (
    Close,
    Fault,
    Faults,
    Pretend,
    Refuse,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
)

PEOPLE = (SimUser(7, "1001", "Anna"), SimUser(3, "1002", "Bob"), SimUser(5, "1003", "Cleo"))
FINGERS = tuple(SimTemplate(uid, finger, b"SS21 one") for uid in (7, 3, 5) for finger in (0, 6))
SPEC = TerminalSpec(serial="RM1", users=PEOPLE, templates=FINGERS)


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(SPEC) as running:
        yield running


@contextmanager
def talk(terminal: SimulatedTerminal) -> Iterator[TerminalSession]:
    with open_session(Address(terminal.host, terminal.port, timeout=1, session_seconds=10)) as session:
        yield session


def test_people_go_with_their_fingers_and_each_has_an_outcome(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        outcomes = session.delete_people(["1001", "9", "1003"])

    assert list(outcomes) == ["1001", "9", "1003"]
    assert [getattr(outcomes[user_id], "uid", None) for user_id in outcomes] == [7, None, 5]
    assert isinstance(outcomes["9"], UnknownUserError)
    assert terminal.users() == (PEOPLE[1],)
    assert terminal.templates() == FINGERS[2:4]
    assert not terminal.disabled


def test_many_people_cost_two_readings_and_one_refresh(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        session.delete_people(["1001", "1002", "1003"])

    # nobody and no finger is left: the counters alone say so
    assert terminal.commands().count(p.CMD_PREPARE_BUFFER) == 1
    assert terminal.commands().count(p.CMD_REFRESHDATA) == 1


def test_who_is_not_there_is_looked_for_and_nothing_else(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        session.delete_people(["9"])

    assert {p.CMD_DELETE_USER, p.CMD_REFRESHDATA}.isdisjoint(terminal.commands())


def test_one_who_is_not_deleted_keeps_nobody_else(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Refuse(command=p.CMD_DELETE_USER), Pretend(command=p.CMD_DELETE_USER, nth=2))

    with talk(terminal) as session:
        outcomes = session.delete_people(["1001", "1002", "1003"])

    assert [type(outcome) for outcome in outcomes.values()] == [RefusedError, NotKeptError, UnitUser]
    assert terminal.users() == PEOPLE[:2]
    assert terminal.templates() == FINGERS[:4]


def test_one_of_two_people_with_one_user_id_is_not_guessed(terminal: SimulatedTerminal) -> None:
    terminal._users[20] = terminal._users[3].replace(b"\x03\0", b"\x14\0", 1)

    with talk(terminal) as session:
        assert isinstance(session.delete_people(["1002"])["1002"], UnfitError)

    assert len(terminal.users()) == 4


def forgetful(terminal: SimulatedTerminal) -> Fault:
    """It deletes people and keeps their fingers."""

    class ForgetsOnlyThePerson(Fault):
        def received(self, data: bytes) -> bytes | None:
            kept = terminal.templates()
            terminal.delete_user(data[0])
            terminal._templates |= {(template.uid, template.finger): template for template in kept}
            return None

    return ForgetsOnlyThePerson(command=p.CMD_DELETE_USER, times=None)


def test_a_unit_that_keeps_the_fingers_of_who_is_gone_is_made_to_forget_them(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(forgetful(terminal))

    with talk(terminal) as session:
        outcomes = session.delete_people(["1001", "1002"])

    assert [type(outcome) for outcome in outcomes.values()] == [UnitUser, UnitUser]
    assert terminal.templates() == FINGERS[4:]


def test_a_finger_that_stays_behind_is_the_outcome_of_its_person(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(forgetful(terminal), Pretend(command=p.CMD_DELETE_USERTEMP))

    with talk(terminal) as session:
        outcomes = session.delete_people(["1001", "1002"])

    assert [type(outcome) for outcome in outcomes.values()] == [NotKeptError, UnitUser]
    assert str(outcomes["1001"]).endswith("deleted finger 0 of uid 7, but still has it.")


def test_fingers_are_deleted_and_what_is_gone_is_done(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        outcomes = session.delete_fingers([("1001", 0), ("1001", 1), ("9", 0), ("1003", 6), ("1002", 10)])

    assert {key: type(outcome).__name__ for key, outcome in outcomes.items()} == {
        ("1001", 0): "NoneType",
        ("1001", 1): "NoneType",
        ("9", 0): "NoneType",
        ("1003", 6): "NoneType",
        ("1002", 10): "UnfitError",
    }
    assert terminal.templates() == (FINGERS[1], *FINGERS[2:5])
    assert terminal.commands().count(p.CMD_REFRESHDATA) == 1
    assert not terminal.disabled


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Refuse(command=p.CMD_DELETE_USERTEMP), RefusedError), (Pretend(command=p.CMD_DELETE_USERTEMP), NotKeptError)],
)
def test_a_finger_that_is_still_there_says_why(
    terminal: SimulatedTerminal, fault: Fault, kind: type[Exception]
) -> None:
    terminal.faults = Faults(fault)

    with talk(terminal) as session:
        outcomes = session.delete_fingers([("1001", 0), ("1001", 6)])

    assert [type(outcome) for outcome in outcomes.values()] == [kind, type(None)]
    assert terminal.templates() == (FINGERS[0], *FINGERS[2:])


def test_a_lost_connection_is_raised_and_leaves_the_unit_enabled(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Close(command=p.CMD_DELETE_USER), Close(command=p.CMD_DELETE_USERTEMP))

    with pytest.raises(UnreachableError), talk(terminal) as session:
        session.delete_people(["1001"])
    with pytest.raises(UnreachableError), talk(terminal) as session:
        session.delete_fingers([("1002", 0)])

    assert not terminal.disabled
    assert terminal.commands().count(p.CMD_ENABLEDEVICE) == 2
