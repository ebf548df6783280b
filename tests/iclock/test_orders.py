"""What terminals that dial can be told, byte by byte, and what nobody can tell them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iclock import orders
from iclock.orders import Kind, Order

BIODATA = (
    "DATA UPDATE BIODATA Pin=7\tNo=0\tIndex=0\tValid=1\tDuress=0\tType=9\tMajorVer=58\tMinorVer=12\tFormat=0"
    "\tTmp=U1NVMf8="
)
START, END = datetime(2026, 3, 1), datetime(2026, 3, 31, 23, 59, 59)
SPAN = "StartTime=2026-03-01 00:00:00\tEndTime=2026-03-31 23:59:59"


@pytest.mark.parametrize(
    ("order", "kind", "text"),
    [
        (orders.update_user("7"), Kind.UPDATE_USER, "DATA UPDATE USERINFO PIN=7\tGrp=1"),
        (
            orders.update_user("7", name="Ana Müller", privilege=14, password="4711", card=99, group=2),
            Kind.UPDATE_USER,
            "DATA UPDATE USERINFO PIN=7\tName=Ana Müller\tPri=14\tPasswd=4711\tCard=99\tGrp=2",
        ),
        (
            orders.update_user("A7", name="", password="", card=0, group=None),
            Kind.UPDATE_USER,
            "DATA UPDATE USERINFO PIN=A7\tName=\tPasswd=\tCard=0",
        ),
        (orders.delete_user("7"), Kind.DELETE_USER, "DATA DELETE USERINFO PIN=7"),
        (
            orders.update_finger("7", 5, b"SSU1\xff", valid=3),
            Kind.UPDATE_FINGER,
            "DATA UPDATE FINGERTMP PIN=7\tFID=5\tSize=8\tValid=3\tTMP=U1NVMf8=",
        ),
        (orders.delete_finger("7", 5), Kind.DELETE_FINGER, "DATA DELETE FINGERTMP PIN=7\tFID=5"),
        (
            orders.update_biodata("7", bio_type=9, number=0, template=b"SSU1\xff", major_ver="58", minor_ver="12"),
            Kind.UPDATE_BIODATA,
            BIODATA,
        ),
        (orders.delete_biodata("7", bio_type=9), Kind.DELETE_BIODATA, "DATA DELETE BIODATA Pin=7\tType=9"),
        (
            orders.delete_biodata("7", bio_type=1, number=5),
            Kind.DELETE_BIODATA,
            "DATA DELETE BIODATA Pin=7\tType=1\tNo=5",
        ),
        (orders.query_attlog(START, END), Kind.QUERY_ATTLOG, f"DATA QUERY ATTLOG {SPAN}"),
        (orders.query_users(), Kind.QUERY_USERS, "DATA QUERY USERINFO"),
        (orders.query_users("7"), Kind.QUERY_USERS, "DATA QUERY USERINFO PIN=7"),
        (orders.verify_sum(START, END), Kind.VERIFY_SUM, f"VERIFY SUM ATTLOG {SPAN}"),
        (orders.check(), Kind.CHECK, "CHECK"),
        (orders.log(), Kind.LOG, "LOG"),
        (orders.info(), Kind.INFO, "INFO"),
        (orders.reload_options(), Kind.RELOAD_OPTIONS, "RELOAD OPTIONS"),
        (orders.set_option("~OS", "1=2,3"), Kind.SET_OPTION, "SET OPTION ~OS=1=2,3"),
        (orders.enrol_finger("7", 5), Kind.ENROL_FINGER, "ENROLL_FP PIN=7\tFID=5\tRETRY=3\tOVERWRITE=1"),
        (
            orders.enrol_finger("7", 5, retry=1, overwrite=False),
            Kind.ENROL_FINGER,
            "ENROLL_FP PIN=7\tFID=5\tRETRY=1\tOVERWRITE=0",
        ),
        (orders.clear_photos(), Kind.CLEAR_PHOTOS, "CLEAR PHOTO"),
        (orders.reboot(), Kind.REBOOT, "REBOOT"),
        (orders.unlock(), Kind.UNLOCK, "AC_UNLOCK"),
    ],
)
def test_an_order_is_its_text(order: Order, kind: Kind, text: str) -> None:
    assert (order.kind, order.text) == (kind, text)


@pytest.mark.parametrize("character", ["\t", "\r", "\n", "\0", "\x1b", "\x85", "\ud800"])
@pytest.mark.parametrize(
    ("build", "named"),
    [
        (orders.update_user, "The user id"),
        (lambda value: orders.update_user("7", name=value), "The name"),
        (lambda value: orders.update_user("7", password=value), "The password"),
        (orders.delete_user, "The user id"),
        (lambda value: orders.update_finger(value, 1, b"x"), "The user id"),
        (lambda value: orders.delete_finger(value, 1), "The user id"),
        (lambda value: orders.update_biodata(value, bio_type=9, number=0, template=b"x", major_ver="1"), "The user id"),
        (lambda value: orders.update_biodata("7", bio_type=9, number=0, template=b"x", major_ver=value), "The version"),
        (lambda value: orders.delete_biodata(value, bio_type=9), "The user id"),
        (orders.query_users, "The user id"),
        (lambda value: orders.enrol_finger(value, 1), "The user id"),
        (lambda value: orders.set_option("Delay", value), "The value of the option"),
        (lambda value: orders.set_option(value, "1"), "The option"),
    ],
)
def test_no_value_starts_another_field_or_command(build: Callable[[str], Order], named: str, character: str) -> None:
    for value in (f"1{character}C:2:REBOOT", f"1{character}", f"{character}1"):
        with pytest.raises(ValueError, match=f"^{named} "):
            build(value)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: orders.delete_user(""), "The user id is empty or zero."),
        (lambda: orders.delete_user("000"), "The user id is empty or zero."),
        (lambda: orders.delete_user("1 2"), "The user id holds a blank."),
        (lambda: orders.delete_user("é"), "The user id holds a character that is no ASCII."),
        (lambda: orders.delete_user("1" * 25), "The user id has more than 24 characters."),
        (lambda: orders.update_user("7", name="x" * 65), "The name has more than 64 characters."),
        (lambda: orders.update_user("7", privilege=3), "The privilege is one of 0, 2, 6, 10, 14."),
        (
            lambda: orders.update_user("7", password="123456789"),
            "The password is typed on a keypad: it has 1 to 8 digits.",
        ),
        (lambda: orders.update_user("7", card=2**32), "The card is a number from 0 to 4294967295."),
        (lambda: orders.update_user("7", card=-1), "The card is a number from 0 to 4294967295."),
        (lambda: orders.update_user("7", group=0), "The group is a number from 1 to 255."),
        (lambda: orders.delete_finger("7", 10), "The finger is a number from 0 to 9."),
        (lambda: orders.update_finger("7", 1, b""), "The template has 1 to 24576 bytes."),
        (lambda: orders.update_finger("7", 1, bytes(24_577)), "The template has 1 to 24576 bytes."),
        (lambda: orders.update_finger("7", 1, b"x", valid=2), "The validity of a finger is 0, 1 or 3."),
        (lambda: orders.delete_biodata("7", bio_type=0), "The kind of template is a number from 1 to 99."),
        (lambda: orders.enrol_finger("7", 1, retry=0), "The number of tries is a number from 1 to 10."),
        (lambda: orders.query_attlog(END, START), "The end is before the beginning."),
        (
            lambda: orders.verify_sum(START.replace(tzinfo=UTC), END),
            "The beginning is by the unit's clock, which has no time zone.",
        ),
        (
            lambda: orders.verify_sum(START, datetime(2100, 1, 1)),
            "The end is in none of the years 2000 to 2099.",
        ),
        (
            lambda: orders.set_option("a b", "1"),
            "The option is named by letters, digits and underscores, perhaps behind a ~.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(build: Callable[[], Order], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        build()


def test_an_order_does_not_show_what_it_holds() -> None:
    assert repr(orders.update_user("7", password="4711")) == "Order(update_user, 44 characters)"
    assert "4711" not in str([orders.update_user("7", password="4711")])


def test_a_batch_is_lines_in_the_units_code_page() -> None:
    pairs = [(1, orders.update_user("7", name="Müller 张")), (2**31 - 1, orders.reboot())]
    assert orders.encode_batch(pairs, "cp1252") == (
        b"C:1:DATA UPDATE USERINFO PIN=7\tName=M\xfcller ?\tGrp=1\nC:2147483647:REBOOT\n"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-7", "hex", "klingon", "cp037", "no\0codec"])
def test_a_code_page_that_is_none_is_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match="code page"):
        orders.line_bytes(1, orders.check(), encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp1252", "cp1256", "big5", "euc_kr", "latin-1"])
def test_no_name_in_any_code_page_has_a_line_end_or_tab(encoding: str) -> None:
    for first in range(0x20, 0x10000, 64):
        letters = "".join(chr(code) for code in range(first, first + 64) if chr(code).isprintable())
        line = orders.line_bytes(1, orders.update_user("7", name=letters), encoding)
        assert (line.count(b"\n"), line.count(b"\t"), line.count(b"\0"), line.count(b"\r")) == (1, 2, 0, 0)


def test_numbers_of_commands_are_positive() -> None:
    for number in (0, -1, 2**31):
        with pytest.raises(ValueError, match="number of the command"):
            orders.line_bytes(number, orders.check(), "utf-8")


def test_a_batch_holds_at_most_200_orders() -> None:
    pairs = [(number, orders.check()) for number in range(1, 202)]
    assert orders.fit_batch(pairs, "utf-8") == pairs[:200]
    assert orders.encode_batch(pairs[:200], "utf-8").count(b"\n") == 200
    with pytest.raises(ValueError, match="200 orders"):
        orders.encode_batch(pairs, "utf-8")


def test_a_batch_has_fewer_than_40_kilobytes() -> None:
    long, order = orders.update_finger("7", 1, bytes(24_576)), orders.set_option("A", "x" * 200)
    room = orders.MOST_BYTES - len(orders.line_bytes(1, long, "utf-8"))
    fitting = (room - 1) // len(orders.line_bytes(10, order, "utf-8"))
    pairs = [(1, long), *((number, order) for number in range(10, 10 + fitting + 1))]
    assert orders.fit_batch(pairs, "utf-8") == pairs[:-1]
    assert len(orders.encode_batch(pairs[:-1], "utf-8")) < 40 * 1024
    with pytest.raises(ValueError, match="less than 40960 bytes"):
        orders.encode_batch(pairs, "utf-8")


def test_a_batch_of_exactly_40_kilobytes_is_one_byte_too_long() -> None:
    full, short = orders.MOST_BYTES - len("C:1:\n"), orders.MOST_BYTES - len("C:1:\n") - 1
    assert orders.fit_batch([(1, Order(Kind.LOG, "x" * full))], "utf-8") == []
    assert len(orders.fit_batch([(1, Order(Kind.LOG, "x" * short))], "utf-8")) == 1


def test_nothing_is_handed_out_behind_a_reboot() -> None:
    pairs = [(1, orders.check()), (2, orders.reboot()), (3, orders.log())]
    assert orders.fit_batch(pairs, "utf-8") == pairs[:2]
    with pytest.raises(ValueError, match="behind a reboot"):
        orders.encode_batch(pairs, "utf-8")


def test_every_order_fits_into_a_batch() -> None:
    largest = orders.update_biodata(
        "1" * 24, bio_type=99, number=255, index=255, template=bytes(orders.MOST_TEMPLATE), major_ver="999.999"
    )
    assert orders.fit_batch([(2**31 - 1, largest)], "utf-8") == [(2**31 - 1, largest)]


@pytest.mark.parametrize(
    ("name", "encoding", "most", "fitted"),
    [
        ("Ana Müller", "utf-8", 23, "Ana Müller"),
        ("x" * 30, "utf-8", 23, "x" * 23),
        ("x" * 22 + "é", "utf-8", 23, "x" * 22),
        ("x" * 22 + "é", "cp1252", 23, "x" * 22 + "é"),
        ("张" * 12, "utf-8", 23, "张" * 7),
        ("张" * 12, "gb18030", 23, "张" * 11),
        ("张三", "cp1252", 23, "??"),
        ("Ana\t\r\n\0\x1bB\u202ec", "utf-8", 23, "AnaBc"),
        (" Ana ", "utf-8", 23, "Ana"),
        ("Ana Maria", "utf-8", 4, "Ana"),
        ("u\u0308", "cp1252", 23, "ü"),
        ("\ud800a", "utf-8", 23, "a"),
        ("", "utf-8", 23, ""),
    ],
)
def test_a_name_is_cut_on_a_character_of_the_units_code_page(name: str, encoding: str, most: int, fitted: str) -> None:
    assert orders.fit_name(name, encoding, most) == fitted
    assert len(fitted.encode(encoding)) <= most


@pytest.mark.parametrize(
    ("code", "kind", "words", "done"),
    [
        (0, Kind.UPDATE_USER, "Done.", True),
        (0, Kind.ENROL_FINGER, "Done.", True),
        (120, Kind.QUERY_USERS, "Done.", True),
        (-1, Kind.SET_OPTION, "The unit doesn't understand an argument of the command.", False),
        (-10, Kind.UPDATE_FINGER, "The unit doesn't know this person.", False),
        (-1001, Kind.UPDATE_USER, "The unit is full.", False),
        (2, Kind.ENROL_FINGER, "This finger is already there.", False),
        (5, Kind.ENROL_FINGER, "Somebody else is already enrolled with this finger.", False),
        (-1005, Kind.ENROL_FINGER, "The unit is busy.", False),
        (3, Kind.ENROL_FINGER, "The unit answered with the code 3, which isn't known here.", False),
        (-77, Kind.CHECK, "The unit answered with the code -77, which isn't known here.", False),
    ],
)
def test_what_a_unit_returns_is_told_in_words(code: int, kind: Kind, words: str, done: bool) -> None:
    assert (orders.return_in_words(code, kind), orders.is_done(code, kind)) == (words, done)


def test_every_code_of_the_protocol_has_its_own_words() -> None:
    codes = [0, -1, -2, -3, -9, -10, -11, -12, *range(-1007, -1000)]
    words = {orders.return_in_words(code, Kind.UPDATE_FINGER) for code in codes}
    enrolment = {orders.return_in_words(code, Kind.ENROL_FINGER) for code in (2, 4, 5, 6, 7)}
    assert (len(words), len(enrolment)) == (len(codes), 5)
    assert not any("isn't known here" in sentence for sentence in words | enrolment)


def test_what_would_happen_twice_is_not_handed_out_again() -> None:
    once = {kind for kind in Kind if not orders.is_repeatable(kind)}
    assert once == {Kind.ENROL_FINGER, Kind.CLEAR_PHOTOS, Kind.REBOOT, Kind.UNLOCK}
    assert {Kind.REBOOT} == orders.IS_LAST


def test_commands_for_programs_files_and_firmware_exist_nowhere() -> None:
    forbidden = re.compile(r"\b(SHELL|GetFile|PutFile|UPGRADE)\b")
    package = Path(orders.__file__).parent
    sources = {path.relative_to(package): path.read_text() for path in package.rglob("*.py")}
    assert Path("orders.py") in sources
    assert [path for path, text in sources.items() if forbidden.search(text)] == []
