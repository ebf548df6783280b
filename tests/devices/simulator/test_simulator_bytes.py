"""The simulated terminal against bytes written out by hand from the protocol."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta

import pytest

from devices.protocol import Packet, checksum, scramble_comm_key
from devices.simulator import SimPunch, SimTemplate, SimulatedTerminal, SimUser, TerminalSpec
from tests.devices.simulator.wire_client import WireClient, slow_checksum, unpack

ANNA = SimUser(7, "1001", "Anna", privilege=14, password="42", card=0x00BC614E, group=3, time_zones=(1, 2, 0, 9))
MORNING = SimPunch("1001", datetime(2026, 3, 2, 8, 15, 30), verify=1, state=0)
# ((26 * 12 * 31) + 2 * 31 + 1) * 86400 + 8 * 3600 + 15 * 60 + 30 = 841 133 730
PUNCH_40 = (
    "0700"  # uid
    "31303031" + "00" * 20  # user id
    + "01"  # verified by finger
    "a2ae2232"  # time
    "00"  # in
    "0000000000000000"
)  # fmt: skip
PUNCH_16 = "e9030000 a2ae2232 01 00 0000 00000000"
PUNCH_8 = "0700 01 a2ae2232 00"
USER_72 = (
    "0700 0e 3432000000000000"  # uid, permission, password
    "416e6e61" + "00" * 20  # name
    + "4e61bc00 03 0100 0200 0000 0900"  # card, group, own time zones
    + "31303031" + "00" * 20  # user id
)  # fmt: skip
USER_28 = "0700 0e 3432000000 416e6e6100000000 4e61bc00 00 03 0100 e9030000"


def unit(**changes: object) -> TerminalSpec:
    return TerminalSpec(**{"serial": "SIM0001", "users": (ANNA,), "punches": (MORNING,), **changes})  # type: ignore[arg-type]


def hexed(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def test_the_checksum_of_the_published_vector() -> None:
    packet = Packet(11, 0x8DF3, 3, b"ZKFaceVersion\0")
    assert checksum(hexed("0b00 0000 f38d 0300 5a4b4661636556657273696f6e00")) == 0x175A
    assert packet.encode() == hexed("0b00 5a17 f38d 0300 5a4b4661636556657273696f6e00")
    assert slow_checksum(hexed("0b00 0000 f38d 0300 5a4b4661636556657273696f6e00")) == 0x175A


def test_connect_is_answered_with_a_new_session_and_the_requests_reply_number() -> None:
    with SimulatedTerminal(unit()) as terminal, WireClient(terminal.port) as client:
        client.sock.sendall(hexed("5050827d 08000000 e803 17fc 0000 0000"))
        frame = client.hear_frame()
    session = terminal.journal[0].number
    assert session != 0
    body = hexed("d007 0000") + session.to_bytes(2, "little") + hexed("0000")
    assert frame == hexed("5050827d 08000000 d007") + slow_checksum(body).to_bytes(2, "little") + body[4:]


def test_a_datagram_is_a_packet_without_a_frame() -> None:
    with SimulatedTerminal(unit()) as terminal, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(hexed("e803 17fc 0000 0000"), ("127.0.0.1", terminal.port))
        heard = unpack(sock.recv(2048))
    assert (heard.command, heard.reply, heard.data) == (2000, 0, b"")
    assert heard.session == terminal.journal[0].number


def test_the_comm_key_is_scrambled_as_terminals_do() -> None:
    # 1234 = 0x4d2 mirrored is 0x4b200000; + 0x8df3 is 0x4b208df3; XOR "ZKSO" a9 c6 73 04; halves swapped 73 04 a9 c6.
    assert scramble_comm_key(1234, 0x8DF3) == hexed("41 36 32 f4")


def test_the_right_comm_key_opens_a_session_and_a_wrong_one_does_not() -> None:
    with SimulatedTerminal(unit(comm_key=1234)) as terminal, WireClient(terminal.port) as client:
        refused = client.ask(1000)
        client.session = refused.session
        before = client.ask(11, b"~SerialNumber\0")
        wrong = client.ask(1102, b"\0\0\0\0")
        right = client.ask(1102, scramble_comm_key(1234, refused.session))
        after = client.ask(11, b"~SerialNumber\0")
    assert [heard.command for heard in (refused, before, wrong, right)] == [2005, 2005, 2005, 2000]
    assert after.data == b"~SerialNumber=SIM0001\0"


@pytest.mark.parametrize(
    ("user_width", "punch_width", "user", "punch"),
    [(72, 40, USER_72, PUNCH_40), (28, 16, USER_28, PUNCH_16), (28, 8, USER_28, PUNCH_8)],
)
def test_small_tables_come_at_once_in_the_generations_rows(
    user_width: int, punch_width: int, user: str, punch: str
) -> None:
    spec = unit(user_width=user_width, punch_width=punch_width)
    with SimulatedTerminal(spec) as terminal, WireClient(terminal.port) as client:
        client.connect()
        users = client.ask(1503, hexed("01 0900 05000000 00000000"))
        punches = client.ask(1503, hexed("01 0d00 00000000 00000000"))
    assert (users.command, punches.command) == (1501, 1501)
    assert users.data == user_width.to_bytes(4, "little") + hexed(user)
    assert punches.data == punch_width.to_bytes(4, "little") + hexed(punch)


def test_templates_come_with_their_heads_and_one_alone_with_its_validity() -> None:
    template = SimTemplate(7, 6, b"\xaa\xbb\xcc", valid=3)
    with SimulatedTerminal(unit(templates=(template,))) as terminal, WireClient(terminal.port) as client:
        client.connect()
        table = client.ask(1503, hexed("01 0700 02000000 00000000"))
        one = client.ask(88, hexed("0700 06"))
        none = client.ask(88, hexed("0700 05"))
    assert (table.command, table.data) == (1501, hexed("09000000 0900 0700 06 03 aabbcc"))
    assert (one.command, one.data) == (1501, hexed("aabbcc 03"))
    assert none.command == 2001


def test_the_sizes_reply_has_92_bytes_with_each_counter_in_its_place() -> None:
    spec = unit(user_capacity=100, finger_capacity=50, punch_capacity=1000, face_capacity=30)
    with SimulatedTerminal(spec) as terminal, WireClient(terminal.port) as client:
        sizes = client.connect().ask(50)
    assert sizes.command == 2000
    assert sizes.data == hexed(
        "00000000 00000000 00000000 00000000 01000000 00000000 00000000 00000000 01000000"  # 16 users, 32 punches
        "00000000 00000000 00000000 00000000 00000000 32000000 64000000 e8030000"  # 56, 60, 64 capacities
        "32000000 63000000 e7030000 00000000 00000000 1e000000"  # 68, 72, 76 free, 88 faces
    )


def test_a_large_table_is_announced_then_served_by_chunks_until_freed() -> None:
    with SimulatedTerminal(unit(punches=(MORNING,) * 30)) as terminal, WireClient(terminal.port) as client:
        client.connect()
        announced = client.ask(1503, hexed("01 0d00 00000000 00000000"))
        client.tell(1504, hexed("02000000 06000000"))
        chunk = [client.hear(), client.hear(), client.hear()]
        beyond = client.ask(1504, hexed("b0040000 05000000"))
        freed = client.ask(1502)
        gone = client.ask(1504, hexed("00000000 06000000"))
    assert (announced.command, announced.data) == (2000, hexed("00 b4040000 b4040000 00000000"))
    assert [(heard.command, heard.data) for heard in chunk] == [
        (1500, hexed("06000000 10000000")),
        (1501, hexed("0000 0700 3130")),
        (2000, b""),
    ]
    assert {heard.reply for heard in chunk} == {2}
    assert [heard.command for heard in (beyond, freed, gone)] == [2001, 2000, 2001]


def test_time_is_counted_in_months_of_31_days() -> None:
    with SimulatedTerminal(unit(), clock=lambda: datetime(2026, 3, 2, 8, 15, 30)) as terminal:
        with WireClient(terminal.port) as client:
            told = client.connect().ask(201)
            client.ask(202, hexed("a2b82232"))
        assert (told.command, told.data) == (2000, hexed("a2ae2232"))
        assert terminal.now() == datetime(2026, 3, 2, 8, 15, 30) + timedelta(seconds=0xB8A2 - 0xAEA2)


def test_options_are_read_written_and_absent() -> None:
    with SimulatedTerminal(unit(options={"ZKFaceVersion": "7"})) as terminal, WireClient(terminal.port) as client:
        client.connect()
        assert client.ask(11, b"ZKFaceVersion\0").data == b"ZKFaceVersion=7\0"
        assert client.ask(11, b"NoSuchThing\0").command == 2001
        assert client.ask(12, b"NoSuchThing=1\0").command == 2000
        assert client.ask(11, b"NoSuchThing\0").data == b"NoSuchThing=1\0"


def test_a_user_row_is_kept_byte_for_byte_but_its_name_ends_with_a_nul() -> None:
    row = bytearray(hexed(USER_72))
    row[2], row[11:35], row[47] = 0x0F, b"N" * 24, 0x5A
    with SimulatedTerminal(unit()) as terminal, WireClient(terminal.port) as client:
        client.connect()
        assert client.ask(8, bytes(row)).command == 2000
        table = client.table(9, 5)
    row[34] = 0
    assert table[4:] == bytes(row)


def test_users_and_templates_are_uploaded_in_pieces() -> None:
    user = b"\x02" + hexed(USER_72)
    upload = hexed("49000000 08000000 05000000") + user + hexed("02 0700 16 00000000") + hexed("0300 a1a2a3")
    with SimulatedTerminal(unit(users=())) as terminal, WireClient(terminal.port) as client:
        client.connect()
        answers = [
            client.ask(1502),
            client.ask(1500, len(upload).to_bytes(4, "little")),
            client.ask(1501, upload[:50]),
            client.ask(1501, upload[50:]),
            client.ask(110, hexed("0c000000 0000 0800")),
            client.ask(1013),
        ]
        assert [answer.command for answer in answers] == [2000] * 6
    assert terminal.users() == (ANNA,)
    assert terminal.template(7, 6) == SimTemplate(7, 6, b"\xa1\xa2\xa3")


def test_an_upload_that_contradicts_itself_is_refused() -> None:
    upload = hexed("49000000 08000000 05000000")
    with SimulatedTerminal(unit()) as terminal, WireClient(terminal.port) as client:
        client.connect()
        client.ask(1500, len(upload).to_bytes(4, "little"))
        client.ask(1501, upload)
        assert client.ask(110, hexed("0c000000 0000 0800")).command == 2001
        assert client.ask(1501, b"more than announced").command == 2001


def test_deleting_clearing_unlocking_and_the_unknown() -> None:
    template = SimTemplate(7, 6, b"\xaa")
    with SimulatedTerminal(unit(templates=(template,))) as terminal, WireClient(terminal.port) as client:
        client.connect()
        commands = [
            client.ask(19, hexed("0700 06")).command,
            client.ask(19, hexed("0700 06")).command,
            client.ask(18, hexed("0700")).command,
            client.ask(18, hexed("0700")).command,
            client.ask(31, hexed("1e000000")).command,
            client.ask(134, b"").command,
            client.ask(15).command,
            client.ask(14).command,
        ]
        assert client.ask(69).data == b"\x09"
        assert client.ask(1100).data == b"Ver 6.60 Apr 28 2017\0"
    assert commands == [2000, 2001, 2000, 2001, 2000, 65535, 2000, 2000]
    assert terminal.unlocks == [3.0]
    assert [clearing.command for clearing in terminal.clearings] == [15, 14]
    assert terminal.counts().punches == 0
    assert terminal.ledger() == (MORNING,)


def test_enrolment_tells_three_scans_and_the_result() -> None:
    with SimulatedTerminal(unit()) as terminal, WireClient(terminal.port) as client:
        client.connect()
        client.ask(500, hexed("08010000"))
        started = client.ask(61, b"1001".ljust(24, b"\0") + hexed("02 01"))
        events = []
        for _ in range(4):
            events.append(client.hear())
            client.tell(2000)
        assert started.command == 2000
        assert [(event.command, event.session, event.reply) for event in events] == [
            (500, 256, 0),
            (500, 256, 0),
            (500, 256, 0),
            (500, 8, 0),
        ]
        assert events[3].data == hexed("0000 2003 313030310000000000 02")
    enrolled = terminal.template(7, 2)
    assert enrolled is not None
    assert len(enrolled.data) == 0x320


@pytest.mark.parametrize("result", [4, 5, 6])
def test_a_failed_enrolment_says_why_and_leaves_no_template(result: int) -> None:
    with SimulatedTerminal(unit()) as terminal, WireClient(terminal.port) as client:
        terminal.enrol_result = result
        client.connect()
        client.ask(500, hexed("08000000"))
        client.ask(61, b"1001".ljust(24, b"\0") + hexed("02 01"))
        assert client.hear().data[:2] == result.to_bytes(2, "little")
    assert terminal.template(7, 2) is None


def test_a_cancelled_enrolment_ends_with_result_6() -> None:
    with SimulatedTerminal(unit(event_pace=30)) as terminal, WireClient(terminal.port) as client:
        client.connect()
        client.ask(61, b"1001".ljust(24, b"\0") + hexed("02 01"))
        first = client.hear()
        cancelled = client.ask(62)
        last = client.hear()
    assert (first.session, cancelled.command, last.session, last.data[:2]) == (2, 2000, 8, b"\x06\0")
    assert terminal.template(7, 2) is None


def test_a_registered_client_hears_of_a_punch_at_once() -> None:
    with SimulatedTerminal(unit()) as terminal, WireClient(terminal.port) as client:
        client.connect()
        client.ask(500, hexed("01000000"))
        terminal.punch("1001", at=datetime(2026, 3, 2, 17, 0, 1), verify=1, state=1)
        event = client.hear()
    assert event == (500, 1, 0, b"1001".ljust(24, b"\0") + bytes((1, 1, 26, 3, 2, 17, 0, 1)))
