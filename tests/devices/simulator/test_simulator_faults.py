"""Each fault does what its name says, seen from a raw socket."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import get_args

import pytest

from devices.protocol import PUNCH_40, decode_time
from devices.simulator import (
    Close,
    CountOff,
    Drip,
    Faults,
    ForeignReply,
    ForeignSession,
    Garbage,
    HugeFrame,
    JunkPrefix,
    Latency,
    LateReply,
    PunchAfter,
    Reboot,
    RefuseKey,
    RowWidth,
    ShortSizes,
    Silent,
    SimPunch,
    SimulatedTerminal,
    SimUser,
    SmallFrames,
    StrayEvent,
    TerminalSpec,
    bad_punch_row,
)
from devices.simulator.rows import BadRow
from tests.devices.simulator.wire_client import WireClient

VERSION = 1100
SERIAL = b"~SerialNumber\0"
START = datetime(2026, 3, 2, 8)
MANY = tuple(SimPunch("1001", START + timedelta(minutes=minute)) for minute in range(4_000))
SPEC = TerminalSpec(serial="BAD0001", users=(SimUser(1, "1001", "Anna"), SimUser(2, "1002", "Bob")), punches=MANY)


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(SPEC) as terminal:
        yield terminal


@pytest.fixture
def client(terminal: SimulatedTerminal) -> Iterator[WireClient]:
    with WireClient(terminal.port, timeout=5) as client:
        yield client.connect()


def assert_silence(client: WireClient) -> None:
    client.sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.sock.recv(1)
    client.sock.settimeout(5)


def test_silent_leaves_one_command_without_an_answer(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Silent(command=VERSION))
    client.tell(VERSION)
    assert_silence(client)
    assert client.ask(VERSION).command == 2000


def test_silent_for_ever_accepts_and_never_answers(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Silent(times=None))
    with WireClient(terminal.port) as client:
        client.tell(1000)
        assert_silence(client)
        client.tell(1000)
        assert_silence(client)


def test_a_fault_strikes_at_the_kth_occurrence_so_many_times(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(ForeignSession(command=VERSION, nth=2, times=2))
    answers = [client.ask(VERSION).session == client.session for _ in range(4)]
    assert answers == [True, False, False, True]


def test_a_fault_of_any_command_counts_them_all(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(ForeignSession(nth=3))
    answers = [client.ask(command).session == client.session for command in (50, VERSION, 201, VERSION)]
    assert answers == [True, True, False, True]


def test_close_ends_the_stream_instead_of_an_answer(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Close(command=VERSION))
    client.tell(VERSION)
    assert client.rest() == b""


def test_close_with_reset_breaks_the_connection(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Close(command=VERSION, reset=True))
    client.tell(VERSION)
    with pytest.raises(ConnectionResetError):
        client.sock.recv(1)


def test_close_in_mid_frame_sends_its_beginning(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Close(command=VERSION, after=10))
    client.tell(VERSION)
    assert client.rest() == bytes.fromhex("5050827d 1d000000 d007")


@pytest.mark.parametrize("reset", [False, True])
def test_close_in_mid_chunk_serves_the_chunks_before(
    terminal: SimulatedTerminal, client: WireClient, *, reset: bool
) -> None:
    terminal.faults = Faults(Close(command=1504, nth=2, after=10_000, reset=reset))
    announced = client.ask(1503, struct.pack("<bhii", 1, 13, 0, 0))
    assert struct.unpack_from("<I", announced.data, 1) == (160_004,)
    assert len(client.chunk(0, 0xFFC0)) == 0xFFC0
    client.tell(1504, struct.pack("<ii", 0xFFC0, 0xFFC0))
    assert len(client.exactly(10_000)) == 10_000
    with pytest.raises(ConnectionResetError if reset else EOFError):
        client.exactly(1)


def test_a_drip_takes_its_time(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Drip(command=VERSION, size=10, seconds=0.05))
    began = time.monotonic()
    assert client.ask(VERSION).data == b"Ver 6.60 Apr 28 2017\0"
    assert time.monotonic() - began >= 0.15


def test_tiny_segments_come_one_by_one(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Drip(command=VERSION, size=1, seconds=0.01))
    client.tell(VERSION)
    assert [len(client.sock.recv(1024)) for _ in range(5)] == [1] * 5


def test_latency_holds_every_answer_back(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Latency(seconds=0.05))
    began = time.monotonic()
    for _ in range(3):
        assert client.ask(VERSION).command == 2000
    assert time.monotonic() - began >= 0.15


def test_small_frames_split_a_chunk(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(SmallFrames(size=1024))
    client.ask(1503, struct.pack("<bhii", 1, 13, 0, 0))
    client.tell(1504, struct.pack("<ii", 0, 2_500))
    heard = [client.hear() for _ in range(5)]
    assert [(one.command, len(one.data)) for one in heard] == [
        (1500, 8),
        (1501, 1024),
        (1501, 1024),
        (1501, 452),
        (2000, 0),
    ]


def test_a_late_reply_comes_ahead_of_the_next_answer(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(LateReply(command=VERSION))
    client.tell(VERSION)
    assert_silence(client)
    client.tell(11, SERIAL)
    late, answer = client.hear(), client.hear()
    assert (late.reply, late.data) == (client.reply - 1, b"Ver 6.60 Apr 28 2017\0")
    assert (answer.reply, answer.data) == (client.reply, b"~SerialNumber=BAD0001\0")


def test_foreign_session_and_reply_numbers(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(ForeignSession(command=VERSION, by=5), ForeignReply(command=201))
    assert client.ask(VERSION).session == (client.session + 5) & 0xFFFF
    assert client.ask(201).reply == client.reply - 1


def test_a_stray_event_comes_ahead_of_the_answer(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(StrayEvent(command=VERSION))
    client.tell(VERSION)
    event, answer = client.hear(), client.hear()
    assert (event.command, event.session, event.reply, len(event.data)) == (500, 1, 0, 32)
    assert answer.command == 2000


def test_garbage_comes_for_a_frame(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(Garbage(command=VERSION, data=b"\0\1\2garbage"))
    client.tell(VERSION)
    assert client.exactly(10) == b"\0\1\2garbage"


def test_a_frame_declares_four_gigabytes(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(HugeFrame(command=VERSION))
    client.tell(VERSION)
    assert client.exactly(10) == bytes.fromhex("5050827d ffffffff d007")


def test_a_reboot_ends_the_session_enables_the_unit_and_keeps_it_away(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Reboot(command=VERSION, down_for=0.3))
    with WireClient(terminal.port) as client:
        client.connect().ask(1003)
        client.tell(VERSION)
        with pytest.raises((ConnectionResetError, EOFError)):
            client.exactly(1)
    with pytest.raises((ConnectionError, EOFError)), WireClient(terminal.port) as early:
        early.connect()
    assert (terminal.disabled, terminal.reboots) == (False, 1)
    assert comes_back(terminal)


def comes_back(terminal: SimulatedTerminal) -> bool:
    """Whether somebody gets a session within five seconds of trying."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with WireClient(terminal.port) as client:
                client.connect()
                return True
        except (ConnectionError, EOFError):
            continue
    return False


@pytest.mark.parametrize("comm_key", [0, 77])
def test_no_comm_key_is_good_enough(comm_key: int) -> None:
    with SimulatedTerminal(TerminalSpec(serial="KEY", comm_key=comm_key)) as terminal:
        terminal.faults = Faults(RefuseKey())
        with WireClient(terminal.port) as client:
            assert client.ask(1000).command == 2005
            client.session = terminal.journal[0].number
            assert client.ask(1102, b"\0\0\0\0").command == 2005
            assert client.ask(VERSION).command == 2005


@pytest.mark.parametrize("by", [-1, 1])
def test_counts_are_off_by_one(terminal: SimulatedTerminal, client: WireClient, by: int) -> None:
    terminal.faults = Faults(CountOff(of="punches", by=by), CountOff(of="users", by=-by))
    sizes = struct.unpack("<23i", client.ask(50).data)
    assert (sizes[4], sizes[8]) == (2 - by, 4_000 + by)
    assert len(client.table(13, 0)) == 4 + 4_000 * 40


def test_a_short_sizes_reply(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(ShortSizes(length=60))
    assert len(client.ask(50).data) == 60


@pytest.mark.parametrize("width", [49, 22])
def test_rows_of_another_width(terminal: SimulatedTerminal, client: WireClient, width: int) -> None:
    plain = client.table(13, 0)
    terminal.faults = Faults(RowWidth(width=width))
    table = client.table(13, 0)
    assert struct.unpack_from("<I", table) == (width * 4_000,)
    assert len(table) == 4 + width * 4_000
    assert table[4 : 4 + width] == plain[4:44][:width].ljust(width, b"\0")
    assert table[4 + width : 6 + width] == plain[44:46]


def test_junk_stands_before_the_rows(terminal: SimulatedTerminal, client: WireClient) -> None:
    plain = client.table(9, 5)
    terminal.faults = Faults(JunkPrefix(of="users"))
    assert client.table(9, 5) == struct.pack("<I", 153) + bytes.fromhex("ff3235350000000000") + plain[4:]
    assert client.table(13, 0)[4:6] == b"\1\0"


def test_a_punch_lands_between_the_sizes_and_the_table(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(PunchAfter(user_id="1002"))
    client.ask(1003)
    announced = struct.unpack("<23i", client.ask(50).data)[8]
    assert (announced, len(client.table(13, 0))) == (4_000, 4 + 4_001 * 40)
    assert terminal.ledger()[-1].user_id == "1002"


def test_faults_are_taken_away_at_run_time(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.faults = Faults(ShortSizes(length=10))
    assert len(client.ask(50).data) == 10
    terminal.faults = Faults()
    assert len(client.ask(50).data) == 92


def test_a_rebooted_unit_knows_no_session_over_udp_either(terminal: SimulatedTerminal) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", terminal.port))
        sock.settimeout(5)
        sock.send(bytes.fromhex("e80317fc00000000"))
        session = sock.recv(100)[4:6]
        sock.send(bytes.fromhex("ec030000") + session + b"\1\0")
        sock.send(bytes.fromhex("4c040000") + session + b"\2\0")
        answers = [sock.recv(100)[:2], sock.recv(100)[:2]]
    assert answers == [b"\xd0\x07", b"\xd5\x07"]
    assert terminal.reboots == 1


@pytest.mark.parametrize("over", ["exit", "reboot"])
def test_a_datagram_session_that_is_over_is_not_authorised(terminal: SimulatedTerminal, over: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", terminal.port))
        sock.settimeout(5)
        sock.send(bytes.fromhex("e80317fc00000000"))
        session = sock.recv(100)[4:6]
        if over == "exit":
            sock.send(bytes.fromhex("e9030000") + session + b"\1\0")
            assert sock.recv(100)[:2] == b"\xd0\x07"
        else:
            terminal.reboot()
        sock.send(bytes.fromhex("4c040000") + session + b"\2\0")
        assert sock.recv(100)[:2] == b"\xd5\x07"


@pytest.mark.parametrize(("width", "user_id_at", "time_at"), [(16, slice(0, 4), 4), (8, slice(0, 2), 3)])
def test_bad_rows_exist_for_old_generations(width: int, user_id_at: slice, time_at: int) -> None:
    row = bad_punch_row("impossible date", user_id="1001", uid=7, width=width)
    nobody = bad_punch_row("user id 0", user_id="1001", uid=7, width=width)
    assert len(row) == width
    assert int.from_bytes(row[user_id_at], "little") == {8: 7, 16: 1001}[width]
    assert int.from_bytes(nobody[user_id_at], "little") == 0
    with pytest.raises(ValueError, match="day"):
        decode_time(int.from_bytes(row[time_at : time_at + 4], "little"))
    with pytest.raises(ValueError, match="number"):
        bad_punch_row("invalid utf-8", width=width)


def test_bad_rows_are_bad_as_named() -> None:
    rows = {kind: PUNCH_40.unpack(bad_punch_row(kind, user_id="1001")) for kind in get_args(BadRow)}
    assert [rows[kind][1] for kind in ("user id 0", "empty user id", "nul user id", "invalid utf-8")] == [
        b"0".ljust(24, b"\0"),
        bytes(24),
        b"\x007".ljust(24, b"\0"),
        b"\xff\xfe\xc3(".ljust(24, b"\0"),
    ]
    assert b"\0" not in rows["full user id"][1]
    assert decode_time(rows["zero date"][3]) == datetime(2000, 1, 1)
    assert decode_time(rows["future date"][3]) == datetime(2099, 12, 31)
    with pytest.raises(ValueError, match="day"):
        decode_time(rows["impossible date"][3])


def test_raw_rows_are_served_and_stay_out_of_the_ledger(terminal: SimulatedTerminal, client: WireClient) -> None:
    row = bad_punch_row("impossible date")
    terminal.punch_raw(row)
    terminal.punch_raw(row)
    assert client.table(13, 0)[-80:] == row + row
    assert len(terminal.ledger()) == 4_000


def test_a_second_connection_is_refused_while_the_first_lives(terminal: SimulatedTerminal, client: WireClient) -> None:
    terminal.second_connection = "refuse"
    with pytest.raises((ConnectionError, EOFError)), WireClient(terminal.port) as second:
        second.connect()
    assert client.ask(VERSION).command == 2000
    client.sock.close()
    with WireClient(terminal.port) as third:
        third.connect()


def test_a_second_connection_waits_for_the_first_to_leave(terminal: SimulatedTerminal, client: WireClient) -> None:
    with WireClient(terminal.port) as second:
        second.tell(1000)
        assert_silence(second)
        client.ask(1001)
        assert second.hear().command == 2000


def test_a_probe_that_says_nothing_takes_no_session(terminal: SimulatedTerminal) -> None:
    terminal.second_connection = "refuse"
    with socket.create_connection(("127.0.0.1", terminal.port), timeout=5), WireClient(terminal.port) as client:
        client.connect()


def test_the_clock_is_wrong_by_hours_and_punches_with_it(terminal: SimulatedTerminal, client: WireClient) -> None:
    before = terminal.now()
    terminal.shift_clock(timedelta(hours=-7))
    told = decode_time(struct.unpack("<I", client.ask(201).data)[0])
    punch = terminal.punch("1001")
    assert punch is not None
    for moment in (told, punch.time):
        assert timedelta(hours=-7) <= moment - before <= timedelta(hours=-7, seconds=5)


@pytest.mark.parametrize(("encoding", "name"), [("gb18030", "王芳"), ("cp1256", "فاطمة"), ("latin-1", "Åse")])
def test_names_in_the_units_code_page(encoding: str, name: str) -> None:
    spec = TerminalSpec(serial="CP", encoding=encoding, users=(SimUser(1, "1", name),))
    with SimulatedTerminal(spec) as terminal, WireClient(terminal.port) as client:
        row = client.connect().table(9, 5)[4:]
    assert row[11:35] == name.encode(encoding).ljust(24, b"\0")
    with pytest.raises(UnicodeDecodeError):
        row[11:35].decode()


def test_a_client_that_sends_no_frame_is_hung_up_on(terminal: SimulatedTerminal) -> None:
    too_long, too_short = bytes.fromhex("5050827d ffffffff"), bytes.fromhex("5050827d 02000000 0000")
    for nonsense in (b"GET / HTTP/1.0\r\n\r\n", too_long, too_short):
        with WireClient(terminal.port) as client:
            client.sock.sendall(nonsense)
            with pytest.raises((EOFError, ConnectionResetError)):
                client.exactly(1)


def test_faults_reach_datagrams(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Silent(command=1000))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", terminal.port))
        sock.settimeout(0.1)
        sock.send(bytes.fromhex("e80317fc00000000"))
        with pytest.raises(TimeoutError):
            sock.recv(100)
        sock.settimeout(5)
        sock.send(bytes.fromhex("e80317fc00000000"))
        assert sock.recv(100)[:2] == b"\xd0\x07"
