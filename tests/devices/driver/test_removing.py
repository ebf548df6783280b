"""Many people and many fingers taken off simulated terminals, sound and spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devices import protocol as p
from devices.driver.errors import (
    NotKeptError,
    RefusedError,
    TerminalError,
    UnfitError,
    UnknownUserError,
    UnreachableError,
)
from devices.driver.guarded import Address
from devices.driver.session import TerminalSession, open_session
from devices.driver.users import UnitUser, UserFields
from devices.simulator import (
    Close,
    CountOff,
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


@pytest.fixture
def twice(terminal: SimulatedTerminal) -> SimulatedTerminal:
    """Two people have user id 1002, as uid 3 and as uid 20, each with a finger."""
    terminal._users[20] = terminal._users[3].replace(b"\x03\0", b"\x14\0", 1)
    terminal.put_template(SimTemplate(20, 4, b"SS21 twin"))
    return terminal


def test_a_user_id_that_two_people_have_is_taken_off_both(twice: SimulatedTerminal) -> None:
    with talk(twice) as session:
        outcome = session.delete_people(["1002"])["1002"]

    assert isinstance(outcome, UnitUser)
    assert outcome.uid == 3
    assert twice.users() == (PEOPLE[0], PEOPLE[2])
    assert twice.templates() == FINGERS[:2] + FINGERS[4:]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize(("kind", "error"), [(Refuse, RefusedError), (Pretend, NotKeptError)])
def test_one_of_the_two_who_is_still_there_is_the_outcome_and_the_other_is_gone_with_fingers(
    twice: SimulatedTerminal, kind: type[Fault], error: type[TerminalError], nth: int
) -> None:
    twice.faults = Faults(kind(command=p.CMD_DELETE_USER, nth=nth), forgetful(twice))

    with talk(twice) as session:
        assert type(session.delete_people(["1002"])["1002"]) is error

    left = 3 if nth == 1 else 20
    assert {user.uid for user in twice.users()} == {7, 5, left}
    assert {template.uid for template in twice.templates()} == {7, 5, left}


def test_who_is_there_twice_is_not_written_to(twice: SimulatedTerminal) -> None:
    with talk(twice) as session:
        assert isinstance(session.write_users({"1002": UserFields(name="B")})["1002"], UnfitError)
        with pytest.raises(UnfitError):
            session.delete_user("1002")


def test_people_without_a_user_id_are_nobodys_namesakes(terminal: SimulatedTerminal) -> None:
    for uid in (20, 21):
        terminal._users[uid] = uid.to_bytes(2, "little") + terminal._users[3][2:48] + bytes(24)

    with talk(terminal) as session:
        assert isinstance(session.delete_people([""])[""], UnknownUserError)

    assert len(terminal.users()) == 5


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


class Spoilt(Fault):
    """A row of the table of fingers says that it is longer than the table."""

    def table(self, name: str, rows: bytes, width: int) -> bytes:
        return rows + b"\xff\xff\x09\0\0\1" if name == "templates" else rows


class Marked(Fault):
    """The rows of finger 0 are marked as nothing that is known."""

    def table(self, name: str, rows: bytes, width: int) -> bytes:
        return rows.replace(b"\0\1SS21", b"\0\7SS21") if name == "templates" else rows


@pytest.mark.parametrize(
    "fault",
    [
        Spoilt(command=p.CMD_PREPARE_BUFFER, times=None),
        Marked(command=p.CMD_PREPARE_BUFFER, times=None),
        CountOff(of="templates"),
    ],
    ids=repr,
)
def test_fingers_are_found_and_forgotten_though_the_table_makes_no_sense(
    terminal: SimulatedTerminal, fault: Fault
) -> None:
    terminal.faults = Faults(forgetful(terminal), fault)

    with talk(terminal) as session:
        outcomes = session.delete_people(["1001", "1002"])
        forgotten = session.delete_fingers([("1003", finger) for finger in range(6)])

    assert [type(outcome) for outcome in outcomes.values()] == [UnitUser, UnitUser]
    assert set(forgotten.values()) == {None}
    assert terminal.users() == (PEOPLE[2],)
    assert terminal.templates() == FINGERS[5:]


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
