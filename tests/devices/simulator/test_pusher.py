"""How a unit that dials lives: what it remembers, what it tells again, how it sets its clock, what spoils it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devices.simulator import (
    PUSH_2_2,
    PUSH_3,
    CutBody,
    DuplicatePost,
    ExtraLine,
    Habits,
    LostAnswer,
    OffLine,
    Pusher,
    PushFault,
    PushFaults,
    RebootBeforeAnswer,
    SilentCommands,
    SimPunch,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    SlowBody,
    TerminalSpec,
    WrongClock,
)
from devices.simulator.state import TerminalState
from tests.devices.simulator.push_server import BLOCK, PushServer

NOON = datetime(2026, 3, 2, 12, 0, 0)
SPEC = TerminalSpec(serial="PU0001", users=(SimUser(1, "1", "Ann"),), templates=(SimTemplate(1, 0, b"f"),))
ROW = b"1\t2026-03-02 12:00:%02d\t0\t1\t0\t0\t0\t255\t0.0\n"


@pytest.fixture
def server() -> Iterator[PushServer]:
    with PushServer() as server:
        yield server


def punched(seconds: int) -> TerminalState:
    """A unit whose log holds a punch for each of the first seconds after noon."""
    punches = tuple(SimPunch("1", NOON.replace(second=second)) for second in range(seconds))
    return TerminalState(replace(SPEC, punches=punches), clock=lambda: NOON)


# What the unit remembers


def test_what_was_taken_is_not_told_again(server: PushServer) -> None:
    state = punched(2)
    pusher = Pusher(state, server.url)
    pusher.step()
    state.punch("1", at=NOON.replace(second=30))
    second = pusher.step()
    third = pusher.step()
    assert server.bodies("ATTLOG")[1:] == [ROW % 30]
    assert [exchange.target.split("&INFO")[0] for exchange in second.exchanges] == [
        "/iclock/cdata?SN=PU0001&table=ATTLOG&Stamp=9999",
        "/iclock/getrequest?SN=PU0001",
    ]
    assert [exchange.target for exchange in third.exchanges] == ["/iclock/getrequest?SN=PU0001"]


@pytest.mark.parametrize("answer", [500, 503, 404, 302, 401])
def test_a_post_that_is_not_answered_200_is_made_again_the_same(server: PushServer, answer: int) -> None:
    server.script["ATTLOG"] += [answer]
    pusher = Pusher(punched(2), server.url)
    first = pusher.step()
    assert (first.error, pusher.acknowledged, pusher.caught_up()) == (f"cdata was answered {answer}", 0, False)
    assert server.kinds()[-2:] == ["ATTLOG", "getrequest"]
    assert pusher.step().ok
    assert server.bodies("ATTLOG") == [ROW % 0 + ROW % 1] * 2
    assert (pusher.acknowledged, pusher.caught_up()) == (2, True)


def test_without_a_handshake_nothing_is_told(server: PushServer) -> None:
    server.script["cdata"] += [403, "OK"]
    pusher = Pusher(punched(1), server.url)
    assert [pusher.step().ok, pusher.step().ok, pusher.step().ok] == [False, False, True]
    assert server.kinds() == ["cdata", "cdata", "cdata", "options", "ATTLOG", "OPERLOG", "getrequest"]


def test_a_unit_of_3_that_is_not_registered_tells_nothing(server: PushServer) -> None:
    server.script["registry"] += ["OK"]
    pusher = Pusher(punched(1), server.url, generation=PUSH_3)
    assert pusher.step().error == "the server did not register the unit"
    assert server.kinds() == ["cdata", "registry"]


def test_stamp_0_asks_for_everything_again(server: PushServer) -> None:
    server.script["cdata"] += [BLOCK, BLOCK.replace("None", "0").replace("9999", "0")]
    server.script["getrequest"] += ["C:1:RELOAD OPTIONS"]
    pusher = Pusher(punched(2), server.url)
    pusher.step()
    pusher.step()
    assert server.bodies("ATTLOG") == [ROW % 0 + ROW % 1] * 2
    assert len(server.bodies("OPERLOG")) == 2
    assert server.bodies("OPERLOG")[0] == server.bodies("OPERLOG")[1]
    assert pusher.acknowledged == 2


def test_old_firmware_reads_only_its_own_stamps(server: PushServer) -> None:
    server.usual["cdata"] = BLOCK.replace("None", "0")
    pusher = Pusher(punched(1), server.url, generation=PUSH_2_2)
    pusher.step()
    pusher.stop()
    pusher.reboot()
    pusher.step()
    assert len(server.bodies("ATTLOG")) == 1
    server.usual["cdata"] = BLOCK.replace("ATTLOGStamp=None", "Stamp=0")
    pusher.reboot()
    pusher.step()
    assert len(server.bodies("ATTLOG")) == 2


def test_what_was_overwritten_or_cleared_before_it_was_taken_is_gone(server: PushServer) -> None:
    state = TerminalState(replace(SPEC, punch_capacity=2), clock=lambda: NOON)
    state.fill(SimPunch("1", NOON.replace(second=second)) for second in range(5))
    pusher = Pusher(state, server.url)
    pusher.step()
    assert server.bodies("ATTLOG") == [ROW % 3 + ROW % 4]
    state.punch("1", at=NOON.replace(second=6))
    state.clear_log()
    assert pusher.caught_up()
    state.punch("1", at=NOON.replace(second=7))
    pusher.step()
    assert (server.bodies("ATTLOG")[1:], pusher.acknowledged) == ([ROW % 7], 3)


def test_a_unit_that_was_off_line_catches_up_in_order(server: PushServer) -> None:
    state = punched(1)
    with Pusher(state, server.url, habits=Habits(delay=0.02, error_delay=0.02)) as pusher:
        server.await_bodies("getrequest", 2)
        pusher.stop()
        for second in (1, 2, 3):
            state.punch("1", at=NOON.replace(second=second))
        assert (pusher.acknowledged, pusher.caught_up()) == (1, False)
        pusher.start()
        assert server.await_bodies("ATTLOG", 2)[1] == ROW % 1 + ROW % 2 + ROW % 3
        server.await_bodies("getrequest", server.kinds().count("getrequest") + 2)
    assert (pusher.acknowledged, server.kinds().count("cdata")) == (4, 2)


def test_a_punch_is_posted_at_once(server: PushServer) -> None:
    state = punched(0)
    with Pusher(state, server.url, habits=Habits(delay=60)):
        server.await_bodies("getrequest", 1)
        state.punch("1", at=NOON)
        assert server.await_bodies("ATTLOG", 1) == [ROW % 0]
    assert server.kinds().count("getrequest") == 1


def test_without_realtime_a_punch_waits_for_the_interval(server: PushServer) -> None:
    server.usual["cdata"] = BLOCK.replace("Realtime=1", "Realtime=0\nTransInterval=5")
    state = punched(1)
    with Pusher(state, server.url, habits=Habits(delay=0.02)) as pusher:
        server.await_bodies("getrequest", 1)
        state.punch("1", at=NOON.replace(second=9))
        server.await_bodies("getrequest", 4)
        assert (server.bodies("ATTLOG"), pusher.acknowledged) == ([ROW % 0], 1)


def test_a_unit_leaves_in_the_middle_of_a_slow_post(server: PushServer) -> None:
    pusher = Pusher(punched(2), server.url)
    pusher.faults = PushFaults(SlowBody(on="ATTLOG", bytes_per_second=1))
    pusher.start()
    server.await_bodies("options", 1)
    pusher.stop()
    assert pusher.acknowledged == 0


# The menu


def test_what_happens_at_the_menu_is_told_with_its_operation(server: PushServer) -> None:
    with SimulatedTerminal(SPEC, clock=lambda: NOON) as terminal:
        pusher = Pusher(terminal, server.url)
        pusher.step()
        terminal.menu.put("2", name="Bob")
        terminal.menu.put("1", name="Anna")
        terminal.menu.enrol("2", 3, b"new")
        pusher.step()
        terminal.menu.delete_finger("2", 3)
        terminal.menu.delete_person("1")
        pusher.step()
    assert b"".join(server.bodies("OPERLOG")[1:]).splitlines() == [
        b"OPLOG 70\t0\t2026-03-02 12:00:00\t1\t0\t0",
        b"USER PIN=1\tName=Anna\tPri=0\tPasswd=\tCard=\tGrp=1\tTZ=0000000000000000\tVerify=0",
        b"OPLOG 30\t0\t2026-03-02 12:00:00\t2\t0\t0",
        b"USER PIN=2\tName=Bob\tPri=0\tPasswd=\tCard=\tGrp=1\tTZ=0000000000000000\tVerify=0",
        b"OPLOG 6\t0\t2026-03-02 12:00:00\t2\t3\t0",
        b"FP PIN=2\tFID=3\tSize=4\tValid=1\tTMP=bmV3",
        b"OPLOG 9\t0\t2026-03-02 12:00:00\t1\t0\t0",
        b"OPLOG 10\t0\t2026-03-02 12:00:00\t2\t3\t0",
    ]


def test_what_the_menu_has_to_tell_survives_a_refusal(server: PushServer) -> None:
    state = punched(0)
    pusher = Pusher(state, server.url)
    pusher.step()
    state.add_user(SimUser(2, "2", "Bob"))
    server.script["OPERLOG"] += [503]
    assert [pusher.step().ok, pusher.step().ok] == [False, True]
    assert server.bodies("OPERLOG")[1] == server.bodies("OPERLOG")[2]


def test_the_counters_are_told_when_they_changed(server: PushServer) -> None:
    state = punched(0)
    pusher = Pusher(state, server.url)
    for _ in range(2):
        pusher.step()
    state.punch("1", at=NOON)
    pusher.step()
    told = [target.partition("&INFO=")[2] for target in server.targets() if "getrequest" in target]
    assert [text.split(",")[1:4] for text in told] == [["1", "1", "0"], [], ["1", "1", "1"]]


# The clock


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("2", 120), ("-11", -660), ("12", 720), ("330", 330), ("-570", -570), ("780", 780), ("0", 0)],
)
def test_date_and_time_zone_set_the_clock(server: PushServer, zone: str, offset: int) -> None:
    server.usual["cdata"] = f"{BLOCK}TimeZone={zone}\n"
    server.date = format_datetime(datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC), usegmt=True)
    state = punched(0)
    Pusher(state, server.url).step()
    assert state.now() == datetime(2027, 1, 2, 3, 4, 5) + timedelta(minutes=offset)


@pytest.mark.parametrize(("date", "zone"), [("yesterday", "2"), ("Sat, 02 Jan 2027 03:04:05 GMT", "CET")])
def test_a_time_that_can_not_be_read_leaves_the_clock(server: PushServer, date: str, zone: str) -> None:
    server.usual["cdata"] = f"{BLOCK}TimeZone={zone}\n"
    server.date = date
    state = punched(0)
    assert Pusher(state, server.url).step().ok
    assert state.now() == NOON


def test_a_wrong_clock_stays_wrong_where_that_is_wanted(server: PushServer) -> None:
    server.usual["cdata"] = f"{BLOCK}TimeZone=1\n"
    server.date = "Sat, 02 Jan 2027 03:04:05 GMT"
    stubborn, shifted = punched(0), punched(0)
    Pusher(stubborn, server.url, habits=Habits(sets_clock=False)).step()
    pusher = Pusher(shifted, server.url)
    pusher.faults = PushFaults(WrongClock(by_seconds=-90))
    pusher.step()
    assert (stubborn.now(), shifted.now()) == (NOON, datetime(2027, 1, 2, 4, 2, 35))


# Faults


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (LostAnswer(on="ATTLOG"), 2),
        (DuplicatePost(on="ATTLOG"), 2),
        (SlowBody(on="ATTLOG", bytes_per_second=4000), 1),
        (CutBody(on="ATTLOG"), 1),
        (CutBody(on="ATTLOG", after=0), 1),
        (OffLine(on="ATTLOG", times=2), 1),
    ],
)
def test_after_a_fault_everything_arrives(server: PushServer, fault: PushFault, times: int) -> None:
    pusher = Pusher(punched(2), server.url)
    pusher.faults = PushFaults(fault)
    for _ in range(3):
        pusher.step()
    assert server.bodies("ATTLOG") == [ROW % 0 + ROW % 1] * times
    assert (pusher.acknowledged, pusher.caught_up()) == (2, True)


def test_a_poison_line_stands_before_the_lines_of_one_batch(server: PushServer) -> None:
    state = punched(1)
    pusher = Pusher(state, server.url)
    pusher.faults.add(ExtraLine(raw=b"\xff\0garbage"))
    pusher.step()
    state.punch("1", at=NOON.replace(second=1))
    pusher.step()
    assert server.bodies("ATTLOG") == [b"\xff\0garbage\n" + ROW % 0, ROW % 1]


def test_off_line_nothing_reaches_the_server_and_then_it_shakes_hands(server: PushServer) -> None:
    pusher = Pusher(punched(1), server.url)
    pusher.step()
    pusher.faults = PushFaults(OffLine())
    assert pusher.step().error == "off line"
    pusher.faults = PushFaults()
    assert pusher.step().ok
    assert server.kinds()[5:] == ["cdata", "options", "getrequest"]


def test_where_nobody_listens_the_unit_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        pusher = Pusher(punched(1), f"http://127.0.0.1:{taken.getsockname()[1]}")
        happened = pusher.step()
    assert happened.error.startswith("ConnectionRefusedError")
    assert [exchange.status for exchange in happened.exchanges] == [0]


def test_silent_units_take_commands_and_answer_none(server: PushServer) -> None:
    server.script["getrequest"] += ["C:1:CHECK\nC:2:LOG\nC:3:CHECK", "C:4:CHECK"]
    pusher = Pusher(punched(0), server.url)
    pusher.faults = PushFaults(SilentCommands(on="CHECK", times=2))
    first = pusher.step()
    pusher.step()
    assert [(done.id, done.returned) for done in first.commands] == [(1, None), (2, 0), (3, None)]
    assert server.bodies("devicecmd") == [b"ID=2&Return=0&CMD=LOG\n", b"ID=4&Return=0&CMD=CHECK\n"]


def test_a_unit_that_reboots_before_its_answer_forgets_what_it_took(server: PushServer) -> None:
    server.script["getrequest"] += ["C:1:CHECK\nC:2:DATA DELETE USERINFO PIN=1\nC:3:LOG"]
    state = punched(0)
    pusher = Pusher(state, server.url)
    pusher.faults = PushFaults(RebootBeforeAnswer(on="DATA DELETE"))
    first, second = pusher.step(), pusher.step()
    assert [(done.id, done.returned) for done in first.commands] == [(1, 0), (2, None)]
    assert (server.bodies("devicecmd"), pusher.reboots, second.commands) == ([], 1, ())
    assert server.kinds()[-3:] == ["cdata", "options", "getrequest"]
    assert state.counts().users == 1


def test_lost_answers_of_a_getrequest_lose_its_commands(server: PushServer) -> None:
    server.script["getrequest"] += ["C:1:CHECK", "C:2:CHECK"]
    pusher = Pusher(punched(0), server.url)
    pusher.faults = PushFaults(LostAnswer(on="getrequest"))
    pusher.step()
    pusher.step()
    assert server.bodies("devicecmd") == [b"ID=2&Return=0&CMD=CHECK\n"]


def test_two_units_may_have_one_serial(server: PushServer) -> None:
    one, other = Pusher(punched(1), server.url), Pusher(punched(2), server.url)
    assert (one.step().ok, other.step().ok) == (True, True)
    assert server.bodies("ATTLOG") == [ROW % 0, ROW % 0 + ROW % 1]


# TLS


def test_a_self_signed_certificate_is_taken_only_by_a_unit_that_takes_any(tmp_path: Path) -> None:
    with PushServer(_certificate(tmp_path)) as server:
        strict = Pusher(punched(1), server.url).step()
        lax = Pusher(punched(1), server.url, habits=Habits(insecure=True)).step()
    assert (strict.error.split(":")[0], lax.ok) == ("SSLCertVerificationError", True)


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(pem))
    return path
