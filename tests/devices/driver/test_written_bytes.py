"""What the driver says to a terminal, against bytes written out by hand from the protocol."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from devices.driver.errors import NotKeptError
from devices.driver.guarded import Address
from devices.driver.session import TerminalSession, open_session
from devices.driver.uploading import Upload
from devices.driver.users import UserFields
from tests.devices.driver.scripted_terminal import Part, ScriptedTerminal

ANNA = (
    "07 00 0f 34 32 00 00 00 00 00 00"  # uid, administrator who is disabled, password 42
    " 41 6e 6e 61" + " 00" * 20  # name
    + " 4e 61 bc 00 03 01 00 02 00 00 00 09 5a"  # card, group, own time zones
    + " 31 30 30 31" + " 00" * 20  # user id 1001
)  # fmt: skip
ANNE = ANNA.replace("41 6e 6e 61", "41 6e 6e 65")
BEN = (
    "08 00 06 39 39 00 00 00 00 00 00"
    " 42 c3 a9 6e" + " 00" * 20
    + " 78 56 34 12 01 00 00 00 00 00 00 00 00"
    + " 34 32" + " 00" * 22
)  # fmt: skip
ANNA_28 = "07 00 00 34 32 00 00 00 41 6e 6e 61 00 00 00 00 4e 61 bc 00 00 03 01 00 e9 03 00 00"
BEN_28 = "08 00 06 39 39 00 00 00 42 c3 a9 6e 00 00 00 00 78 56 34 12 00 01 00 00 2a 00 00 00"
NEW = UserFields(name="Bén", privilege=6, password="99", card=0x12345678)


def table(*rows: str) -> Part:
    data = bytes.fromhex("".join(rows))
    return 1501, len(data).to_bytes(4, "little") + data


def sizes(users: int, fingers: int = 0, punches: int = 0) -> Part:
    fields = [0] * 23
    fields[4], fields[6], fields[8] = users, fingers, punches
    return 2000, struct.pack("<23i", *fields)


@contextmanager
def talk(**answers: list[Part]) -> Iterator[tuple[ScriptedTerminal, TerminalSession]]:
    with (
        ScriptedTerminal(**answers) as terminal,
        open_session(Address("127.0.0.1", terminal.port, timeout=2, session_seconds=10)) as session,
    ):
        yield terminal, session


def test_a_changed_person_is_their_own_row_with_other_bytes_in_one_place() -> None:
    with talk(c50=[sizes(1)], c1503=[table(ANNA), table(ANNE)]) as (terminal, session):
        kept = session.write_user("1001", UserFields(name="Anne"), when="known")

    assert terminal.said(8) == [ANNE]
    assert terminal.said(1503)[0] == "01 09 00 05 00 00 00 00 00 00 00"
    assert (kept.uid, kept.name, kept.privilege, kept.disabled, kept.time_zones) == (
        7,
        "Anne",
        14,
        True,
        (1, 2, 0, 23049),
    )
    assert [command for command, _data in terminal.heard] == [
        1000,
        1003,
        50,
        1503,
        50,
        8,
        1013,
        50,
        1503,
        50,
        1002,
        1001,
    ]


def test_a_new_person_of_72_bytes_gets_the_next_uid_and_no_time_zones() -> None:
    with talk(c50=[sizes(1), sizes(1), sizes(2)], c1503=[table(ANNA), table(ANNA, BEN)]) as (terminal, session):
        session.write_user("42", NEW, when="new")

    assert terminal.said(8) == [BEN]


def test_a_new_person_of_28_bytes_has_a_number_for_a_user_id() -> None:
    answers = {"c50": [sizes(1), sizes(1), sizes(2)], "c1503": [table(ANNA_28), table(ANNA_28, BEN_28)]}
    with talk(**answers) as (terminal, session):
        session.write_user("42", NEW)

    assert terminal.said(8) == [BEN_28]


def test_a_uid_that_the_log_of_8_byte_rows_still_names_is_not_given_away() -> None:
    log = table("09 00 01 00 ab 22 32 00")  # uid 9 punched, and is gone
    kept = BEN_28.replace("08 00 06", "0a 00 06")
    answers = {
        "c50": [sizes(1, punches=1), sizes(1, punches=1), sizes(1, punches=1), sizes(2, punches=1)],
        "c1503": [table(ANNA_28), log, table(ANNA_28, kept)],
    }
    with talk(**answers) as (terminal, session):
        assert session.write_user("42", NEW).uid == 10

    assert terminal.said(8) == [kept]


def test_a_deleted_person_is_named_by_uid_and_looked_for_again() -> None:
    answers = {"c50": [sizes(2), sizes(2), sizes(1)], "c1503": [table(ANNA, BEN), table(ANNA)]}
    with talk(**answers) as (terminal, session):
        assert session.delete_user("42").uid == 8

    assert terminal.said(18) == ["08 00"]
    assert len(terminal.said(1013)) == 1


def test_a_template_is_asked_for_by_uid_and_finger_and_stripped_of_what_is_not_its_own() -> None:
    padded = bytes.fromhex("aa bb cc 00 00 00 00 00 00 01")
    with talk(c88=[(1501, padded), (1501, b"\xaa\xbb\x01"), (2001, b"")]) as (terminal, session):
        assert [session.template(300, 6), session.template(7, 5), session.template(7, 4)] == [
            b"\xaa\xbb\xcc",
            b"\xaa\xbb",
            None,
        ]

    assert terminal.said(88) == ["2c 01 06", "07 00 05", "07 00 04"]


def test_templates_are_uploaded_with_their_person_in_pieces_of_a_kilobyte() -> None:
    big = bytes(range(1, 251)) * 4  # 1 000 bytes
    answers = {"c50": [sizes(1)], "c1503": [table(ANNA)], "c88": [(1501, b"\xa1\xa2\xa3\x01"), (1501, big + b"\x01")]}
    with talk(**answers) as (terminal, session):
        session.write_templates("1001", {6: b"\xa1\xa2\xa3", 0: big[:1000]})

    upload = bytes.fromhex(
        "49 00 00 00 10 00 00 00 ef 03 00 00 02" + ANNA  # 73, 16 and 1 007 bytes
        + "02 07 00 16 00 00 00 00 02 07 00 10 05 00 00 00"
        + "03 00 a1 a2 a3 e8 03"
    ) + big  # fmt: skip
    assert terminal.said(1500) == ["54 04 00 00"]
    assert terminal.said(1501) == [upload[:1024].hex(" "), upload[1024:].hex(" ")]
    assert terminal.said(110) == ["0c 00 00 00 00 00 08 00"]
    commands = [command for command, _data in terminal.heard]
    assert commands[commands.index(1502) :] == [1502, 1500, 1501, 1501, 110, 1013, 88, 88, 1002, 1001]


def test_two_people_with_fingers_are_one_upload() -> None:
    big = bytes(range(1, 251)) * 4  # 1 000 bytes
    counts = [sizes(1, fingers=9), sizes(1, fingers=9), sizes(2, fingers=12), sizes(2, fingers=12)]
    prints = [(1501, b"\xa1\xa2\xa3\x01"), (1501, big + b"\x01"), (1501, b"\xb1\xb2\x01")]
    wanted = {
        "1001": Upload(UserFields(name="Anne"), {6: b"\xa1\xa2\xa3", 0: big}),
        "42": Upload(NEW, {5: b"\xb1\xb2"}),
    }
    with talk(c50=counts, c1503=[table(ANNA), table(ANNE, BEN)], c88=prints) as (terminal, session):
        written = session.write_people(wanted)

    assert [one.fingers for one in written.values()] == [{6: None, 0: None}, {5: None}]
    upload = bytes.fromhex(
        "92 00 00 00 18 00 00 00 f3 03 00 00"  # 146, 24 and 1 011 bytes
         "02" + ANNE + "02" + BEN
        + "02 07 00 16 00 00 00 00 02 07 00 10 05 00 00 00 02 08 00 15 ef 03 00 00"
        + "03 00 a1 a2 a3 e8 03"
    ) + big + bytes.fromhex("02 00 b1 b2")  # fmt: skip
    assert terminal.said(1500) == ["a9 04 00 00"]
    assert terminal.said(1501) == [upload[:1024].hex(" "), upload[1024:].hex(" ")]
    assert terminal.said(110) == ["0c 00 00 00 00 00 08 00"]
    read = [50, 1503, 50]
    commands = [command for command, _data in terminal.heard]
    assert commands == [
        *(1000, 1003, *read, 11, 11, 11),
        *(1502, 1500, 1501, 1501, 110, 1013, *read, 1002),
        *(88, 88, 88, 1001),
    ]
    assert terminal.said(88) == ["07 00 06", "07 00 00", "08 00 05"]


def test_two_people_of_28_bytes_are_one_upload_without_fingers() -> None:
    counts = [sizes(1), sizes(1), sizes(2)]
    wanted = {"1001": Upload(UserFields(card=5)), "42": Upload(NEW)}
    anna = ANNA_28.replace("4e 61 bc 00", "05 00 00 00")
    with talk(c50=counts, c1503=[table(ANNA_28), table(anna, BEN_28)]) as (terminal, session):
        assert [type(one.user).__name__ for one in session.write_people(wanted).values()] == ["UnitUser"] * 2

    assert terminal.said(1501) == [bytes.fromhex("3a 00 00 00" + "00" * 8 + "02" + anna + "02" + BEN_28).hex(" ")]


def test_a_finger_is_deleted_by_uid_and_index() -> None:
    with talk(c88=[(1501, b"\xaa\x01"), (2001, b"")]) as (terminal, session):
        session.delete_template(300, 6)

    assert terminal.said(19) == ["2c 01 06"]


def test_an_enrolment_registers_for_its_events_and_names_person_and_finger() -> None:
    with talk(c50=[sizes(1)], c1503=[table(ANNA)]) as (terminal, session):
        session.start_enrolment("1001", 2)
        session.cancel_enrolment()

    assert terminal.heard[-5:-1] == [
        (62, ""),
        (500, "08 01 00 00"),
        (61, "31 30 30 31" + " 00" * 20 + " 02 01"),
        (62, ""),
    ]


def test_the_clock_is_set_in_months_of_31_days_and_read_again() -> None:
    # ((26 * 12 * 31) + 2 * 31 + 1) * 86400 + 8 * 3600 + 15 * 60 + 30 = 841 133 730 = 0x3222aea2
    with talk(c201=[(2000, bytes.fromhex("a2 ae 22 32"))]) as (terminal, session):
        assert session.set_clock(datetime(2026, 3, 2, 8, 15, 30)) == datetime(2026, 3, 2, 8, 15, 30)

    assert terminal.heard[1:-1] == [(202, "a2 ae 22 32"), (201, "")]


def test_a_clock_that_stayed_where_it_was_was_not_set() -> None:
    with (
        talk(c201=[(2000, bytes.fromhex("a2 ae 22 32"))]) as (_terminal, session),
        pytest.raises(NotKeptError, match=r"took 2026-03-02 08:15:40 for its clock, but shows 2026-03-02 08:15:30"),
    ):
        session.set_clock(datetime(2026, 3, 2, 8, 15, 40))


def test_a_restart_is_one_command_and_no_farewell() -> None:
    with talk() as (terminal, session):
        session.restart()

    assert terminal.heard == [(1000, ""), (1004, "")]


@pytest.mark.parametrize(("width", "letters", "taken"), [(b"14", b"0", "12345678901234"), (b"9", b"1", "AB12")])
def test_longer_or_other_user_ids_go_where_the_unit_says_so(width: bytes, letters: bytes, taken: str) -> None:
    row = BEN[: 48 * 3] + taken.encode().ljust(24, b"\0").hex(" ")
    options = [(2000, b"~PIN2Width=" + width + b"\0"), (2000, b"IsSupportABCPin=" + letters + b"\0"), (2001, b"")]
    answers = {"c50": [sizes(1), sizes(1), sizes(2)], "c1503": [table(ANNA), table(ANNA, row)], "c11": options}

    with talk(**answers) as (terminal, session):
        assert session.write_user(taken, NEW).user_id == taken

    assert terminal.said(8) == [row]
    assert terminal.said(11)[0] == b"~PIN2Width\0".hex(" ")
