"""Stock pyzk, an independent client, judges the simulated terminal over TCP and UDP, on each generation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from zk import ZK
from zk.exception import ZKErrorResponse
from zk.finger import Finger

from devices.simulator import SimTemplate, SimulatedTerminal, SimUser, TerminalSpec
from devices.simulator.people import hire, working_days

PEOPLE = hire(40, seed=7)
TEMPLATES = tuple(SimTemplate(uid, uid % 10, bytes((uid,)) * (700 + 20 * uid)) for uid in range(1, 31))
GENERATIONS = {"40-byte punches": (72, 40), "16-byte punches": (28, 16), "8-byte punches": (28, 8)}


@pytest.fixture(params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> tuple[int, int]:
    return GENERATIONS[request.param]


@pytest.fixture(params=["tcp", "udp"])
def over_udp(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "udp")


@pytest.fixture
def terminal(generation: tuple[int, int]) -> Iterator[SimulatedTerminal]:
    user_width, punch_width = generation
    spec = TerminalSpec(
        serial="PYZK001",
        comm_key=987654,
        user_width=user_width,
        punch_width=punch_width,
        users=PEOPLE,
        templates=TEMPLATES,
        options={"ZKFaceVersion": "7", "~ExtendFmt": "0"},
    )
    with SimulatedTerminal(spec) as terminal:
        yield terminal


@pytest.fixture
def zk(terminal: SimulatedTerminal, over_udp: bool) -> Iterator[Any]:
    zk = dial(terminal, over_udp=over_udp)
    yield zk
    zk.disconnect()


def dial(terminal: SimulatedTerminal, *, over_udp: bool = False, key: int = 987654) -> Any:
    client = ZK("127.0.0.1", terminal.port, timeout=5, password=key, force_udp=over_udp, ommit_ping=True)
    return client.connect()


def test_a_wrong_comm_key_is_refused(terminal: SimulatedTerminal, over_udp: bool) -> None:
    with pytest.raises(ZKErrorResponse, match="Unauthenticated"):
        dial(terminal, over_udp=over_udp, key=987655)


def test_the_unit_introduces_itself(zk: Any) -> None:
    assert zk.get_serialnumber() == "PYZK001"
    assert zk.get_device_name() == "K40/ID"
    assert zk.get_platform() == "ZLM60_TFT"
    assert zk.get_mac() == "00:17:61:c8:ec:17"
    assert zk.get_firmware_version() == "Ver 6.60 Apr 28 2017"
    assert zk.get_face_version() == 7
    assert zk.get_fp_version() == 10
    assert zk.get_extend_fmt() == 0
    assert zk.get_user_extend_fmt() is None
    assert zk.get_pin_width() == 9
    assert zk.get_network_params() == {"ip": "192.168.1.201", "mask": "255.255.255.0", "gateway": "192.168.1.1"}


def test_the_sizes_are_counters_and_capacities(zk: Any, terminal: SimulatedTerminal) -> None:
    terminal.fill(working_days(PEOPLE, 25, until=datetime(2026, 3, 2)))
    zk.read_sizes()
    assert (zk.users, zk.fingers, zk.records) == (40, 30, 25)
    assert (zk.users_cap, zk.fingers_cap, zk.rec_cap) == (3_000, 3_000, 100_000)
    assert (zk.users_av, zk.fingers_av, zk.rec_av) == (2_960, 2_970, 99_975)


def test_users_are_read(zk: Any, terminal: SimulatedTerminal) -> None:
    kept = 8 if terminal.spec.user_width == 28 else 23
    read = [(user.uid, user.user_id, user.name, user.privilege, user.card) for user in zk.get_users()]
    assert read == [(user.uid, user.user_id, cut(user.name, kept), user.privilege, user.card) for user in PEOPLE]


def cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore").strip()


@pytest.mark.parametrize("rows", [1, 20, 9_000])
def test_the_log_is_read_whole_over_one_or_many_chunks(zk: Any, terminal: SimulatedTerminal, rows: int) -> None:
    terminal.fill(working_days(PEOPLE, rows, until=datetime(2026, 3, 2)))
    read = [(punch.user_id, punch.timestamp, punch.status, punch.punch) for punch in zk.get_attendance()]
    assert read == [(punch.user_id, punch.time, punch.verify, punch.state) for punch in terminal.ledger()]
    assert len(read) == rows


def test_the_clock_is_read_and_set(zk: Any, terminal: SimulatedTerminal) -> None:
    assert abs(zk.get_time() - terminal.now()) <= timedelta(seconds=2)
    zk.set_time(datetime(2031, 5, 31, 23, 59, 50))
    assert timedelta(0) <= terminal.now() - datetime(2031, 5, 31, 23, 59, 50) <= timedelta(seconds=2)


def test_a_user_is_written_changed_and_deleted(zk: Any, terminal: SimulatedTerminal) -> None:
    zk.get_users()
    zk.set_user(uid=77, name="Zoë", privilege=14, password="123", group_id="", user_id="7007", card=5555)
    assert terminal.users()[-1] == SimUser(77, "7007", "Zoë", 14, "123", 5555, group=0)
    zk.set_user(uid=77, name="Zoë B", user_id="7008")
    assert (terminal.uid_of("7007"), terminal.uid_of("7008")) == (None, 77)
    zk.delete_user(uid=77)
    assert terminal.users() == tuple(user for user in terminal.users() if user.uid != 77)
    assert len(terminal.users()) == 40


def test_a_deleted_user_takes_the_templates_along(zk: Any, terminal: SimulatedTerminal) -> None:
    zk.delete_user(uid=3)
    assert terminal.template(3, 3) is None
    assert terminal.counts().templates == 29


def test_templates_are_read_together_and_one_by_one(zk: Any, terminal: SimulatedTerminal) -> None:
    read = [(finger.uid, finger.fid, finger.valid, finger.template) for finger in zk.get_templates()]
    assert read == [(held.uid, held.finger, held.valid, held.data) for held in TEMPLATES]
    for held in (TEMPLATES[0], TEMPLATES[-1]):
        assert zk.get_user_template(held.uid, held.finger).template == held.data
    assert zk.get_user_template(1, 9) is None


def test_templates_are_uploaded_with_their_user_and_deleted(zk: Any, terminal: SimulatedTerminal) -> None:
    user = zk.get_users()[4]
    zk.save_user_template(user, [Finger(user.uid, 0, 1, b"first" * 300), Finger(user.uid, 9, 1, b"last" * 50)])
    assert terminal.template(5, 0) == SimTemplate(5, 0, b"first" * 300)
    assert terminal.template(5, 9) == SimTemplate(5, 9, b"last" * 50)
    assert terminal.counts().users == 40
    assert zk.delete_user_template(uid=5, temp_id=0) is True
    assert terminal.template(5, 0) is None


def test_a_finger_is_enrolled(zk: Any, terminal: SimulatedTerminal) -> None:
    assert zk.enroll_user(uid=2, temp_id=7, user_id="1002") is True
    assert terminal.template(2, 7) is not None


def test_disabling_locks_the_keypad_until_it_is_enabled(zk: Any, terminal: SimulatedTerminal) -> None:
    zk.disable_device()
    assert terminal.disabled
    assert terminal.punch("1001") is None
    zk.enable_device()
    assert terminal.punch("1001") is not None
    assert len(terminal.ledger()) == 1


def test_clearing_empties_the_log_and_is_remembered(zk: Any, terminal: SimulatedTerminal) -> None:
    terminal.punch("1001")
    zk.clear_attendance()
    assert zk.get_attendance() == []
    assert len(terminal.ledger()) == 1
    assert [(clearing.session, clearing.command) for clearing in terminal.clearings] == [
        (terminal.journal[-1].number, 15)
    ]


def test_the_door_opens(zk: Any, terminal: SimulatedTerminal) -> None:
    zk.unlock(time=5)
    assert terminal.unlocks == [5.0]


def test_punches_arrive_live(terminal: SimulatedTerminal) -> None:
    client = dial(terminal)
    capture = client.live_capture(new_timeout=1)
    assert next(capture) is None
    punch = terminal.punch("1001", state=1)
    assert punch is not None
    heard = next(capture)
    assert (heard.user_id, heard.timestamp, heard.punch) == ("1001", punch.time, 1)
    client.end_live_capture = True
    assert list(capture) == []
    client.disconnect()


def test_a_restart_enables_the_unit_and_a_power_off_takes_it_away(terminal: SimulatedTerminal) -> None:
    client = dial(terminal)
    client.disable_device()
    client.restart()
    again = dial(terminal)
    assert (terminal.disabled, terminal.reboots) == (False, 1)
    again.poweroff()
    terminal.stop()
    with pytest.raises(Exception, match=r"refused|pipe|connected"):
        dial(terminal)
    terminal.start()
    dial(terminal).disconnect()
