"""Fingers read, brought, deleted and enrolled, on simulated terminals sound and spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from devices import protocol as p
from devices.driver.enrolling import Progress
from devices.driver.errors import (
    FullError,
    MiscountError,
    NotKeptError,
    RefusedError,
    TerminalError,
    UnfitError,
    UnknownFingerError,
    UnknownUserError,
    UnreachableError,
    UnreadableError,
)
from devices.driver.guarded import Address
from devices.driver.session import TerminalSession, open_session
from devices.driver.templates import Template
from devices.simulator import (
    Close,
    CountOff,
    EnrolmentEnds,
    Fault,
    Faults,
    FillsUp,
    Full,
    Latency,
    LostBetween,
    Misread,
    NobodyComes,
    Pretend,
    Refuse,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    SmallFrames,
    StrayEvent,
    TerminalSpec,
)
from devices.simulator.enrolment import EVENT_SCANNED, event_packet

PEOPLE = (SimUser(7, "1001", "Anna", time_zones=(1, 2, 0, 9)), SimUser(3, "1002", "Bob"))
HELD = (SimTemplate(7, 6, b"SS21" + bytes(range(1, 250)) * 5, valid=3), SimTemplate(7, 1, b"SS21 one"))
OTHERS = tuple(SimTemplate(3, finger, bytes((finger + 1,)) * 900) for finger in range(10))
# It waits longer than any test for an event's acknowledgement.
SPEC = TerminalSpec(serial="FP1", users=PEOPLE, templates=HELD + OTHERS, event_pace=30)
OLD = replace(SPEC, user_width=28, punch_width=16, users=(replace(PEOPLE[0], time_zones=(1, 0, 0, 0)), PEOPLE[1]))


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(SPEC) as running:
        yield running


@contextmanager
def talk(terminal: SimulatedTerminal, *, udp: bool = False, timeout: float = 1) -> Iterator[TerminalSession]:
    with open_session(Address(terminal.host, terminal.port, udp=udp, timeout=timeout, session_seconds=10)) as session:
        yield session


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("spec", [SPEC, OLD], ids=["72 bytes", "28 bytes"])
def test_fingers_are_read_brought_and_deleted(spec: TerminalSpec, udp: bool) -> None:
    brought = {0: b"first" * 300, 9: b"last" * 50}
    with SimulatedTerminal(spec) as terminal, talk(terminal, udp=udp) as session:
        before = session.fingers("1001")
        session.write_templates("1001", brought)
        one = session.template(7, 0)
        between = terminal.templates()
        session.delete_template(7, 6)
        after = session.templates()

    assert before == [Template(7, 1, 1, HELD[1].data), Template(7, 6, 3, HELD[0].data)]
    assert one == brought[0]
    assert between == (*HELD, *OTHERS, SimTemplate(7, 0, brought[0]), SimTemplate(7, 9, brought[9]))
    assert {(held.uid, held.finger) for held in after.templates} == {(t.uid, t.finger) for t in between} - {(7, 6)}
    assert after.rejects == []
    assert terminal.users() == spec.users
    assert not terminal.disabled


def test_a_unit_without_fingers_is_not_asked_for_its_table() -> None:
    with SimulatedTerminal(replace(SPEC, templates=())) as terminal, talk(terminal) as session:
        assert session.templates().templates == []
        assert session.fingers("1001") == []
        assert session.template(7, 11) is None
        with pytest.raises(UnknownUserError):
            session.fingers("9")

    assert p.CMD_GET_USERTEMP not in terminal.commands()
    assert terminal.commands().count(p.CMD_PREPARE_BUFFER) == 2  # for the people, twice


@pytest.mark.parametrize("fault", [SmallFrames(), CountOff(of="templates", by=1, times=2), StrayEvent(command=88)])
def test_odd_but_whole_transfers_are_read(terminal: SimulatedTerminal, fault: Fault) -> None:
    terminal.faults = Faults(fault)

    with talk(terminal) as session:
        assert len(session.templates().templates) == 12
        assert session.template(7, 6) == HELD[0].data


def test_fingers_that_the_counter_does_not_know_are_refused(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(CountOff(of="templates", by=1))

    with talk(terminal) as session, pytest.raises(MiscountError, match="counts 13 to 13 fingers but delivered 12"):
        session.templates()


class Shortened(Fault):
    """The table of fingers ends within its last row."""

    def table(self, name: str, rows: bytes, width: int) -> bytes:
        return rows[:-1] if name == "templates" else rows


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("fault", [Shortened(command=p.CMD_PREPARE_BUFFER), CountOff(of="templates", by=1)], ids=repr)
def test_after_a_table_that_can_not_be_read_the_session_goes_on(
    terminal: SimulatedTerminal, fault: Fault, udp: bool
) -> None:
    terminal.faults = Faults(fault)

    with talk(terminal, udp=udp) as session:
        with pytest.raises(UnreadableError) as caught:
            session.templates()
        assert [user.user_id for user in session.users()] == ["1001", "1002"]
        session.write_templates("1001", {2: b"two"})

    assert caught.value.in_step
    assert terminal.template(7, 2) == SimTemplate(7, 2, b"two")
    assert terminal.commands()[-1] == p.CMD_EXIT


def test_a_table_that_can_not_be_read_is_taken_leave_of_politely(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Shortened(command=p.CMD_PREPARE_BUFFER))

    with pytest.raises(UnreadableError), talk(terminal) as session:
        session.templates()

    assert terminal.commands()[-1] == p.CMD_EXIT


@pytest.mark.parametrize(
    ("faults", "error", "words"),
    [
        ([Full(of="templates")], FullError, "holds 12 of 12 fingers"),
        ([Refuse(command=p.CMD_SAVE_USERTEMPS)], RefusedError, "refused to take the fingers of user 1002"),
        ([Refuse(command=p.CMD_DATA, nth=2)], RefusedError, "refused to take the fingers of user 1002"),
        ([Pretend(command=p.CMD_SAVE_USERTEMPS)], NotKeptError, "took finger 2 of user 1002, but keeps another"),
        ([Misread(command=p.CMD_DATA, at=200, byte=0)], NotKeptError, "took finger 2 of user 1002, but keeps another"),
        ([LostBetween()], UnreachableError, "broke the connection"),
        ([Close(command=p.CMD_DATA, nth=2)], UnreachableError, "closed the connection"),
    ],
    ids=lambda value: repr(value) if isinstance(value, list) else "",
)
def test_an_upload_that_fails_is_one_clear_error_and_can_be_made_again(
    faults: list[Fault], error: type[TerminalError], words: str
) -> None:
    spec = replace(
        SPEC, users=(*PEOPLE, SimUser(4, "1003")), templates=(*HELD, *OTHERS[:2], *OTHERS[3:], SimTemplate(4, 0, b"x"))
    )
    with SimulatedTerminal(spec) as terminal:
        terminal.faults = Faults(*faults)

        with pytest.raises(error, match=words), talk(terminal) as session:
            session.write_templates("1002", {2: b"finger" * 300})

        assert not terminal.disabled
        terminal.faults = Faults()
        with talk(terminal) as session:
            session.write_templates("1002", {2: b"finger" * 300})
        assert terminal.template(3, 2) == SimTemplate(3, 2, b"finger" * 300)
        assert terminal.users() == spec.users


def test_a_finger_that_is_there_is_replaced_on_a_full_unit(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Full(of="templates"))

    with talk(terminal) as session:
        session.write_templates("1001", {1: b"better"})

    assert terminal.template(7, 1) == SimTemplate(7, 1, b"better")


def test_a_unit_that_fills_up_in_the_middle_of_a_hand_is_full_in_words(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(FillsUp(of="templates", at=13))

    with talk(terminal) as session, pytest.raises(FullError, match="holds 13 of 13 fingers"):
        session.write_templates("1001", {2: b"two", 3: b"three"})

    assert terminal.counts().templates == 13


def test_fingers_of_nobody_and_of_no_hand_are_not_sent(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        with pytest.raises(UnknownUserError):
            session.write_templates("9", {1: b"x"})
        with pytest.raises(UnfitError, match="there is no finger 10"):
            session.write_templates("1001", {10: b"x"})
        with pytest.raises(UnfitError, match="there is no finger 10"):
            session.start_enrolment("1001", 10)
        with pytest.raises(UnknownUserError):
            session.start_enrolment("9", 1)
        with pytest.raises(UnknownFingerError, match="no finger 2 of uid 7"):
            session.delete_template(7, 2)

    assert {p.CMD_PREPARE_DATA, p.CMD_STARTENROLL, p.CMD_DELETE_USERTEMP}.isdisjoint(terminal.commands())


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Refuse(command=p.CMD_DELETE_USERTEMP), RefusedError, "refused to delete finger 6 of uid 7"),
        (Pretend(command=p.CMD_DELETE_USERTEMP), NotKeptError, "deleted finger 6 of uid 7, but still has it"),
    ],
)
def test_a_finger_that_was_not_deleted_is_said_to_be_there(
    terminal: SimulatedTerminal, fault: Fault, error: type[TerminalError], words: str
) -> None:
    terminal.faults = Faults(fault)

    with talk(terminal) as session, pytest.raises(error, match=words):
        session.delete_template(7, 6)

    assert terminal.template(7, 6) == HELD[0]


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("spec", [SPEC, OLD], ids=["72 bytes", "28 bytes"])
def test_an_enrolment_is_followed_to_its_end(spec: TerminalSpec, udp: bool) -> None:
    with SimulatedTerminal(spec) as terminal, talk(terminal, udp=udp) as session:
        session.start_enrolment("1001", 2)
        progress = list(session.enrolment_progress(5))
        enrolled = session.template(7, 2)

    assert progress == [Progress(1), Progress(2), Progress(3), Progress(3, "enrolled", 800)]
    assert enrolled is not None
    assert len(enrolled) == 800
    assert terminal.commands()[-1] == p.CMD_EXIT


def test_who_leaves_after_the_start_leaves_it_to_the_person(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        session.start_enrolment("1001", 2)

    assert terminal.template(7, 2) is not None


@pytest.mark.parametrize(
    ("result", "progress"),
    [
        (4, [Progress(0, "failed")]),
        (5, [Progress(1), Progress(2), Progress(3), Progress(3, "duplicate")]),
        (6, [Progress(0, "cancelled")]),
    ],
)
def test_an_enrolment_that_comes_to_nothing_says_why(
    terminal: SimulatedTerminal, result: Any, progress: list[Progress]
) -> None:
    terminal.faults = Faults(EnrolmentEnds(result=result))

    with talk(terminal) as session:
        session.start_enrolment("1001", 2)
        assert list(session.enrolment_progress(5)) == progress

    assert terminal.template(7, 2) is None


def test_nobody_is_waited_for_beyond_the_deadline(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(NobodyComes())

    with talk(terminal) as session:
        session.start_enrolment("1001", 2)
        assert list(session.enrolment_progress(0.2)) == [Progress(0, "timeout")]
        assert session.sizes().fingers == 12

    assert terminal.commands()[-6:] == [
        p.CMD_STARTENROLL,
        p.CMD_CANCELCAPTURE,
        p.CMD_REG_EVENT,
        p.CMD_STARTVERIFY,
        p.CMD_GET_FREE_SIZES,
        p.CMD_EXIT,
    ]


def test_an_enrolment_that_is_not_wanted_any_more_is_cancelled_at_the_unit(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(NobodyComes())

    with talk(terminal) as session:
        session.start_enrolment("1001", 2)
        told = list(session.enrolment_progress(60, cancelled=lambda: True))
        assert session.template(7, 2) is None

    assert told == [Progress(0, "cancelled")]
    assert p.CMD_CANCELCAPTURE in terminal.commands()[terminal.commands().index(p.CMD_STARTENROLL) :]


@pytest.fixture
def fumbling(terminal: SimulatedTerminal) -> Iterator[SimulatedTerminal]:
    """Nobody's finger is good enough, and somebody tries again and again."""
    terminal.faults = Faults(NobodyComes())
    done = Event()

    def fumble() -> None:
        while not done.wait(0.02):
            if terminal._holder is not None:
                terminal._push(event_packet(EVENT_SCANNED, b"\0\0"), terminal._holder[1])

    thread = Thread(target=fumble)
    thread.start()
    try:
        yield terminal
    finally:
        done.set()
        thread.join(timeout=5)


@pytest.mark.parametrize(("seconds", "unwanted", "outcome"), [(60, True, "cancelled"), (1.5, False, "timeout")])
def test_however_much_a_unit_tells_an_enrolment_ends_in_time(
    fumbling: SimulatedTerminal, seconds: float, unwanted: bool, outcome: Any
) -> None:
    with talk(fumbling) as session:
        session.start_enrolment("1001", 2)
        began = monotonic()
        told = list(session.enrolment_progress(seconds, cancelled=lambda: unwanted))
        took = monotonic() - began

    assert told[-1] == Progress(0, outcome)
    assert len(told) > 10
    assert took < 4


def test_what_is_left_of_one_enrolment_is_not_taken_for_the_next(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        session.start_enrolment("1001", 2)
        session.cancel_enrolment()
        terminal.faults = Faults(Latency(seconds=0.01))
        session.start_enrolment("1002", 3)
        session.delete_template(3, 3)
        progress = list(session.enrolment_progress(5))

    assert progress[-1] == Progress(3, "enrolled", 800)


def test_a_unit_that_will_not_enrol_says_so(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Refuse(command=p.CMD_STARTENROLL))

    with talk(terminal) as session, pytest.raises(RefusedError, match="refused to enrol finger 2 of user 1001"):
        session.start_enrolment("1001", 2)
