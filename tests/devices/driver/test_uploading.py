"""Many people brought at once, with their fingers, to simulated terminals sound and spoilt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest

from devices import protocol as p
from devices.driver.errors import (
    MayBeLockedError,
    RefusedError,
    TerminalError,
    UnreachableError,
)
from devices.driver.guarded import Address
from devices.driver.session import TerminalSession, open_session
from devices.driver.uploading import BATCH_BYTES, Upload, Written, batches
from devices.driver.users import UserFields
from devices.simulator import (
    Capitals,
    Close,
    CountOff,
    Fault,
    Faults,
    FillsUp,
    LostBetween,
    Pretend,
    Refuse,
    RefuseUpload,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
)

ANNA = SimUser(7, "1001", "Anna", privilege=15, password="42", card=123, group=3, time_zones=(1, 2, 0, 9))
SPEC = TerminalSpec(
    serial="UP1", users=(ANNA, SimUser(3, "1002", "Bob")), templates=(SimTemplate(3, 0, b"SS21 old"),), fp_version="9"
)
OLD = replace(SPEC, user_width=28, punch_width=16, users=(replace(ANNA, time_zones=(5, 0, 0, 0)), SPEC.users[1]))
PRINT = b"SS21" + bytes(range(1, 251)) * 3
WANTED = {
    "1001": Upload(UserFields(name="Anne")),
    "1002": Upload(UserFields(name="Bob"), {0: PRINT, 6: b"SS21 six"}),
    "2001": Upload(UserFields(name="Zoë", card=9), {1: PRINT}),
    "2002": Upload(UserFields(name="Yves")),
}


@contextmanager
def talk(terminal: SimulatedTerminal, *, udp: bool = False) -> Iterator[TerminalSession]:
    with open_session(Address(terminal.host, terminal.port, udp=udp, timeout=1, session_seconds=20)) as session:
        yield session


def write(terminal: SimulatedTerminal, wanted: Mapping[str, Upload] = WANTED) -> dict[str, Written]:
    with talk(terminal) as session:
        return session.write_people(wanted)


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(SPEC) as running:
        yield running


def kinds(written: Mapping[str, Written]) -> dict[str, tuple[str, dict[int, str]]]:
    """What became of everybody, by the names of the classes."""
    return {
        user_id: (type(one.user).__name__, {finger: type(what).__name__ for finger, what in one.fingers.items()})
        for user_id, one in written.items()
    }


ALL_WELL = {
    "1001": ("UnitUser", {}),
    "1002": ("UnitUser", {0: "NoneType", 6: "NoneType"}),
    "2001": ("UnitUser", {1: "NoneType"}),
    "2002": ("UnitUser", {}),
}
ALL_FINGERS = {SimTemplate(3, 0, PRINT), SimTemplate(3, 6, b"SS21 six"), SimTemplate(8, 1, PRINT)}


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("spec", [SPEC, OLD], ids=["72 bytes", "28 bytes"])
def test_people_and_fingers_come_in_one_upload_and_what_was_not_told_stays(spec: TerminalSpec, udp: bool) -> None:
    with SimulatedTerminal(spec) as terminal:
        with talk(terminal, udp=udp) as session:
            written = session.write_people(WANTED)

        assert kinds(written) == ALL_WELL
        assert terminal.users() == (
            replace(spec.users[0], name="Anne"),
            spec.users[1],
            SimUser(8, "2001", "Zoë", card=9),
            SimUser(9, "2002", "Yves"),
        )
        assert set(terminal.templates()) == ALL_FINGERS
        assert terminal.commands().count(p.CMD_SAVE_USERTEMPS) == 1
        assert terminal.commands().count(p.CMD_DISABLEDEVICE) == 1
        assert not terminal.disabled


def test_who_is_there_exactly_is_not_sent_again(terminal: SimulatedTerminal) -> None:
    write(terminal)
    before = len(terminal.commands())

    again = write(terminal, {user_id: Upload(upload.fields) for user_id, upload in WANTED.items()})

    assert [type(one.user).__name__ for one in again.values()] == ["UnitUser"] * 4
    assert {p.CMD_PREPARE_DATA, p.CMD_USER_WRQ, p.CMD_REFRESHDATA}.isdisjoint(terminal.commands()[before:])


def test_fingers_are_brought_to_who_is_there_exactly(terminal: SimulatedTerminal) -> None:
    written = write(terminal, {"1002": Upload(UserFields(name="Bob"), {4: PRINT})})

    assert kinds(written) == {"1002": ("UnitUser", {4: "NoneType"})}
    assert terminal.template(3, 4) == SimTemplate(3, 4, PRINT)


@pytest.mark.parametrize("faults", [[], [RefuseUpload()]], ids=["at once", "singly"])
def test_nobody_new_gets_a_number_that_still_has_fingers(terminal: SimulatedTerminal, faults: list[Fault]) -> None:
    terminal._templates |= {(uid, 1): SimTemplate(uid, 1, b"SS21 nobody's") for uid in (8, 10)}
    terminal.faults = Faults(*faults)
    new = {user_id: Upload(UserFields(name="New")) for user_id in ("2001", "2002")}

    with talk(terminal) as session:
        written = session.write_people({**new, "1001": Upload(UserFields(name="Anne"))}, avoid={8, 10})

    assert kinds(written) == dict.fromkeys(["2001", "2002", "1001"], ("UnitUser", {}))
    assert {user.user_id: user.uid for user in terminal.users()} == {"1001": 7, "1002": 3, "2001": 11, "2002": 12}


class Marked(Fault):
    """The rows of finger 0 are marked as nothing that is known."""

    def table(self, name: str, rows: bytes, width: int) -> bytes:
        return rows.replace(b"\0\1SS21", b"\0\7SS21") if name == "templates" else rows


@pytest.mark.parametrize(
    "fault", [CountOff(of="templates"), Marked(command=p.CMD_PREPARE_BUFFER, times=None)], ids=repr
)
def test_who_comes_is_seen_to_have_come_though_the_table_of_fingers_makes_no_sense(
    terminal: SimulatedTerminal, fault: Fault
) -> None:
    terminal.faults = Faults(fault)

    written = write(terminal, {"1001": Upload(UserFields(), dict.fromkeys(range(8), PRINT))})

    assert kinds(written) == {"1001": ("UnitUser", dict.fromkeys(range(8), "NoneType"))}


def test_one_person_or_finger_that_does_not_fit_keeps_nobody_else_out(terminal: SimulatedTerminal) -> None:
    terminal._users[20] = terminal._users[3].replace(b"\x03\0", b"\x14\0", 1)  # a second one with user id 1002
    wanted = {
        "1234567890": Upload(UserFields(name="Long"), {0: PRINT}),
        "AB": Upload(UserFields(name="Letters")),
        "1002": Upload(UserFields(name="Twice")),
        "5": Upload(UserFields(name="Čapek"), {0: b"", 1: PRINT, 10: PRINT}),
    }

    written = write(terminal, wanted)

    assert list(written) == list(wanted)
    assert kinds(written) == {
        "1234567890": ("UnfitError", {0: "UnfitError"}),
        "AB": ("UnfitError", {}),
        "1002": ("UnfitError", {}),
        "5": ("UnitUser", {0: "UnfitError", 10: "UnfitError", 1: "NoneType"}),
    }
    assert [(user.user_id, user.name) for user in terminal.users()][-1] == ("5", "Čapek")


def test_a_unit_with_room_for_one_takes_the_first_and_says_so_of_the_others() -> None:
    with SimulatedTerminal(replace(SPEC, user_capacity=3, finger_capacity=2)) as terminal:
        written = write(terminal)

        assert kinds(written) == {
            "1001": ("UnitUser", {}),
            "1002": ("UnitUser", {0: "NoneType", 6: "NoneType"}),
            "2001": ("UnitUser", {1: "FullError"}),
            "2002": ("FullError", {}),
        }
        assert str(written["2001"].fingers[1]).endswith("is full: it holds 2 of 2 fingers.")
        assert str(written["2002"].user) == "The unit is full: it holds 3 of 3 people."
        assert terminal.commands().count(p.CMD_SAVE_USERTEMPS) == 1
        assert p.CMD_USER_WRQ not in terminal.commands()
        assert set(terminal.templates()) == {SimTemplate(3, 0, PRINT), SimTemplate(3, 6, b"SS21 six")}


def test_a_unit_that_fills_up_in_the_middle_is_full_in_words_and_keeps_what_it_has(
    terminal: SimulatedTerminal,
) -> None:
    terminal.faults = Faults(FillsUp(of="users", at=3))

    written = write(terminal)

    assert kinds(written) == {**ALL_WELL, "2002": ("FullError", {})}
    assert [user.user_id for user in terminal.users()] == ["1001", "1002", "2001"]
    assert set(terminal.templates()) == ALL_FINGERS


def test_a_unit_that_fills_up_with_fingers_is_full_in_words(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(FillsUp(of="templates", at=2))

    written = write(terminal)

    assert kinds(written) == {**ALL_WELL, "2001": ("UnitUser", {1: "FullError"})}
    assert str(written["2001"].fingers[1]).endswith("is full: it holds 2 of 2 fingers.")
    assert set(terminal.templates()) == {SimTemplate(3, 0, PRINT), SimTemplate(3, 6, b"SS21 six")}


def test_old_firmware_gets_its_people_one_by_one_and_refuses_fingers(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(RefuseUpload())

    written = write(terminal)

    assert kinds(written) == {
        "1001": ("UnitUser", {}),
        "1002": ("UnitUser", {0: "RefusedError", 6: "RefusedError"}),
        "2001": ("UnitUser", {1: "RefusedError"}),
        "2002": ("UnitUser", {}),
    }
    assert [user.name for user in terminal.users()] == ["Anne", "Bob", "Zoë", "Yves"]
    assert not terminal.disabled


def test_a_unit_that_refuses_only_many_at_once_gets_them_singly(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Refuse(command=p.CMD_SAVE_USERTEMPS))

    assert kinds(write(terminal)) == ALL_WELL
    assert set(terminal.templates()) == ALL_FINGERS
    saved = [command for command in terminal.commands() if command in (p.CMD_SAVE_USERTEMPS, p.CMD_REFRESHDATA)]
    assert saved == [p.CMD_SAVE_USERTEMPS, p.CMD_REFRESHDATA, *[p.CMD_SAVE_USERTEMPS] * 2, p.CMD_REFRESHDATA]


def test_what_the_unit_keeps_otherwise_than_it_said_is_told_of_each(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Capitals())

    written = write(terminal)

    assert kinds(written) == {
        "1001": ("NotKeptError", {}),
        "1002": ("NotKeptError", {0: "NoneType", 6: "NoneType"}),
        "2001": ("NotKeptError", {1: "NoneType"}),
        "2002": ("NotKeptError", {}),
    }
    assert "keeps name 'YVES' instead of 'Yves'" in str(written["2002"].user)


def test_nothing_kept_is_told_of_each_person_and_finger(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Pretend(command=p.CMD_SAVE_USERTEMPS))

    assert kinds(write(terminal)) == {
        "1001": ("NotKeptError", {}),
        "1002": ("UnitUser", {0: "NotKeptError", 6: "NotKeptError"}),
        "2001": ("NotKeptError", {1: "NotKeptError"}),
        "2002": ("NotKeptError", {}),
    }


@pytest.mark.parametrize(
    "fault",
    [
        LostBetween(),
        Close(command=p.CMD_DATA),
        Close(command=p.CMD_REFRESHDATA),
        Close(command=p.CMD_PREPARE_BUFFER, nth=2),
        Close(command=p.CMD_GET_USERTEMP),
    ],
    ids=repr,
)
def test_a_lost_connection_is_nobodys_own_outcome_and_the_next_upload_mends_it(
    terminal: SimulatedTerminal, fault: Fault
) -> None:
    terminal.faults = Faults(fault)

    with pytest.raises(UnreachableError):
        write(terminal)

    assert not terminal.disabled
    assert kinds(write(terminal)) == ALL_WELL
    assert set(terminal.templates()) == ALL_FINGERS
    assert len(terminal.users()) == 4


def test_between_the_people_and_their_fingers_the_people_stay(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(LostBetween())

    with pytest.raises(UnreachableError):
        write(terminal)

    assert len(terminal.users()) == 4
    assert terminal.templates() == SPEC.templates


def test_a_unit_that_stays_disabled_is_said_to_be_locked(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(LostBetween(), Refuse(command=p.CMD_ENABLEDEVICE, times=None))

    with pytest.raises(MayBeLockedError):
        write(terminal)


def test_a_table_that_can_not_be_read_is_an_error_of_the_session(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Refuse(command=p.CMD_PREPARE_BUFFER))

    with pytest.raises(RefusedError):
        write(terminal)

    assert not terminal.disabled
    assert terminal.users() == SPEC.users


@pytest.mark.parametrize("width", [72, 28])
def test_an_empty_unit_of_either_generation_gets_its_first_people(width: int) -> None:
    empty = TerminalSpec(serial="UP2", user_width=width, punch_width=16)
    with SimulatedTerminal(empty) as terminal:
        written = write(terminal)

    assert all(not isinstance(one.user, TerminalError) for one in written.values())


def test_many_fingers_are_looked_at_by_the_table_and_few_one_by_one(terminal: SimulatedTerminal) -> None:
    few = {"1001": Upload(UserFields(), {0: PRINT})}
    many = {str(number): Upload(UserFields(), {0: PRINT}) for number in range(1, 10)}

    assert all(one.fingers == {0: None} for one in write(terminal, few).values())
    asked = terminal.commands().count(p.CMD_GET_USERTEMP)
    assert all(one.fingers == {0: None} for one in write(terminal, many).values())

    assert (asked, terminal.commands().count(p.CMD_GET_USERTEMP)) == (1, 1)


@pytest.mark.parametrize("size", [0, 800, 1_600], ids=["no fingers", "small fingers", "large fingers"])
def test_a_first_export_of_a_thousand_costs_little_more_than_the_bytes(size: int) -> None:
    fingers = {6: b"\xaa" * size} if size else {}
    people = {str(number): Upload(UserFields(name=f"P {number}"), fingers) for number in range(1_000, 2_000)}
    least = 4 + math.ceil((12 + 1_000 * (73 + (9 + size if size else 0))) / p.UPLOAD_CHUNK)

    with SimulatedTerminal(replace(SPEC, users=(), templates=())) as terminal:
        with talk(terminal) as session:
            written = {
                user_id: one for batch in batches(people) for user_id, one in session.write_people(batch).items()
            }
        asked = terminal.commands()

    assert all(one.fingers == dict.fromkeys(fingers) for one in written.values())
    assert len(terminal.users()) == 1_000
    assert len(asked) <= 1.5 * least
    assert asked.count(p.CMD_OPTIONS_RRQ) == 3
    assert longest_disabled(asked) <= 100  # 20 s at 200 ms


def longest_disabled(asked: list[int]) -> int:
    starts = [at for at, command in enumerate(asked) if command == p.CMD_DISABLEDEVICE]
    return max(asked.index(p.CMD_ENABLEDEVICE, at) + 1 - at for at in starts)


def test_batches_keep_the_order_and_the_limit_and_one_who_is_bigger_comes_alone() -> None:
    people = {str(number): Upload(UserFields(), {0: bytes(1_000)}) for number in range(5)}
    people["2"] = Upload(UserFields(), {0: bytes(9_000)})

    split = list(batches(people, 2_200))

    assert [list(batch) for batch in split] == [["0", "1"], ["2"], ["3", "4"]]
    assert {user_id: upload for batch in split for user_id, upload in batch.items()} == people
    assert list(batches({}, 10)) == []
    assert BATCH_BYTES == 80 * 1024


@pytest.mark.parametrize(
    ("told", "version"), [("9", "9"), ("10", "10"), ("", ""), ("unknown", ""), ("123456", ""), ("10.0", "")]
)
def test_the_algorithm_version_is_a_number_or_nothing(told: str, version: str) -> None:
    with SimulatedTerminal(replace(SPEC, fp_version=told)) as terminal, talk(terminal) as session:
        assert session.fp_version() == version


def test_a_unit_without_that_option_tells_no_algorithm_version(terminal: SimulatedTerminal) -> None:
    del terminal.options["~ZKFPVersion"]

    with talk(terminal) as session:
        assert session.fp_version() == ""
