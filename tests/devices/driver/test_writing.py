"""People, clocks and locks against simulated terminals, sound and spoilt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devices import protocol as p
from devices.driver import guarded
from devices.driver.errors import (
    FullError,
    KnownUserError,
    MayBeLockedError,
    NotKeptError,
    RefusedError,
    StoppedError,
    TerminalError,
    TimedOutError,
    UnfitError,
    UnknownUserError,
    UnreachableError,
)
from devices.driver.guarded import Address
from devices.driver.session import TerminalSession, open_session
from devices.driver.users import UserFields
from devices.simulator import (
    Close,
    Fault,
    Faults,
    Full,
    Latency,
    Misread,
    Pretend,
    Reboot,
    Refuse,
    Silent,
    SimPunch,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
)

ANNA = SimUser(7, "1001", "Anna", privilege=15, password="42", card=123, group=3, time_zones=(1, 2, 0, 9))
SPEC = TerminalSpec(serial="CKJF201260077", users=(ANNA, SimUser(3, "1002", "Bob")))
OLD = replace(SPEC, user_width=28, punch_width=8, users=(replace(ANNA, time_zones=(5, 0, 0, 0)), SPEC.users[1]))


def address(terminal: SimulatedTerminal, *, udp: bool = False, encoding: str = "UTF-8") -> Address:
    return Address(terminal.host, terminal.port, udp=udp, timeout=0.5, session_seconds=10, encoding=encoding)


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(SPEC) as running:
        running.second_connection = "refuse"
        yield running


@contextmanager
def talk(terminal: SimulatedTerminal, **how: Any) -> Iterator[TerminalSession]:
    with open_session(address(terminal, **how)) as session:
        yield session


def write(terminal: SimulatedTerminal, user_id: str, fields: UserFields, **when: Any) -> None:
    with talk(terminal) as session:
        session.write_user(user_id, fields, **when)


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("spec", [SPEC, OLD], ids=["72 bytes", "28 bytes"])
def test_a_person_is_created_changed_and_deleted(spec: TerminalSpec, udp: bool) -> None:
    with SimulatedTerminal(spec) as terminal, talk(terminal, udp=udp) as session:
        session.write_user("55", UserFields(name="Zoë", privilege=14, password="123", card=77), when="new")
        created = terminal.users()[-1]
        session.write_user("55", UserFields(name="Zoé"), when="known")
        changed = terminal.users()[-1]
        session.delete_user("55")

    assert created == SimUser(8, "55", "Zoë", 14, "123", 77)
    assert changed == replace(created, name="Zoé")
    assert terminal.users() == spec.users
    assert not terminal.disabled


@pytest.mark.parametrize("spec", [SPEC, OLD], ids=["72 bytes", "28 bytes"])
def test_what_was_not_asked_to_change_stays(spec: TerminalSpec) -> None:
    with SimulatedTerminal(spec) as terminal, talk(terminal) as session:
        session.write_user("1001", UserFields(card=456))

        assert terminal.users()[0] == replace(spec.users[0], card=456)


def test_people_are_read_with_everything_that_the_unit_has_of_them(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        anna, bob = session.users()

    assert (anna.uid, anna.user_id, anna.name, anna.privilege, anna.disabled) == (7, "1001", "Anna", 14, True)
    assert (anna.password, anna.card, anna.group, anna.time_zones) == ("42", 123, 3, (1, 2, 0, 9))
    assert (bob.privilege, bob.disabled, bob.password) == (0, False, "")
    assert terminal.table("users") == anna.raw + bob.raw


def test_a_person_without_a_name_stays_without_one(terminal: SimulatedTerminal) -> None:
    write(terminal, "9", UserFields(card=5))

    with talk(terminal) as session:
        assert session.users()[-1].name == ""
    assert terminal.users()[-1].name == ""


def test_each_session_has_its_own_code_page() -> None:
    gbk = replace(SPEC, encoding="gbk", users=(SimUser(1, "1", "张伟"),))
    latin = replace(SPEC, encoding="latin-1", users=(SimUser(1, "1", "José"),))
    with (
        SimulatedTerminal(gbk) as first,
        SimulatedTerminal(latin) as second,
        talk(first, encoding="GBK") as chinese,
        talk(second, encoding="latin-1") as spanish,
    ):
        assert [chinese.users()[0].name, spanish.users()[0].name] == ["张伟", "José"]
        chinese.write_user("2", UserFields(name="王芳"))
        spanish.write_user("2", UserFields(name="Íñigo"))
        assert [unit.users()[-1].name for unit in (first, second)] == ["王芳", "Íñigo"]


def test_an_empty_unit_gets_its_first_person() -> None:
    with SimulatedTerminal(replace(SPEC, users=())) as terminal, talk(terminal) as session:
        assert session.users() == []
        assert session.write_user("9", UserFields(name="First")).uid == 1


def test_the_punches_of_somebody_gone_are_not_given_to_somebody_new() -> None:
    punched = replace(OLD, punches=(SimPunch("1001", datetime(2026, 3, 2, 8)),))
    with SimulatedTerminal(punched) as terminal, talk(terminal) as session:
        session.delete_user("1001")
        new = session.write_user("2000", UserFields(name="New"))

    assert new.uid == 8


def test_one_person_who_does_not_fit_keeps_nobody_else_out(terminal: SimulatedTerminal) -> None:
    wanted = {user_id: UserFields(name=f"P{user_id}") for user_id in ("5", "1234567890", "AB", "1002")}
    with talk(terminal) as session:
        outcomes = session.write_users(wanted)

    assert list(outcomes) == list(wanted)
    assert [type(outcomes[user_id]).__name__ for user_id in wanted] == [
        "UnitUser",
        "UnfitError",
        "UnfitError",
        "UnitUser",
    ]
    assert [(user.user_id, user.name) for user in terminal.users()] == [
        ("1001", "Anna"),
        ("1002", "P1002"),
        ("5", "P5"),
    ]


def test_a_link_that_breaks_is_nobodys_own_outcome(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Close(command=p.CMD_USER_WRQ))

    with pytest.raises(UnreachableError), talk(terminal) as session:
        session.write_users({"5": UserFields(), "6": UserFields()})

    assert [user.user_id for user in terminal.users()] == ["1001", "1002", "5"]


def test_a_terminal_is_left_politely_after_a_clean_no(terminal: SimulatedTerminal) -> None:
    with pytest.raises(KnownUserError):
        write(terminal, "1001", UserFields(), when="new")

    assert terminal.commands()[-1] == p.CMD_EXIT


def test_many_people_cost_two_readings_of_the_table(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        session.write_users({str(number): UserFields(card=number) for number in range(1, 101)})

    assert len(terminal.users()) == 102
    assert terminal.commands().count(p.CMD_PREPARE_BUFFER) == 2
    assert terminal.commands().count(p.CMD_REFRESHDATA) == 1


def test_who_is_as_wanted_is_not_written_again(terminal: SimulatedTerminal) -> None:
    write(terminal, "1001", UserFields(name="Anna", card=123))

    assert p.CMD_USER_WRQ not in terminal.commands()


@pytest.mark.parametrize(
    ("faults", "user_id", "when", "error", "words"),
    [
        ([], "1001", "new", KnownUserError, "has user '1001' already"),
        ([], "9", "known", UnknownUserError, "has no user '9'"),
        ([Refuse(command=p.CMD_USER_WRQ)], "9", "any", RefusedError, r"refused to write user 9 \(reply 2001\)"),
        ([Full()], "9", "any", FullError, "The unit is full: it holds 2 of 2 people"),
        ([Pretend(command=p.CMD_USER_WRQ)], "9", "any", NotKeptError, "took user 9, but doesn't have them"),
        ([Pretend(command=p.CMD_USER_WRQ)], "1002", "any", NotKeptError, "keeps name 'Bob' instead of 'Zed'"),
        ([Misread(command=p.CMD_USER_WRQ, at=12, byte=0x61)], "9", "any", NotKeptError, "keeps name 'Zad' instead"),
        ([Misread(command=p.CMD_USER_WRQ, at=2, byte=14)], "9", "any", NotKeptError, "privilege 14 instead of 0"),
    ],
)
def test_a_write_that_fails_is_one_clear_error_and_leaves_the_unit_usable(
    terminal: SimulatedTerminal, faults: list[Fault], user_id: str, when: Any, error: type[TerminalError], words: str
) -> None:
    terminal.faults = Faults(*faults)

    with talk(terminal) as session:
        with pytest.raises(error, match=words):
            session.write_user(user_id, UserFields(name="Zed"), when=when)

        assert not terminal.disabled
        terminal.faults = Faults()
        assert session.write_user("1001", UserFields(name="Ann")).name == "Ann"
    assert terminal.commands()[-1] == p.CMD_EXIT


def test_a_unit_that_fills_up_meanwhile_is_full_in_words(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Full(command=p.CMD_USER_WRQ, times=1), Full(command=p.CMD_GET_FREE_SIZES, nth=3))

    with pytest.raises(FullError, match="takes no more people"):
        write(terminal, "9", UserFields(name="Zed"))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Close(command=p.CMD_USER_WRQ), UnreachableError),
        (Close(command=p.CMD_USER_WRQ, reset=True), UnreachableError),
        (Silent(command=p.CMD_USER_WRQ), TimedOutError),
        (Reboot(command=p.CMD_USER_WRQ), UnreachableError),
        (Close(command=p.CMD_DISABLEDEVICE), UnreachableError),
        (Close(command=p.CMD_ENABLEDEVICE), None),
        (Refuse(command=p.CMD_ENABLEDEVICE), None),
        (Silent(command=p.CMD_ENABLEDEVICE), None),
    ],
    ids=repr,
)
def test_a_link_that_breaks_while_the_unit_is_locked_does_not_leave_it_locked(
    terminal: SimulatedTerminal, fault: Fault, error: type[TerminalError] | None
) -> None:
    terminal.faults = Faults(fault)

    if error is None:
        write(terminal, "9", UserFields(name="Zed"))
    else:
        with pytest.raises(error):
            write(terminal, "9", UserFields(name="Zed"))

    assert not terminal.disabled
    assert terminal.punch("1001") is not None
    assert p.CMD_USER_WRQ not in terminal.journal[-1].commands


def test_a_unit_that_can_not_be_enabled_is_said_to_be_locked(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Refuse(command=p.CMD_ENABLEDEVICE, times=None))

    with pytest.raises(MayBeLockedError, match=r"may take no finger until it is enabled or restarted.*refused"):
        write(terminal, "9", UserFields(name="Zed"))

    assert terminal.disabled
    assert terminal.commands().count(p.CMD_ENABLEDEVICE) == 2


def disabled_while(terminal: SimulatedTerminal, happens: Callable[[], object]) -> None:
    with talk(terminal) as session, session.disabled():
        assert terminal.disabled
        happens()
        session.sizes()


def test_a_unit_that_goes_away_while_locked_is_said_to_be_locked(terminal: SimulatedTerminal) -> None:
    with pytest.raises(MayBeLockedError) as caught:
        disabled_while(terminal, terminal.stop)

    assert isinstance(caught.value.__cause__, UnreachableError)


def test_a_unit_is_enabled_though_the_process_stops(terminal: SimulatedTerminal, stopping: Callable[[], int]) -> None:
    with pytest.raises(StoppedError):
        disabled_while(terminal, stopping)

    assert not terminal.disabled


def test_a_unit_is_enabled_though_nobody_waits_for_the_answer_any_more(terminal: SimulatedTerminal) -> None:
    where = replace(address(terminal), stop=threading.Event())

    with pytest.raises(StoppedError), open_session(where) as session, session.disabled():
        ask_and_leave(session, where.stop)

    assert not terminal.disabled


def ask_and_leave(session: TerminalSession, stop: threading.Event | None) -> None:
    assert stop is not None
    guarded.stop_sessions(stop)
    session.sizes()


def test_a_unit_is_enabled_whatever_is_raised_meanwhile(terminal: SimulatedTerminal) -> None:
    def fail() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        disabled_while(terminal, fail)

    assert not terminal.disabled
    assert terminal.commands()[-2:] == [p.CMD_ENABLEDEVICE, p.CMD_EXIT]


def test_one_lock_within_another_is_the_same_lock(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        with session.disabled():
            session.write_user("9", UserFields(name="Zed"))
            assert terminal.disabled
        assert not terminal.disabled

    assert terminal.commands().count(p.CMD_DISABLEDEVICE) == 1


def test_the_one_session_of_a_unit_is_another_clients(terminal: SimulatedTerminal) -> None:
    with talk(terminal), pytest.raises(UnreachableError):
        write(terminal, "9", UserFields(name="Zed"))

    assert terminal.users() == SPEC.users


def test_a_slow_unit_is_waited_for(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Latency(seconds=0.02))

    write(terminal, "9", UserFields(name="Zed"))

    assert terminal.users()[-1].name == "Zed"


def test_nobody_is_deleted_who_is_not_there(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        for who in ("9", 9, "", 0):
            with pytest.raises(UnknownUserError, match=f"has no user '{who}'"):
                session.delete_user(who)
        assert session.delete_user(7).user_id == "1001"

    assert [user.user_id for user in terminal.users()] == ["1002"]


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Refuse(command=p.CMD_DELETE_USER), RefusedError, "refused to delete user 1001"),
        (Pretend(command=p.CMD_DELETE_USER), NotKeptError, "deleted user 1001, but still has them"),
    ],
)
def test_a_deletion_that_did_not_happen_says_so(
    terminal: SimulatedTerminal, fault: Fault, error: type[TerminalError], words: str
) -> None:
    terminal.faults = Faults(fault)

    with pytest.raises(error, match=words), talk(terminal) as session:
        session.delete_user("1001")

    assert not terminal.disabled


def test_a_unit_that_keeps_the_fingers_of_who_is_gone_is_made_to_forget_them(terminal: SimulatedTerminal) -> None:
    class ForgetsOnlyThePerson(Fault):
        def received(self, data: bytes) -> bytes | None:
            terminal.delete_user(7)
            terminal._templates[7, 2] = SimTemplate(7, 2, b"left")
            return None

    terminal.faults = Faults(ForgetsOnlyThePerson(command=p.CMD_DELETE_USER))

    with talk(terminal) as session:
        session.delete_user("1001")

    assert terminal.templates() == ()


def test_the_clock_is_set_and_shown(terminal: SimulatedTerminal) -> None:
    with talk(terminal) as session:
        shown = session.set_clock(datetime(2031, 5, 31, 23, 59, 50))

    assert timedelta(0) <= shown - datetime(2031, 5, 31, 23, 59, 50) <= timedelta(seconds=2)
    assert timedelta(0) <= terminal.now() - shown <= timedelta(seconds=2)


@pytest.mark.parametrize(
    "moment", [datetime(1999, 12, 31, 23, 59, 59), datetime(2100, 1, 1), datetime(2026, 3, 2, tzinfo=UTC)]
)
def test_a_time_that_no_terminal_can_show_is_not_sent(terminal: SimulatedTerminal, moment: datetime) -> None:
    with talk(terminal) as session, pytest.raises(UnfitError, match="local time of the years 2000 to 2099"):
        session.set_clock(moment)

    assert p.CMD_SET_TIME not in terminal.commands()


@pytest.mark.parametrize("moment", [datetime(2000, 1, 1), datetime(2099, 12, 31, 23, 59, 50)])
def test_the_first_and_the_last_moment_can_be_shown(terminal: SimulatedTerminal, moment: datetime) -> None:
    with talk(terminal) as session:
        assert session.set_clock(moment) - moment <= timedelta(seconds=2)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Pretend(command=p.CMD_SET_TIME), NotKeptError, "took 2031-05-31 23:59:50 for its clock, but shows 20"),
        (Refuse(command=p.CMD_SET_TIME), RefusedError, "refused to set its clock"),
        (Refuse(command=p.CMD_GET_TIME), NotKeptError, "but shows no time"),
    ],
)
def test_a_clock_that_was_not_set_says_so(
    terminal: SimulatedTerminal, fault: Fault, error: type[TerminalError], words: str
) -> None:
    terminal.faults = Faults(fault)

    with pytest.raises(error, match=words), talk(terminal) as session:
        session.set_clock(datetime(2031, 5, 31, 23, 59, 50))


@pytest.mark.parametrize("fault", [None, Reboot(command=p.CMD_RESTART), Close(command=p.CMD_RESTART)])
def test_a_unit_restarts_with_or_without_an_answer_and_the_session_is_over(
    terminal: SimulatedTerminal, fault: Fault | None
) -> None:
    terminal.faults = Faults(*([fault] if fault else []))

    with talk(terminal) as session:
        session.restart()
        with pytest.raises(TerminalError, match="is over"):
            session.write_user("9", UserFields())

    assert terminal.commands() == [p.CMD_CONNECT, p.CMD_RESTART]


@pytest.fixture
def stopping() -> Iterator[Callable[[], int]]:
    yield guarded.stop_all
    guarded._stopping.clear()
