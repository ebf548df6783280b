"""Tables are decoded from literal bytes, and refused rather than guessed."""

from __future__ import annotations

from datetime import datetime

import pytest

from devices.driver.errors import MiscountError
from devices.driver.tables import PUNCH_WIDTHS, Rows, decode_punches, split_rows
from devices.driver.users import USER_WIDTHS, UnitUser, decode_users
from iclock.punch import Punch, Reject

# 2026-03-02 08:00:00 is ((26 * 12 + 2) * 31 + 1) * 86400 + 28800 = 841 132 800 = 0x3222ab00.
EIGHT = bytes.fromhex("00ab2232")
PUNCH_40 = (
    bytes.fromhex("0100") + b"0042".ljust(24, b"\0") + bytes.fromhex("01") + EIGHT + bytes.fromhex("05") + bytes(8)
)
PUNCH_16 = bytes.fromhex("2a000000") + EIGHT + bytes.fromhex("0f01") + bytes(2) + bytes.fromhex("07000000")
PUNCH_8 = bytes.fromhex("0300") + bytes.fromhex("04") + EIGHT + bytes.fromhex("01")
USER_72 = (
    bytes.fromhex("0100 0e")
    + b"secret\0\0"
    + "José".encode().ljust(24, b"\0")
    + bytes.fromhex("15cd5b07 01")
    + bytes(8)
    + b"0042".ljust(24, b"\0")
)
USER_28 = (
    bytes.fromhex("0300 00")
    + b"12345"
    + b"Ana\0\0\0\0\0"
    + bytes.fromhex("00000000 00 01 0000")
    + bytes.fromhex("2a000000")
)
JUNK = bytes.fromhex("ff3235350000000000")
WALL = datetime(2026, 3, 2, 8, 0, 0)


def table(rows: bytes) -> bytes:
    return len(rows).to_bytes(4, "little") + rows


def test_a_row_of_40_bytes() -> None:
    log = decode_punches(Rows(40, PUNCH_40), user_ids={})

    assert log.punches == [Punch("0042", WALL, punch_state=5, verify_type=1, work_code=None)]


def test_a_row_of_16_bytes() -> None:
    log = decode_punches(Rows(16, PUNCH_16), user_ids={})

    assert log.punches == [Punch("42", WALL, punch_state=1, verify_type=15, work_code="7")]


def test_a_row_of_8_bytes_names_its_person_by_the_user_table() -> None:
    log = decode_punches(Rows(8, PUNCH_8), user_ids={3: "0042"})

    assert log.punches == [Punch("0042", WALL, punch_state=1, verify_type=4, work_code=None)]


def test_an_unknown_uid_is_never_taken_for_a_person() -> None:
    log = decode_punches(Rows(8, PUNCH_8), user_ids={42: "3"})

    assert log.punches == []
    assert log.rejects == [Reject(PUNCH_8, "uid 3 is not in the terminal's user table")]


@pytest.mark.parametrize("user_id", [b"", b"0", b"\xff\xfe", b"\0" + b"7", b"  ", b"4\x072"])
def test_a_row_without_a_usable_user_id_is_rejected_with_its_bytes(user_id: bytes) -> None:
    row = PUNCH_40[:2] + user_id.ljust(24, b"\0") + PUNCH_40[26:]

    log = decode_punches(Rows(40, PUNCH_40 + row + PUNCH_40), user_ids={})

    assert len(log.punches) == 2
    assert [reject.raw for reject in log.rejects] == [row]


def test_a_user_id_may_fill_its_field() -> None:
    row = PUNCH_40[:2] + b"123456789012345678901234" + PUNCH_40[26:]

    assert decode_punches(Rows(40, row), user_ids={}).punches[0].emp_code == "123456789012345678901234"


def test_the_31st_of_february_is_rejected_and_its_neighbours_are_kept() -> None:
    impossible = (((26 * 12 + 1) * 31 + 30) * 86_400).to_bytes(4, "little")
    row = PUNCH_40[:27] + impossible + PUNCH_40[31:]

    log = decode_punches(Rows(40, PUNCH_40 + row), user_ids={})

    assert log.punches == [Punch("0042", WALL, 5, 1)]
    assert log.rejects == [Reject(row, f"no calendar has the date of time {int.from_bytes(impossible, 'little')}")]


@pytest.mark.parametrize(
    ("moment", "wall"), [(0, datetime(2000, 1, 1)), (0xFFFFFFFF, datetime(2133, 8, 18, 6, 28, 15))]
)
def test_any_date_of_a_calendar_is_kept_however_odd(moment: int, wall: datetime) -> None:
    row = PUNCH_40[:27] + moment.to_bytes(4, "little") + PUNCH_40[31:]

    assert decode_punches(Rows(40, row), user_ids={}).punches[0].punch_time == wall


def test_a_user_of_72_bytes() -> None:
    assert decode_users(Rows(72, USER_72), encoding="UTF-8") == [
        UnitUser(1, "0042", "José", 14, False, "secret", 123456789, group=1, time_zones=(0, 0, 0, 0))
    ]


def test_a_user_of_28_bytes() -> None:
    assert decode_users(Rows(28, USER_28), encoding="UTF-8") == [
        UnitUser(3, "42", "Ana", 0, False, "12345", 0, group=1, time_zones=(0,))
    ]


def test_a_name_of_another_code_page_keeps_a_mark() -> None:
    row = USER_72[:11] + "José".encode("latin-1").ljust(24, b"\0") + USER_72[35:]

    assert decode_users(Rows(72, row), encoding="UTF-8")[0].name == "Jos�"
    assert decode_users(Rows(72, row), encoding="latin-1")[0].name == "José"


@pytest.mark.parametrize(("row", "width"), [(PUNCH_40, 40), (PUNCH_16, 16), (PUNCH_8, 8)])
def test_the_width_of_a_row_follows_from_the_counter(row: bytes, width: int) -> None:
    assert split_rows(table(row * 10), widths=PUNCH_WIDTHS, between=(10, 10)) == Rows(width, row * 10)


def test_punches_made_during_the_transfer_are_within_the_two_counters() -> None:
    assert len(split_rows(table(PUNCH_40 * 11), widths=PUNCH_WIDTHS, between=(10, 12))) == 11


def test_a_log_cleared_during_the_transfer_is_within_the_two_counters_too() -> None:
    assert len(split_rows(table(PUNCH_40 * 10), widths=PUNCH_WIDTHS, between=(10, 0))) == 10


def test_an_empty_table_has_no_rows() -> None:
    assert len(split_rows(table(b""), widths=PUNCH_WIDTHS, between=(0, 0))) == 0


@pytest.mark.parametrize(
    "junk", [table(JUNK + PUNCH_40 * 2), JUNK + table(PUNCH_40 * 2), (80).to_bytes(4, "little") + JUNK + PUNCH_40 * 2]
)
def test_the_junk_of_some_firmware_is_stripped_wherever_it_stands(junk: bytes) -> None:
    assert split_rows(junk, widths=PUNCH_WIDTHS, between=(2, 2)) == Rows(40, PUNCH_40 * 2)


def test_a_person_whose_row_looks_like_junk_is_not_stripped() -> None:
    row = JUNK + bytes(17) + PUNCH_40[26:]

    assert split_rows(table(row), widths=PUNCH_WIDTHS, between=(1, 1)) == Rows(40, row)
    assert decode_punches(Rows(40, row), user_ids={}).punches[0].emp_code == "55"


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (table(PUNCH_40 * 10), 11),
        (table(PUNCH_40 * 10), 9),
        (table(PUNCH_40 * 10), 0),
        (table(bytes(49) * 10), 10),
        (table(bytes(22) * 10), 10),
        (table(PUNCH_40 * 10)[:-1], 10),
        (table(PUNCH_40 * 10) + b"\0", 10),
        (b"", 10),
        (b"\0\0", 0),
    ],
)
def test_a_table_that_contradicts_the_counter_is_refused(data: bytes, count: int) -> None:
    with pytest.raises(MiscountError, match=f"the terminal counts {count} rows but delivered {len(data)} bytes"):
        split_rows(data, widths=PUNCH_WIDTHS, between=(count, count))


def test_a_width_that_is_not_certain_is_refused() -> None:
    with pytest.raises(MiscountError):
        split_rows(table(PUNCH_40 * 2), widths=PUNCH_WIDTHS, between=(1, 10))


def test_users_of_49_bytes_are_refused() -> None:
    with pytest.raises(MiscountError):
        split_rows(table(bytes(49) * 3), widths=USER_WIDTHS, between=(3, 3))
