"""Punches and events as units of every generation send them, byte by byte."""

from __future__ import annotations

from datetime import datetime

import pytest

from iclock.lines import Attendance, OperationLine
from iclock.punch import Decoded, Punch, Reject
from iclock.push.codec import read_attlog, read_kept_line, read_querydata, read_rtlog, read_rtstate

EIGHT = datetime(2026, 3, 2, 8, 0, 0)
GOOD = b"7\t2026-03-02 08:00:00\t0\t1\t0\t0\t0\n"
THIRTY_FIRST_OF_FEBRUARY = ((26 * 12 + 1) * 31 + 30) * 86_400
NO_TIME = "no time such as 2026-03-02 08:00:00 stands where one is expected"
RTLOG = (
    b"time=2026-03-02 08:00:00\tpin=7\tcardno=99\teventaddr=1\tevent=%s\tinoutstatus=%s\tverifytype=15\tindex=21\r\n"
)


@pytest.mark.parametrize(
    ("line", "punch"),
    [
        (b"7\t2026-03-02 08:00:00", Punch("7", EIGHT, 0, 0)),
        (b"7\t2026-03-02 08:00:00\t1", Punch("7", EIGHT, 1, 0)),
        (b"7\t2026-03-02 08:00:00\t\t15", Punch("7", EIGHT, 0, 15)),
        (b"7\t2026-03-02 08:00:00\t5\t15\t0", Punch("7", EIGHT, 5, 15)),
        (b"7\t2026-03-02 08:00:00\t5\t15\t42", Punch("7", EIGHT, 5, 15, "42")),
        (b"7\t2026-03-02 08:00:00\t255\t200\t042\t0\t0", Punch("7", EIGHT, 255, 200, "042")),
        (b"7\t2026-03-02 08:00:00\t0\t15\t\t\t\t255\t36.6\t0\t0", Punch("7", EIGHT, 0, 15, None, 255, 36.6)),
        (b"7\t2026-03-02 08:00:00\t0\t15\t5\t\t\t1\t0.0", Punch("7", EIGHT, 0, 15, "5", 1)),
        (b"7\t2026-03-02 08:00:00\t0\t15\t\t\t\t-1\t255", Punch("7", EIGHT, 0, 15)),
        (b"7\t2026-03-02 08:00:00\t0\t15\t\t\t\tmask\t1e9", Punch("7", EIGHT, 0, 15)),
        (b"00042\t2026-03-02 08:00:00\t0\t1", Punch("00042", EIGHT, 0, 1)),
        (b"  7 \t 2026-03-02 08:00:00 \t 0 \t 1 ", Punch("7", EIGHT, 0, 1)),
        (b"7\t2026-3-2T8:00:00\t0\t1", Punch("7", EIGHT, 0, 1)),
        (b"7\t2026/03/02 08:00:00\t-1\t12345", Punch("7", EIGHT, -1, 12345)),
        (b"\xe5\xbc\xa0\t2026-03-02 08:00:00\t0\t1", Punch("张", EIGHT, 0, 1)),
    ],
)
def test_an_attlog_line_of_any_generation_is_a_punch(line: bytes, punch: Punch) -> None:
    assert read_attlog(line) == Attendance([punch], [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"7", "there is no TAB in it, so no time behind a user id"),
        (b"7\tyesterday\t0\t1", NO_TIME),
        (b"7\t2026-W10-1 08:00:00\t0\t1", NO_TIME),
        (b"7\t2026-03-02 08:00:00+01:00\t0\t1", NO_TIME),
        (b"7\t2026-02-31 08:00:00\t0\t1", "no calendar has the time 2026-02-31 08:00:00"),
        (b"7\t2026-03-02 25:00:00\t0\t1", "no calendar has the time 2026-03-02 25:00:00"),
        (b"7\t2026-03-02 08:00:00\tin\t1", "its status is no number"),
        (b"7\t2026-03-02 08:00:00\t123456\t1", "its status is no number"),
        (b"7\t2026-03-02 08:00:00\t0\t0x1", "its verification is no number"),
        (b"0\t2026-03-02 08:00:00\t0\t1", "the user id is empty or zero"),
        (b"\t2026-03-02 08:00:00\t0\t1", "the user id is empty or zero"),
        (b"1234567890123456789012345\t2026-03-02 08:00:00", "the user id has 25 characters; up to 24 are possible"),
        (b"\x1b7\t2026-03-02 08:00:00", "the user id is no text, or holds characters that can't be printed"),
        (b"\xff7\t2026-03-02 08:00:00", "it is text neither in UTF-8 nor in 'utf-8'"),
    ],
)
def test_a_poison_line_is_kept_with_its_reason_and_its_neighbours_are_read(line: bytes, reason: str) -> None:
    found = read_attlog(GOOD + line + b"\n" + GOOD)
    assert found == Attendance([Punch("7", EIGHT, 0, 1)] * 2, [Reject(line, reason)])
    assert found.count == 3


@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"\r", b"\0", b"\n\n", b"\n \t \r\n", b"\0\0\n"])
def test_lines_end_as_units_end_them(between: bytes) -> None:
    line = GOOD.strip()
    assert read_attlog(between + line + between + line + between).punches == [Punch("7", EIGHT, 0, 1)] * 2


@pytest.mark.parametrize(
    ("raw", "encoding", "code"),
    [
        (b"\xd5\xc5", "gb18030", "张"),
        (b"M\xfcller", "cp1252", "Müller"),
        (b"\xe3\xe1", "cp1256", "مل"),
        (b"\x8e\x52", "shift_jis", "山"),
        ("Müller".encode(), "cp1252", "Müller"),
    ],
)
def test_text_is_utf_8_or_the_units_code_page(raw: bytes, encoding: str, code: str) -> None:
    assert read_attlog(raw + b"\t2026-03-02 08:00:00", encoding).punches == [Punch(code, EIGHT, 0, 0)]


def test_a_code_page_that_nobody_knows_spoils_only_the_lines_that_need_it() -> None:
    found = read_attlog(GOOD + b"\xff\t2026-03-02 08:00:00\n", "klingon")
    assert [reject.reason for reject in found.rejects] == ["it is text neither in UTF-8 nor in 'klingon'"]
    assert len(found.punches) == 1


def test_of_a_line_that_is_too_long_the_beginning_is_kept() -> None:
    found = read_attlog(GOOD + b"9" * 20_000_000 + b"\n" + GOOD)
    assert len(found.punches) == 2
    assert found.rejects == [Reject(b"9" * 2_001, "the line is longer than 2000 bytes; its beginning is kept")]


def test_a_password_among_punches_is_not_kept() -> None:
    found = read_attlog(b"USER PIN=1\tName=Ana\tPasswd=4711\n")
    assert found.rejects == [Reject(b"USER PIN=1\tName=Ana\tPasswd=<4 bytes>", NO_TIME)]


@pytest.mark.parametrize(("told", "state"), [(b"0", 0), (b"1", 1), (b"2", 255), (b"", 255), (b"15", 255)])
def test_somebody_who_was_let_in_has_punched(told: bytes, state: int) -> None:
    assert read_rtlog(RTLOG % (b"0", told)) == Attendance([Punch("7", EIGHT, state, 15)], [])


def test_a_mask_and_a_temperature_stand_on_lines_of_events_too() -> None:
    line = (RTLOG % (b"0", b"1")).rstrip() + b"\tmaskflag=1\ttemperature=36.7\n"
    assert read_rtlog(line).punches == [Punch("7", EIGHT, 1, 15, None, 1, 36.7)]


def test_the_first_and_the_last_event_of_being_let_in_are_punches() -> None:
    found = read_rtlog(b"".join(RTLOG % (event, b"0") for event in (b"0", b"19", b"20")))
    assert len(found.punches) == 2
    assert found.operations == [OperationLine(20, "7", EIGHT, ("1", "0", "15", "99"), "door")]


@pytest.mark.parametrize("pin", [b"", b"0"])
def test_an_event_of_nobody_is_acknowledged_and_no_punch(pin: bytes) -> None:
    found = read_rtlog(b"time=2026-03-02 08:00:00\tpin=%s\teventaddr=2\tevent=8\tinoutstatus=2\tverifytype=200" % pin)
    assert found == Attendance([], [], [OperationLine(8, "", EIGHT, ("2", "2", "200", ""), "door")])
    assert found.count == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"time=2026-03-02 08:00:00\tpin=7", "it names no event"),
        (b"pin=7\tevent=0", NO_TIME),
        (b"time=2026-02-31 08:00:00\tpin=7\tevent=0", "no calendar has the time 2026-02-31 08:00:00"),
        (b"time=2026-03-02 08:00:00\tpin=7\tevent=x", "its event is no number"),
        (b"7\t2026-03-02 08:00:00\t0\t1", "it names no event"),
    ],
)
def test_a_poison_event_is_kept_with_its_reason(line: bytes, reason: str) -> None:
    found = read_rtlog(RTLOG % (b"0", b"0") + line + b"\n" + RTLOG % (b"0", b"0"))
    assert (len(found.punches), found.rejects) == (2, [Reject(line, reason)])


def test_transactions_that_were_asked_for_are_punches_and_door_events() -> None:
    seconds = 841132800
    line = (
        b"transaction cardno=0\tpin=%s\tverified=4\tdoorid=1\teventtype=%s\tinoutstate=1\ttime_second=%d\tindex=9\r\n"
    )
    bad = b"transaction pin=7\teventtype=0\ttime_second=%d" % THIRTY_FIRST_OF_FEBRUARY
    found = read_querydata(line % (b"7", b"0", seconds) + line % (b"0", b"27", seconds) + bad, "transaction")
    assert found.punches == [Punch("7", EIGHT, 1, 4)]
    assert found.lines == [OperationLine(27, "", EIGHT, ("1", "1", "4", "0"), "door")]
    assert found.rejects == [Reject(bad, "no calendar has its time")]
    assert found.count == 3


def test_of_how_doors_are_only_the_alarms_are_kept() -> None:
    quiet = b"time=2026-03-02 07:59:58\tsensor=01\trelay=00\talarm=0000000000000000\tdoor=01\r\n"
    alarmed = b"time=2026-03-02 08:00:00\tsensor=02\trelay=00\talarm=0100000000000000\tdoor=01\r\n"
    found = read_rtstate(quiet + b"\xff\ntime=never\talarm=1\n" + alarmed)
    assert found == Attendance([], [], [OperationLine(-1, "", EIGHT, ("02", "00", "01", "0100000000000000"), "door")])


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        (GOOD, Decoded(Punch("7", EIGHT, 0, 1))),
        (b"0\t2026-03-02 08:00:00\t1\t15", Decoded(Punch("0", EIGHT, 1, 15), "the user id is empty or zero")),
        (
            b"\xff\t2026-03-02 08:00:00\t1\t15",
            Decoded(Punch("\udcff", EIGHT, 1, 15), "the user id is no text, or holds characters that can't be printed"),
        ),
        (RTLOG % (b"0", b"1"), Decoded(Punch("7", EIGHT, 1, 15))),
        (b"transaction pin=7\tverified=4\teventtype=1\ttime_second=841132800", Decoded(Punch("7", EIGHT, 255, 4))),
        (RTLOG % (b"27", b"1"), Decoded(None, "the event is no punch")),
        (b"7\tnever", Decoded(None, NO_TIME)),
        (b"", Decoded(None, "there is no TAB in it, so no time behind a user id")),
        (b"9" * 2_001, Decoded(None, "the line is longer than 2000 bytes; its beginning is kept")),
    ],
)
def test_a_line_that_was_kept_is_read_again(raw: bytes, decoded: Decoded) -> None:
    assert read_kept_line(raw) == decoded
