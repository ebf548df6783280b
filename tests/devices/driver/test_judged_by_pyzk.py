"""Stock pyzk, an independent client, says the same to a terminal as the driver, and reads what the driver wrote."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from zk import ZK
from zk.exception import ZKErrorResponse
from zk.finger import Finger
from zk.user import User

from devices.driver.errors import RefusedError
from devices.driver.guarded import Address
from devices.driver.session import TerminalSession, open_session
from devices.driver.uploading import Upload
from devices.driver.users import UserFields
from devices.simulator import SimTemplate, SimulatedTerminal, SimUser, TerminalSpec
from tests.devices.driver.scripted_terminal import Part, ScriptedTerminal

SIZES = (2000, struct.pack("<23i", *([0] * 4), 1, *([0] * 18)))


def table(name: bytes, group: int) -> Part:
    row = bytes.fromhex("0700 00") + bytes(8) + name.ljust(24, b"\0") + bytes((0, 0, 0, 0, group))
    return 1501, (72).to_bytes(4, "little") + row + bytes(8) + b"1001".ljust(24, b"\0")


CLOCK = (2000, bytes.fromhex("a2 ae 22 32"))
ANSWERS: dict[str, list[Part]] = {"c50": [SIZES], "c1503": [table(b"Anna", 1)], "c201": [CLOCK]}
PRINT = b"template" * 125


def heard(speak: Callable[[int], None], *, after: dict[str, list[Part]]) -> ScriptedTerminal:
    answers = {command: list(replies) for command, replies in (ANSWERS | after).items()}
    with ScriptedTerminal(**answers) as terminal, suppress(RefusedError, ZKErrorResponse):  # both hear the same no
        speak(terminal.port)
    return terminal


def by_driver(speak: Callable[[TerminalSession], object]) -> Callable[[int], None]:
    def run(port: int) -> None:
        with open_session(Address("127.0.0.1", port, timeout=2, session_seconds=10)) as session:
            speak(session)

    return run


def by_pyzk(speak: Callable[[Any], object]) -> Callable[[int], None]:
    def run(port: int) -> None:
        zk = ZK("127.0.0.1", port, timeout=5, ommit_ping=True)
        zk.helper.test_tcp = lambda: 0  # its probe would take the one connection
        zk.connect()
        speak(zk)
        zk.disconnect()

    return run


def anna() -> User:
    return User(7, "Anna", 0, "", "", "1001", 0)


@pytest.mark.parametrize(
    ("driver", "pyzk", "commands", "after"),
    [
        (
            lambda session: session.write_templates("1001", {3: PRINT}),
            lambda zk: zk.save_user_template(anna(), [Finger(7, 3, 1, PRINT)]),
            (1502, 1500, 1501, 110, 1013),
            {"c88": [(1501, PRINT + b"\1")]},
        ),
        (
            lambda session: session.write_people({"1001": Upload(UserFields(), {3: PRINT})}),
            lambda zk: zk.save_user_template(anna(), [Finger(7, 3, 1, PRINT)]),
            (1502, 1500, 1501, 110, 1013),
            {"c88": [(1501, PRINT + b"\1")]},
        ),
        (
            lambda session: session.set_clock(datetime(2026, 3, 2, 8, 15, 30)),
            lambda zk: zk.set_time(datetime(2026, 3, 2, 8, 15, 30)),
            (202,),
            {},
        ),
        (
            lambda session: session.start_enrolment("1001", 4),
            lambda zk: zk.enroll_user(uid=7, temp_id=4, user_id="1001"),
            (61, 62),
            {"c61": [(2001, b"")]},
        ),
        (
            lambda session: session.template(7, 4),
            lambda zk: zk.get_user_template(7, 4),
            (88,),
            {"c88": [(1501, b"ab\1")]},
        ),
        (
            lambda session: session.delete_template(7, 4),
            lambda zk: zk.delete_user_template(uid=7, temp_id=4),
            (19,),
            {"c88": [(1501, b"ab\1"), (2001, b"")]},
        ),
        (
            lambda session: session.write_user("1001", UserFields(name="Anne")),
            # it writes no group, and group 1 in uploads
            lambda zk: zk.set_user(uid=7, name="Anne", user_id="1001"),
            (8, 1013),
            {"c1503": [table(b"Anna", 0), table(b"Anne", 0)]},
        ),
        (
            lambda session: session.delete_user("1001"),
            lambda zk: zk.delete_user(uid=7),
            (18, 1013),
            {"c50": [SIZES, SIZES, (2000, bytes(92))]},
        ),
    ],
    ids=["upload", "upload of people", "clock", "enrolment", "template", "finger deleted", "person", "person deleted"],
)
def test_the_same_bytes(driver: Any, pyzk: Any, commands: tuple[int, ...], after: dict[str, list[Part]]) -> None:
    ours = heard(by_driver(driver), after=after)
    theirs = heard(by_pyzk(pyzk), after=after)

    said = [packet for packet in ours.heard if packet[0] in commands]
    assert said == [packet for packet in theirs.heard if packet[0] in commands]
    assert {command for command, _data in said} == set(commands)


@pytest.mark.parametrize(("user_width", "punch_width"), [(72, 40), (28, 8)])
def test_pyzk_reads_what_the_driver_wrote(user_width: int, punch_width: int) -> None:
    spec = TerminalSpec(serial="J1", user_width=user_width, punch_width=punch_width, users=(SimUser(3, "3", "Bob"),))
    with SimulatedTerminal(spec) as terminal:
        with open_session(Address(terminal.host, terminal.port, timeout=2, session_seconds=10)) as session:
            session.write_user("42", UserFields(name="Zoë", privilege=14, password="123", card=77, group=2))
            session.write_templates("42", {5: PRINT})
        zk = ZK("127.0.0.1", terminal.port, timeout=5, ommit_ping=True).connect()
        users, templates = zk.get_users(), zk.get_templates()
        zk.disconnect()

    read = [(user.uid, user.user_id, user.name, user.privilege, user.password, user.card) for user in users]
    assert read == [(3, "3", "Bob", 0, "", 0), (4, "42", "Zoë", 14, "123", 77)]
    assert [(finger.uid, finger.fid, finger.valid, finger.template) for finger in templates] == [(4, 5, 1, PRINT)]


@pytest.mark.parametrize(("user_width", "punch_width"), [(72, 40), (28, 8)])
def test_pyzk_reads_the_people_and_fingers_of_one_upload(user_width: int, punch_width: int) -> None:
    spec = TerminalSpec(serial="J2", user_width=user_width, punch_width=punch_width, users=(SimUser(3, "3", "Bob"),))
    wanted = {
        "42": Upload(UserFields(name="Zoë", privilege=14, password="123", card=77, group=2), {5: PRINT}),
        "3": Upload(UserFields(name="Rob"), {0: PRINT[1:], 9: PRINT[2:]}),
        "43": Upload(UserFields(privilege=10, card=78)),
    }
    with SimulatedTerminal(spec) as terminal:
        with open_session(Address(terminal.host, terminal.port, timeout=2, session_seconds=10)) as session:
            session.write_people(wanted)
        zk = ZK("127.0.0.1", terminal.port, timeout=5, ommit_ping=True).connect()
        users, templates = zk.get_users(), zk.get_templates()
        zk.disconnect()

    read = [(user.uid, user.user_id, user.name, user.privilege, user.password, user.card) for user in users]
    assert read == [
        (3, "3", "Rob", 0, "", 0),
        (4, "42", "Zoë", 14, "123", 77),
        (5, "43", "NN-43", 10, "", 78),  # what it calls who has no name
    ]
    assert [(finger.uid, finger.fid, finger.valid, finger.template) for finger in templates] == [
        (4, 5, 1, PRINT),
        (3, 0, 1, PRINT[1:]),
        (3, 9, 1, PRINT[2:]),
    ]


def test_pyzk_brings_a_person_with_fingers_to_the_same_unit() -> None:
    with SimulatedTerminal(TerminalSpec(serial="J3", users=(SimUser(7, "1001", "Anna"),))) as terminal:
        zk = ZK("127.0.0.1", terminal.port, timeout=5, ommit_ping=True).connect()
        (user,) = zk.get_users()
        zk.save_user_template(user, [Finger(7, 3, 1, PRINT), Finger(7, 4, 1, PRINT[1:])])
        zk.disconnect()

        assert terminal.templates() == (SimTemplate(7, 3, PRINT), SimTemplate(7, 4, PRINT[1:]))
