"""The guarded session against simulated terminals, sound and spoilt."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from devices import protocol
from devices.driver import guarded
from devices.driver.errors import (
    KeyRefusedError,
    MiscountError,
    ProtocolError,
    TerminalError,
    TimedOutError,
    UnreachableError,
)
from devices.driver.guarded import Address
from devices.driver.session import Identity, Sizes, TerminalSession, open_session
from devices.driver.tables import Rows, decode_punches
from devices.simulator import (
    Close,
    CountOff,
    Drip,
    Fault,
    Faults,
    ForeignReply,
    ForeignSession,
    Garbage,
    HugeFrame,
    JunkPrefix,
    LateReply,
    PunchAfter,
    RowWidth,
    ShortSizes,
    Silent,
    SimPunch,
    SimulatedTerminal,
    SimUser,
    SmallFrames,
    StrayEvent,
    TerminalSpec,
)

MORNING = datetime(2026, 3, 2, 8, 0, 0)
PEOPLE = tuple(SimUser(uid, str(1000 + uid), f"Person {uid}") for uid in range(1, 41))


def spec(*, punches: int = 5_000, punch_width: int = 40, user_width: int = 72, comm_key: int = 0) -> TerminalSpec:
    return TerminalSpec(
        serial="CKJF201260077",
        users=PEOPLE,
        punches=tuple(SimPunch(str(1001 + n % 40), MORNING + timedelta(seconds=n)) for n in range(punches)),
        punch_width=punch_width,
        user_width=user_width,
        comm_key=comm_key,
    )


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(spec()) as running:
        yield running


def address(terminal: SimulatedTerminal, *, udp: bool = False, comm_key: int = 0) -> Address:
    return Address(terminal.host, terminal.port, comm_key=comm_key, udp=udp, timeout=0.5, session_seconds=10)


def read_log(session: TerminalSession) -> Rows:
    return session.punch_rows(session.sizes())


def read(where: Address) -> Rows:
    with open_session(where) as session:
        return read_log(session)


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize(("user_width", "punch_width"), [(72, 40), (28, 16), (28, 8)])
def test_both_generations_over_both_transports(udp: bool, user_width: int, punch_width: int) -> None:
    with SimulatedTerminal(spec(user_width=user_width, punch_width=punch_width, comm_key=4711)) as terminal:
        with open_session(address(terminal, udp=udp, comm_key=4711)) as session:
            users = session.users()
            rows = read_log(session)

        log = decode_punches(rows, user_ids={user.uid: user.user_id for user in users})

    assert [(user.uid, user.user_id) for user in users] == [(user.uid, user.user_id) for user in PEOPLE]
    assert [(punch.emp_code, punch.punch_time) for punch in log.punches] == [
        (punch.user_id, punch.time) for punch in terminal.ledger()
    ]
    assert log.rejects == []


def test_who_answers_and_what_it_counts(terminal: SimulatedTerminal) -> None:
    with open_session(address(terminal)) as session:
        assert session.identity() == Identity("CKJF201260077", "K40/ID", "ZLM60_TFT", "Ver 6.60 Apr 28 2017")
        assert session.sizes() == Sizes(40, 0, 0, 5_000, 100_000, 95_000, 3_000, 3_000)
        assert session.clock() == terminal.now().replace(microsecond=0)


def test_a_clock_that_shows_no_possible_date_is_no_error(terminal: SimulatedTerminal) -> None:
    impossible = ((26 * 12 + 1) * 31 + 30) * 86_400
    terminal.options["unused"] = ""
    packet = protocol.Packet(protocol.CMD_ACK_OK, 0, 0, impossible.to_bytes(4, "little"))

    class ShowsFebruary31(Fault):
        def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
            return [packets[0]._replace(data=packet.data)]

    terminal.faults = Faults(ShowsFebruary31(command=protocol.CMD_GET_TIME))

    with open_session(address(terminal)) as session:
        assert session.clock() is None
        assert len(read_log(session)) == 5_000


def test_the_session_is_given_back(terminal: SimulatedTerminal) -> None:
    terminal.second_connection = "refuse"

    for _ in range(3):
        with open_session(address(terminal)) as session:
            session.identity()

    assert not terminal.disabled
    assert terminal.commands()[-1] == protocol.CMD_EXIT


def test_a_wrong_comm_key_says_so() -> None:
    with (
        SimulatedTerminal(spec(comm_key=4711)) as terminal,
        pytest.raises(KeyRefusedError, match="refuses the comm key"),
        open_session(address(terminal, comm_key=1)),
    ):
        pass


def test_a_closed_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(
        UnreachableError, match=rf"127.0.0.1:{port} can't be reached \(Connection refused\): is that its address"
    ):
        read(Address("127.0.0.1", port))


READ = protocol.CMD_READ_BUFFER
SIZES = protocol.CMD_GET_FREE_SIZES


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Silent(command=SIZES), TimedOutError, "stopped answering for 0.5 s"),
        (Silent(command=READ, nth=2), TimedOutError, "stopped answering for 0.5 s"),
        (Silent(command=protocol.CMD_CONNECT, times=None), TimedOutError, "stopped answering for 0.5 s"),
        (Close(command=READ, after=30_000), UnreachableError, "closed the connection in the middle of an answer"),
        (Close(command=READ, after=30_000, reset=True), UnreachableError, "broke the connection"),
        (Close(command=SIZES, after=5), UnreachableError, "closed the connection in the middle of an answer"),
        (Garbage(command=SIZES), ProtocolError, r"a web server answers \(HTTP\)"),
        (HugeFrame(command=READ), ProtocolError, "announced a frame of 4294967295 bytes"),
        (ShortSizes(), ProtocolError, "gave a short answer about its sizes"),
        (CountOff(by=1), MiscountError, "counts 5001 rows but delivered"),
        (CountOff(by=-1), MiscountError, "counts 4999 rows but delivered"),
        (RowWidth(width=49), MiscountError, "counts 5000 rows but delivered"),
        (RowWidth(width=22), MiscountError, "counts 5000 rows but delivered"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
def test_a_spoilt_transfer_is_one_clear_error(
    terminal: SimulatedTerminal, fault: Fault, error: type[TerminalError], words: str
) -> None:
    terminal.faults = Faults(fault)

    with pytest.raises(error, match=words):
        read(address(terminal))

    terminal.faults = Faults()
    assert len(read(address(terminal))) == 5_000


@pytest.mark.parametrize(
    "fault",
    [
        SmallFrames(),
        Drip(size=700),
        Drip(size=7, command=SIZES),
        StrayEvent(command=SIZES),
        StrayEvent(command=READ, nth=2),
        JunkPrefix(),
        CountOff(by=1, times=2),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_an_odd_but_whole_transfer_is_read(terminal: SimulatedTerminal, fault: Fault) -> None:
    terminal.faults = Faults(fault)

    assert len(read(address(terminal))) == 5_000


@pytest.mark.parametrize(
    "fault", [ForeignSession(command=SIZES), ForeignReply(command=SIZES), LateReply(command=SIZES)]
)
def test_an_answer_to_somebody_else_is_never_taken_for_ours(terminal: SimulatedTerminal, fault: Fault) -> None:
    terminal.faults = Faults(fault)

    with open_session(address(terminal)) as session, pytest.raises(TimedOutError):
        session.sizes()


def test_a_punch_between_the_counter_and_the_table_is_read_too(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(PunchAfter(user_id="1001"))

    assert len(read(address(terminal))) == 5_001


def test_a_terminal_that_drips_runs_into_the_sessions_deadline(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Drip(size=1024, seconds=0.2))
    patience = Address(terminal.host, terminal.port, timeout=0.5, session_seconds=1.5)
    start = time.monotonic()

    with pytest.raises(TimedOutError, match=r"took longer than 1\.5 s in all"):
        read(patience)

    assert time.monotonic() - start < 4


def test_a_terminal_that_floods_is_cut_off(terminal: SimulatedTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MAX_SESSION_BYTES", 100_000)

    with pytest.raises(ProtocolError, match="sent more than 100000 bytes in one session"):
        read(address(terminal))


@pytest.mark.parametrize(
    ("serial", "words"),
    [
        ("", "tells no serial number"),
        ("A\nERROR forged", "which is none"),
        ("X" * 51, "which is none"),
        ("é", "is none"),
    ],
)
def test_a_serial_number_that_can_be_a_key_is_required(terminal: SimulatedTerminal, serial: str, words: str) -> None:
    terminal.options["~SerialNumber"] = serial

    with pytest.raises(ProtocolError, match=words) as caught, open_session(address(terminal)) as session:
        session.identity()

    assert str(caught.value).isprintable()


class Answers(Fault):
    """Every answer carries ``data`` instead, under ``code``."""

    data = b""
    code = protocol.CMD_ACK_OK

    def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
        return [packets[0]._replace(command=self.code, data=self.data)]


def test_a_model_name_in_another_code_page_does_not_keep_the_unit_from_being_read(terminal: SimulatedTerminal) -> None:
    class NameInGbk(Answers):
        data = "~DeviceName=考勤机".encode("gbk") + b"\0"

    terminal.faults = Faults(NameInGbk(command=protocol.CMD_OPTIONS_RRQ, nth=2))

    with open_session(replace(address(terminal), encoding="GBK")) as session:
        assert session.identity().model == "考勤机"


@pytest.mark.parametrize(("code", "data"), [(protocol.CMD_ACK_ERROR, b""), (protocol.CMD_ACK_OK, b"\1\2")])
def test_a_unit_that_tells_no_time_is_read_all_the_same(terminal: SimulatedTerminal, code: int, data: bytes) -> None:
    class NoTime(Answers):
        pass

    NoTime.code, NoTime.data = code, data
    terminal.faults = Faults(NoTime(command=protocol.CMD_GET_TIME))

    with open_session(address(terminal)) as session:
        assert session.clock() is None
        assert len(read_log(session)) == 5_000


@pytest.mark.parametrize("comm_key", [1, 999_999, 131_071, 2**32 - 1])
def test_any_comm_key_opens_its_terminal_in_any_session(comm_key: int) -> None:
    with SimulatedTerminal(spec(punches=1, comm_key=comm_key)) as terminal:
        for _ in range(6):
            with open_session(address(terminal, comm_key=comm_key)) as session:
                assert session.identity().serial == "CKJF201260077"


def test_nothing_more_is_sent_after_an_error_not_even_a_farewell(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Garbage(command=SIZES))

    with pytest.raises(ProtocolError):
        read(address(terminal))

    assert terminal.commands()[-1] == SIZES


def test_a_read_that_waits_longer_than_the_session_may_take_ends_with_it(terminal: SimulatedTerminal) -> None:
    terminal.faults = Faults(Silent(command=SIZES))
    start = time.monotonic()

    with pytest.raises(TimedOutError, match=r"took longer than 0\.5 s in all"):
        read(Address(terminal.host, terminal.port, timeout=30, session_seconds=0.5))

    assert time.monotonic() - start < 5


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
def test_packets_that_nobody_asked_for_are_dropped_up_to_a_limit(
    terminal: SimulatedTerminal, udp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "MAX_STRAYS", 50)

    class Flood(Fault):
        def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
            stray = packets[0]._replace(command=protocol.CMD_REG_EVENT)
            return [stray] * self.strays + packets

        strays = 0

    for Flood.strays in (guarded.MAX_STRAYS - 1, 0):
        terminal.faults = Faults(Flood(command=SIZES))
        with open_session(address(terminal, udp=udp)) as session:
            assert session.sizes().users == 40

    Flood.strays = guarded.MAX_STRAYS + 1
    terminal.faults = Faults(Flood(command=SIZES))
    with pytest.raises(ProtocolError, match="sent 50 packets that nobody asked for"):
        read(address(terminal, udp=udp))


def test_a_stopping_process_breaks_its_sessions_at_once(
    terminal: SimulatedTerminal, stopping: Callable[[], int]
) -> None:
    terminal.faults = Faults(Silent(command=SIZES, times=None))
    patient = Address(terminal.host, terminal.port, timeout=60)
    broken: list[str] = []

    def wait() -> None:
        try:
            read(patient)
        except TerminalError as error:
            broken.append(error.code)

    reader = threading.Thread(target=wait)
    reader.start()
    while SIZES not in terminal.commands():
        assert reader.is_alive()

    assert stopping() == 1
    reader.join(timeout=10)

    assert broken == ["stopped"]


@pytest.fixture
def stopping() -> Iterator[Callable[[], int]]:
    yield guarded.stop_all
    guarded._stopping.clear()


def test_another_machine_is_told_by_what_it_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        serving = threading.Thread(target=_greet_as_another_machine, args=(listener,), daemon=True)
        serving.start()
        with (
            pytest.raises(ProtocolError, match="sent 53 53 48 2d 32 2e 30 2d, which is no frame"),
            open_session(Address("127.0.0.1", port)),
        ):
            pass
        serving.join(timeout=5)


def _greet_as_another_machine(listener: socket.socket) -> None:
    sock, _address = listener.accept()
    with sock:
        sock.recv(100)
        sock.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
