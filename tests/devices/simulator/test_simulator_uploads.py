"""Uploads of several people, and somebody at the unit's own menu, seen from a raw socket."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from devices.simulator import (
    Capitals,
    Fault,
    Faults,
    FillsUp,
    LostBetween,
    RefuseUpload,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
)
from devices.simulator.control import Control
from devices.simulator.state import Refused
from tests.devices.simulator.wire_client import WireClient

ANNA = SimUser(7, "1001", "Anna", privilege=1, card=5, group=3, time_zones=(1, 2, 0, 9))
SPEC = TerminalSpec(serial="UP0001", users=(ANNA,), templates=(SimTemplate(7, 1, b"one"),))
SAVE = bytes.fromhex("0c000000 0000 0800")


def row(uid: int, user_id: str, name: str) -> bytes:
    return (
        bytes((uid, 0, 0)) + bytes(8) + name.encode().ljust(24, b"\0") + bytes(13) + user_id.encode().ljust(24, b"\0")
    )


def row_28(uid: int, user_id: int, name: str) -> bytes:
    return bytes((uid, 0, 0)) + bytes(5) + name.encode().ljust(8, b"\0") + bytes(8) + user_id.to_bytes(4, "little")


# Ben and Cleo with a finger each: 146, 16 and 9 bytes.
UPLOAD = (
    bytes.fromhex("92000000 10000000 09000000")
    + b"\2" + row(8, "1002", "Ben") + b"\2" + row(9, "1003", "Cleo")
    + bytes.fromhex("02 0800 12 00000000  02 0900 10 05000000")
    + b"\3\0abc" + b"\2\0de"
)  # fmt: skip


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(SPEC) as terminal:
        yield terminal


@pytest.fixture
def client(terminal: SimulatedTerminal) -> Iterator[WireClient]:
    with WireClient(terminal.port) as client:
        yield client.connect()


def upload(client: WireClient, data: bytes = UPLOAD) -> list[int]:
    client.ask(1502)
    codes = [client.ask(1500, len(data).to_bytes(4, "little")).command]
    codes += [client.ask(1501, data[at : at + 1024]).command for at in range(0, len(data), 1024)]
    return [*codes, client.ask(110, SAVE).command]


def named(terminal: SimulatedTerminal) -> list[str]:
    return [user.name for user in terminal.users()]


def test_several_people_come_with_their_fingers_in_one_upload(terminal: SimulatedTerminal, client: WireClient) -> None:
    assert upload(client) == [2000, 2000, 2000]

    assert terminal.users() == (ANNA, SimUser(8, "1002", "Ben", group=0), SimUser(9, "1003", "Cleo", group=0))
    assert terminal.templates() == (*SPEC.templates, SimTemplate(8, 2, b"abc"), SimTemplate(9, 0, b"de"))


def test_73_people_of_28_bytes_are_not_taken_for_29_of_72() -> None:
    people = b"".join(b"\2" + row_28(uid, 2000 + uid, f"P{uid}") for uid in range(1, 74))
    data = len(people).to_bytes(4, "little") + bytes(8) + people
    with (
        SimulatedTerminal(TerminalSpec(serial="UP0002", user_width=28, punch_width=16)) as terminal,
        WireClient(terminal.port) as client,
    ):
        assert set(upload(client.connect(), data)) == {2000}
        assert [user.user_id for user in terminal.users()] == [str(2000 + uid) for uid in range(1, 74)]


@pytest.mark.parametrize(
    ("fault", "names", "fingers"),
    [
        (FillsUp(of="users", at=2), ["Anna", "Ben"], 1),
        (FillsUp(of="templates", at=2), ["Anna", "Ben", "Cleo"], 2),
        (FillsUp(of="templates", at=1), ["Anna", "Ben", "Cleo"], 1),
    ],
    ids=repr,
)
def test_a_unit_that_fills_up_keeps_what_it_has_and_says_no(
    terminal: SimulatedTerminal, client: WireClient, fault: Fault, names: list[str], fingers: int
) -> None:
    terminal.faults = Faults(fault)

    assert upload(client) == [2000, 2000, 2001]
    assert (named(terminal), terminal.counts().templates) == (names, fingers)


def test_a_unit_that_fills_up_says_so_once_it_is_full(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(FillsUp(of="users", at=2))

    before = client.ask(50).data[60:64]
    upload(client)

    assert (before, client.ask(50).data[60:64]) == ((3000).to_bytes(4, "little"), (2).to_bytes(4, "little"))


def test_a_unit_may_keep_other_names_than_it_acknowledged(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Capitals())

    assert upload(client) == [2000, 2000, 2000]
    assert named(terminal) == ["Anna", "BEN", "CLEO"]
    assert terminal.users()[2].user_id == "1003"


def test_the_link_breaks_behind_all_the_people(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(LostBetween())

    with pytest.raises((ConnectionError, EOFError)):
        upload(client)

    assert named(terminal) == ["Anna", "Ben", "Cleo"]
    assert terminal.templates() == SPEC.templates


def test_old_firmware_knows_no_upload(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(RefuseUpload())

    assert upload(client) == [65535, 2001, 2001]
    assert terminal.users() == (ANNA,)


def test_the_algorithm_version_and_the_room_are_the_specs() -> None:
    spec = TerminalSpec(serial="UP0003", fp_version="9", user_capacity=50, finger_capacity=60)
    with SimulatedTerminal(spec) as terminal, WireClient(terminal.port) as client:
        assert client.connect().ask(11, b"~ZKFPVersion\0").data == b"~ZKFPVersion=9\0"
        assert client.ask(50).data[56:64] == bytes((60, 0, 0, 0, 50, 0, 0, 0))


def test_somebody_at_the_menu_changes_a_person_and_leaves_the_rest(terminal: SimulatedTerminal) -> None:
    changed = terminal.menu.put("1001", name="Anne", card=9, disabled=False)
    promoted = terminal.menu.put("1001", privilege=14, disabled=True)
    new = terminal.menu.put("77", name="New")

    assert changed == SimUser(7, "1001", "Anne", privilege=0, card=9, group=3, time_zones=(1, 2, 0, 9))
    assert promoted.privilege == 15
    assert new == SimUser(8, "77", "New")
    assert terminal.users() == (promoted, new)


def test_somebody_at_the_menu_enrols_and_deletes(terminal: SimulatedTerminal) -> None:
    first = terminal.menu.enrol("1001", 6)
    again = terminal.menu.enrol("1001", 6, duress=True)
    terminal.menu.delete_finger("1001", 1)
    left = terminal.templates()
    terminal.menu.delete_person("1001")

    assert (first.valid, again.valid, len(again.data)) == (1, 3, 800)
    assert first.data != again.data
    assert left == (again,)
    assert (terminal.users(), terminal.templates()) == ((), ())


def test_nobody_gets_at_the_menu_of_a_disabled_unit_or_changes_who_is_not_there(terminal: SimulatedTerminal) -> None:
    with pytest.raises(Refused, match="nobody has user id '9'"):
        terminal.menu.enrol("9", 6)
    with pytest.raises(Refused, match="no finger 2 of uid 7"):
        terminal.menu.delete_finger("1001", 2)
    terminal.disabled = True
    with pytest.raises(Refused, match="the unit is disabled"):
        terminal.menu.put("1001", name="Anne")

    assert terminal.users() == (ANNA,)


def order(terminal: SimulatedTerminal, verb: str, **arguments: Any) -> dict[str, Any]:
    control = Control({"UP0001": terminal})
    return dict(json.loads(control.answer(json.dumps({verb: {"serial": "UP0001", **arguments}}))))


def test_the_menu_can_be_used_by_order(terminal: SimulatedTerminal) -> None:
    data = base64.b64encode(b"finger").decode()
    put = order(terminal, "put", user_id="1002", name="Ben", card=8)
    enrolled = order(terminal, "enrol", user_id="1002", finger=6, data=data)
    another = order(terminal, "enrol", user_id="1002", finger=7)
    deleted = order(terminal, "delete_finger", user_id="1001", finger=1)
    gone = order(terminal, "delete_person", user_id="1001")
    refused = order(terminal, "delete_person", user_id="1001")
    told = order(terminal, "people")["people"]

    assert (put, enrolled, another) == ({"ok": True, "uid": 8}, {"ok": True, "size": 6}, {"ok": True, "size": 800})
    assert (deleted, gone) == ({"ok": True}, {"ok": True})
    assert refused == {"ok": False, "error": "Refused: nobody has user id '1001'"}
    assert [(one["user_id"], one["name"], one["card"], sorted(one["fingers"])) for one in told] == [
        ("1002", "Ben", 8, ["6", "7"])
    ]
    assert told[0]["fingers"]["6"] == hashlib.sha256(b"finger").hexdigest()


@pytest.mark.parametrize("kind", ["Capitals", "RefuseUpload", "LostBetween"])
def test_faults_of_uploads_can_be_ordered_by_name(terminal: SimulatedTerminal, kind: str) -> None:
    assert order(terminal, "fault", kind=kind) == {"ok": True}
    assert order(terminal, "fault", kind="FillsUp", of="templates", at=2) == {"ok": True}
