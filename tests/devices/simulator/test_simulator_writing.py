"""Faults of a unit that is written to, seen from a raw socket and by stock pyzk; rows survive the round trip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zk import ZK
from zk.exception import ZKErrorResponse
from zk.finger import Finger

from devices.simulator import (
    EnrolmentEnds,
    Fault,
    Faults,
    Full,
    LostBetween,
    Misread,
    NobodyComes,
    Pretend,
    Refuse,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
)
from devices.simulator.control import Control
from devices.simulator.rows import decode_user, encode_user
from tests.devices.simulator.wire_client import WireClient

ANNA = SimUser(7, "1001", "Anna")
SPEC = TerminalSpec(serial="WR0001", users=(ANNA,), templates=(SimTemplate(7, 1, b"one"),))
BEN = bytes.fromhex("0800 00") + bytes(8) + b"Ben".ljust(24, b"\0") + bytes(13) + b"1002".ljust(24, b"\0")
UPLOAD = bytes.fromhex("49000000 08000000 05000000 02") + BEN + bytes.fromhex("02 0800 12 00000000") + b"\x03\0abc"
NAMES = st.text(st.characters(codec="ascii", exclude_categories=("C",)), max_size=8)


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(SPEC) as terminal:
        yield terminal


@pytest.fixture
def client(terminal: SimulatedTerminal) -> Iterator[WireClient]:
    with WireClient(terminal.port) as client:
        yield client.connect()


@contextmanager
def pyzk(terminal: SimulatedTerminal) -> Iterator[Any]:
    zk = ZK("127.0.0.1", terminal.port, timeout=5, ommit_ping=True).connect()
    yield zk
    zk.disconnect()


def upload(client: WireClient) -> None:
    client.ask(1502)
    client.ask(1500, len(UPLOAD).to_bytes(4, "little"))
    client.ask(1501, UPLOAD)


@given(
    uid=st.integers(1, 65_534),
    number=st.integers(1, 2**32 - 1),
    name=NAMES,
    privilege=st.integers(0, 255),
    password=st.text("0123456789", max_size=5),
    card=st.integers(0, 2**32 - 1),
    group=st.integers(0, 255),
    zone=st.integers(0, 32_767),
)
def test_a_person_comes_out_of_a_row_as_they_went_in(number: int, zone: int, **fields: Any) -> None:
    for width in (28, 72):
        user = SimUser(user_id=str(number), time_zones=(zone, 0, 0, 0), **fields)
        assert decode_user(encode_user(user, width=width, encoding="utf-8"), encoding="utf-8") == user


def test_a_refusal_is_a_code_and_nothing_happens(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Refuse(command=8), Refuse(command=18, code=65535))

    assert [client.ask(8, BEN).command, client.ask(18, b"\x07\0").command] == [2001, 65535]
    assert terminal.users() == (ANNA,)
    assert client.ask(8, BEN).command == 2000


def test_a_unit_may_acknowledge_and_do_nothing(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Pretend(command=8), Pretend(command=18))

    assert [client.ask(8, BEN).command, client.ask(18, b"\x07\0").command] == [2000, 2000]
    assert terminal.users() == (ANNA,)


def test_a_unit_may_acknowledge_and_keep_something_else(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Misread(command=8, at=12, byte=0x61))

    assert client.ask(8, BEN).command == 2000
    assert terminal.users()[1].name == "Ban"


def test_a_full_unit_says_so_and_takes_no_new_person_but_a_changed_one(
    terminal: SimulatedTerminal, client: WireClient
) -> None:
    terminal.faults = Faults(Full(of="users"))

    sizes = client.ask(50).data

    assert (sizes[16:20], sizes[60:64], sizes[72:76]) == (b"\1\0\0\0", b"\1\0\0\0", bytes(4))
    assert client.ask(8, BEN).command == 2001
    assert client.ask(8, b"\x07" + BEN[1:48] + b"1001".ljust(24, b"\0")).command == 2000
    assert [user.name for user in terminal.users()] == ["Ben"]


def test_a_unit_full_of_fingers_takes_no_new_one(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Full(of="templates"))

    upload(client)

    assert client.ask(110, bytes.fromhex("0c000000 0000 0800")).command == 2001
    assert terminal.templates() == SPEC.templates


def test_the_link_breaks_between_the_people_and_their_fingers(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(LostBetween())

    upload(client)
    client.tell(110, bytes.fromhex("0c000000 0000 0800"))
    with pytest.raises((ConnectionError, EOFError)):
        client.hear()

    assert [user.user_id for user in terminal.users()] == ["1001", "1002"]
    assert terminal.templates() == SPEC.templates


@pytest.mark.parametrize("result", [4, 5, 6])
def test_an_enrolment_may_end_badly_and_the_next_one_well(
    terminal: SimulatedTerminal, client: WireClient, result: Any
) -> None:
    terminal.faults = Faults(EnrolmentEnds(result=result))
    client.ask(500, bytes.fromhex("08000000"))
    start = b"1001".ljust(24, b"\0") + b"\x02\x01"

    assert client.ask(61, start).command == 2000
    assert client.hear().data[:2] == bytes((result, 0))
    assert client.ask(61, start).command == 2000
    assert client.hear().data[:2] == b"\0\0"
    assert terminal.template(7, 2) is not None


def test_nobody_may_come_to_an_enrolment(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(NobodyComes())

    assert client.ask(61, b"1001".ljust(24, b"\0") + b"\x02\x01").command == 2000
    assert client.ask(1001).command == 2000
    assert terminal.template(7, 2) is None


def test_an_enrolment_goes_on_when_the_client_leaves(terminal: SimulatedTerminal, client: WireClient) -> None:
    client.ask(500, bytes.fromhex("01000000"))
    client.ask(61, b"1001".ljust(24, b"\0") + b"\x02\x01")
    client.ask(1001)

    assert terminal.template(7, 2) is not None


@pytest.mark.parametrize("fault", [Full(), Refuse(command=8)])
def test_pyzk_can_not_write_to_a_unit_that_refuses(terminal: SimulatedTerminal, fault: Fault) -> None:
    terminal.faults = Faults(fault)

    with pyzk(terminal) as zk, pytest.raises(ZKErrorResponse, match="Can't set user"):
        zk.set_user(uid=9, user_id="9", name="Nine")


def test_pyzk_can_not_delete_from_a_unit_that_refuses(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Refuse(command=18))

    with pyzk(terminal) as zk, pytest.raises(ZKErrorResponse, match="Can't delete user"):
        zk.delete_user(uid=7)


def test_pyzk_believes_a_unit_that_pretends(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Pretend(command=110), Misread(command=202, at=0, byte=0))

    with pyzk(terminal) as zk:
        (user,) = zk.get_users()
        zk.save_user_template(user, [Finger(7, 3, 1, b"three")])
        zk.set_time(terminal.now())

    assert terminal.templates() == SPEC.templates


@pytest.mark.parametrize(
    ("fault", "done"), [(None, True), (EnrolmentEnds(result=4), False), (EnrolmentEnds(result=5), False)]
)
def test_pyzk_follows_an_enrolment_to_either_end(terminal: SimulatedTerminal, fault: Fault | None, done: bool) -> None:
    terminal.faults = Faults(*([fault] if fault else []))

    with pyzk(terminal) as zk:
        assert zk.enroll_user(uid=7, temp_id=4, user_id="1001") is done

    assert (terminal.template(7, 4) is not None) is done


def test_faults_of_writing_can_be_ordered_by_name(terminal: SimulatedTerminal, client: WireClient) -> None:
    control = Control({"WR0001": terminal})
    order = {"fault": {"serial": "WR0001", "kind": "Misread", "command": 8, "at": 12, "byte": 97}}

    assert json.loads(control.answer(json.dumps(order))) == {"ok": True}
    client.ask(8, BEN)
    assert terminal.users()[1].name == "Ban"
