"""What terminals write on USB sticks, byte by byte."""

from __future__ import annotations

import io
import random
import re
import tracemalloc
from datetime import datetime
from pathlib import Path

import pytest

from iclock.domain.attlog import ENCODINGS, MAX_LINE, NotAnExportError, read_attlog, read_kept_line
from iclock.punch import Decoded, Punch

EIGHT = datetime(2026, 3, 2, 8, 0, 0)
GOOD = b"        7\t2026-03-02 08:00:00\t1\t0\t1\t0\r\n"
HEADER = b"No\tMchn\tEnNo\tName\tMode\tIOMd\tDateTime\r\n"


def decoded(content: bytes, encoding: str = "") -> list[tuple[int, Decoded]]:
    return [(line.number, line.decoded) for line in read_attlog(io.BytesIO(content), encoding=encoding)]


def punches(content: bytes, encoding: str = "") -> list[Punch | None]:
    return [said.punch if not said.fault else None for _, said in decoded(content, encoding)]


def faults(content: bytes) -> list[tuple[int, str]]:
    return [(number, said.fault) for number, said in decoded(content) if said.fault]


@pytest.mark.parametrize(
    ("line", "punch"),
    [
        (b"7\t2026-03-02 08:00:00", Punch("7", EIGHT, 255, 200)),
        (b"7\t2026-03-02 08:00:00\t1", Punch("7", EIGHT, 255, 200)),
        (b"7\t2026-03-02 08:00:00\t1\t4", Punch("7", EIGHT, 4, 200)),
        (b"7\t2026-03-02 08:00:00\t1\t1\t15", Punch("7", EIGHT, 1, 15)),
        (b"7\t2026-03-02 08:00:00\t1\t1\t15\t0", Punch("7", EIGHT, 1, 15)),
        (b"7\t2026-03-02 08:00:00\t1\t1\t15\t42", Punch("7", EIGHT, 1, 15, "42")),
        (b"7\t2026-03-02 08:00:00\t1\t1\t15\t42\t0", Punch("7", EIGHT, 1, 15, "42")),
        (b"7\t2026-03-02 08:00:00\t1\t255\t15\t42\t0\t0", Punch("7", EIGHT, 255, 15, "42")),
        (b"7\t2026-03-02 08:00:00\t1\t1\t15\t\t\t\t\t", Punch("7", EIGHT, 1, 15)),
        (b"        7\t2026-03-02 08:00:00\t1\t0\t1\t0", Punch("7", EIGHT, 0, 1)),
        (b"    00042\t2026-03-02 08:00:00\t1\t0\t1\t0", Punch("00042", EIGHT, 0, 1)),
        (b"000001001\t2026-03-02 08:00:00\t1\t0\t1\t0", Punch("1001", EIGHT, 0, 1)),
        (b"A-7\t2026-03-02 08:00:00 \t 1\t 0\t 1\t 0 ", Punch("A-7", EIGHT, 0, 1)),
        (b"7\t2026/3/2  8:00\t1\t0\t1", Punch("7", EIGHT, 0, 1)),
        ("Müller\t2026-03-02 08:00:00\t1\t0\t1".encode(), Punch("Müller", EIGHT, 0, 1)),
    ],
)
def test_a_line_of_any_generation_is_a_punch(line: bytes, punch: Punch) -> None:
    assert decoded(line) == [(1, Decoded(punch))]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"7", "fields with TABs between them: 1; an export has 2 to 8"),
        (b"7\t2026-03-02 08:00:00\t1\t0\t1\t0\t0\t0\t0", "fields with TABs between them: 9; an export has 2 to 8"),
        (b"7\t2026-02-31 08:00:00\t1\t0\t1\t0", "no calendar has the time 2026-02-31 08:00:00"),
        (b"7\t2026-03-02 24:00:00\t1\t0\t1\t0", "no calendar has the time 2026-03-02 24:00:00"),
        (b"7\t0000-03-02 08:00:00\t1\t0\t1\t0", "no calendar has the time 0000-03-02 08:00:00"),
        (
            b"7\t02.03.2026 08:00\t1\t0",
            "'02.03.2026 08:00' stands where a time such as 2026-03-02 08:00:00 is expected",
        ),
        (b"7\t\t1\t0\t1", "'' stands where a time such as 2026-03-02 08:00:00 is expected"),
        (b"7\xff\t2026-03-02 08:00:00\t1\t0\t1\t0", "the user id is no text in the file's encoding"),
        (b"\t2026-03-02 08:00:00\t1\t0\t1\t0", "the user id is empty or zero"),
        (b"   0\t2026-03-02 08:00:00\t1\t0\t1\t0", "the user id is empty or zero"),
        (b"7\t2026-03-02 08:00:00\t1\tin\t1\t0", "the in/out state 'in' is no number"),
        (b"7\t2026-03-02 08:00:00\t1\t0\t\xc2\xb2\t0", "the verification '\\xb2' is no number"),
        (b"7" * (MAX_LINE + 1), "the line is longer than 1000 characters; its beginning is kept"),
        (b"\0" * (MAX_LINE + 9), "the line is longer than 1000 characters; its beginning is kept"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_its_neighbours_stay(line: bytes, fault: str) -> None:
    content = GOOD + line + b"\r\n" + GOOD

    assert faults(content) == [(2, fault)]
    assert punches(content) == [Punch("7", EIGHT, 0, 1), None, Punch("7", EIGHT, 0, 1)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\n\r\n  \r\n", b"\n\0\0\0", b"\n\x1a"])
def test_every_line_end_ends_a_line_and_blank_lines_are_none(end: bytes) -> None:
    assert punches(end.join([GOOD.strip()] * 3) + end) == [Punch("7", EIGHT, 0, 1)] * 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_marks_and_wide_characters_are_recognised(encoding: str) -> None:
    assert punches(("1é\t2026-03-02 08:00:00\t1\t0\t1\t0\r\n" * 2).encode(encoding)) == [Punch("1é", EIGHT, 0, 1)] * 2


@pytest.mark.parametrize(("encoding", "code"), [("cp1252", "é"), ("cp1251", "ж"), ("gb18030", "王"), ("cp932", "あ")])
def test_user_ids_in_a_code_page_are_read_when_it_is_named(encoding: str, code: str) -> None:
    line = f"{code}\t2026-03-02 08:00:00\t1\t0\t1\t0\r\n"

    assert punches(line.encode(encoding), encoding) == [Punch(code, EIGHT, 0, 1)]


def test_a_user_id_in_an_unknown_code_page_keeps_its_bytes() -> None:
    (line,) = read_attlog(io.BytesIO(b"\xe9\t2026-03-02 08:00:00\t1\t0\t1\t0\r\n"))

    assert line.raw == b"\xe9\t2026-03-02 08:00:00\t1\t0\t1\t0"
    assert line.decoded.fault == "the user id is no text in the file's encoding"


@pytest.mark.parametrize(
    ("header", "line", "punch"),
    [
        (HEADER, b"000001\t1\t000000100\tAda\t1\t0\t2026/03/02  08:00:00", Punch("100", EIGHT, 0, 1)),
        (HEADER, b"000001\t1\t100\t\t15\t1\t2026/03/02 08:00:00", Punch("100", EIGHT, 1, 15)),
        (HEADER, b"1\t1\t000000100\tAda\tB.\t1\t0\t2026/03/02 08:00:00\t", Punch("100", EIGHT, 0, 1)),
        (HEADER, b"1\t1\tA7\t\xe9\t\t\t2026/03/02 08:00:00", Punch("A7", EIGHT, 255, 200)),
        (
            b"No\tTMNo\tEnNo\tName\t\tINOUT\tMode\tDateTime\n",
            b"1\t1\t000000002\t\t\t1\t4\t2026/03/02 08:00:00",
            Punch("2", EIGHT, 1, 4),
        ),
        (
            b"No\tMchn\tEnNo\t\tName\t\tMode\tIOMd\tDateTime\t\r\n",
            b"000001\t1\t000000100\t          \t1\t0\t2026/03/02  08:00:00",
            Punch("100", EIGHT, 0, 1),
        ),
        (b"EnNo\tDateTime\n", b"7\t2026/03/02 08:00:00", Punch("7", EIGHT, 255, 200)),
    ],
)
def test_a_header_names_the_columns(header: bytes, line: bytes, punch: Punch) -> None:
    assert decoded(header + line) == [(2, Decoded(punch))]


def test_nobody_below_a_header_is_nobody() -> None:
    assert faults(HEADER + b"1\t1\t000000000\tAda\t1\t0\t2026/03/02 08:00:00") == [(2, "the user id is empty or zero")]


def test_a_header_in_wide_characters_is_one_too() -> None:
    content = (HEADER + b"1\t1\t00007\tAda\t1\t0\t2026/03/02 08:00:00\r\n").decode().encode("utf-16")

    assert punches(content) == [Punch("7", EIGHT, 0, 1)]


@pytest.mark.parametrize(
    "content",
    [
        b"7\t2026-02-31 08:00:00\t1\t0\r\n",
        b"\xe9\xff\t2026-02-31 08:00:00\t1\t0\r\n",
        HEADER + b"1\t1\t7\tAda\tB.\t1\t0\t2026/02/31 08:00:00\r\n",
        b"7\t2026-02-31 08:00:00" + b" " * MAX_LINE,
    ],
)
def test_what_is_kept_of_a_bad_line_says_the_same_when_it_is_read_again(content: bytes) -> None:
    (line,) = read_attlog(io.BytesIO(content))

    assert read_kept_line(line.raw) == line.decoded


def test_what_is_kept_of_a_line_below_a_header_is_a_punch_once_it_can_be_read() -> None:
    (line,) = read_attlog(io.BytesIO(HEADER + b"1\t1\t7\tAda\tB.\t1\t0\t2026/02/31 08:00:00\r\n"))

    assert read_kept_line(line.raw.replace(b"02/31", b"03/02")) == Decoded(Punch("7", EIGHT, 0, 1))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "There is nothing in the file."),
        (b"\r\n  \r\n", "There is nothing in the file."),
        (bytes(72) * 3, "There is nothing in the file."),
        (
            bytes.fromhex("0100 0e 3132333400000000 41646100000000000000000000000000000000000000") * 40,
            "This is no export",
        ),
        (b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(100_000), "This is no export"),
        (b"emp_code,first_name\r\n7,Ada\r\n", "This is no export"),
        (b"7,2026-03-02 08:00:00,1,0,1,0\r\n", "This is no export"),
    ],
)
def test_another_file_is_refused_in_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(NotAnExportError, match=sentence):
        next(read_attlog(io.BytesIO(content)))


@pytest.mark.parametrize("seed", range(20))
def test_garbage_never_raises_and_never_costs_a_good_line(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = [
        *(bytes([n]) for n in range(256) if n not in b"\r\n"),
        b"\t",
        b"7\t2026-02-31 08:00:00",
        b"EnNo",
        b"\t0",
    ]
    good = [f"{n}\t2026-03-02 08:{n // 60:02}:{n % 60:02}\t1\t0\t1\t0".encode() for n in range(1, 200)]
    garbage = [b"".join(chance.choices(alphabet, k=chance.randrange(3000))) for _ in range(200)]
    lines = [*good, *garbage]
    chance.shuffle(lines)
    encoding = chance.choice(["", *(name for name in ENCODINGS if name != "utf-16")])

    read = [*read_attlog(io.BytesIO(b"\n".join(lines)), encoding=encoding)]

    found = {line.decoded.punch.emp_code for line in read if line.decoded.punch and not line.decoded.fault}
    assert found >= {str(n) for n in range(1, 200)}
    assert len({line.number for line in read}) == len(read) <= len(lines)
    assert all(len(line.decoded.fault) <= 200 for line in read)
    assert [read_kept_line(line.raw).fault for line in read] == [line.decoded.fault for line in read]


def test_a_huge_line_takes_no_memory() -> None:
    content = io.BytesIO(GOOD + b"x" * 20_000_000 + b"\n" + GOOD)
    tracemalloc.start()
    try:
        numbers = [line.number for line in read_attlog(content)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert numbers == [1, 2, 3]
    assert peak < 1_000_000


def test_the_lines_that_the_documents_show_are_read() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    (block,) = re.findall(r"^```text\n(.*?)^```", documented, re.MULTILINE | re.DOTALL)

    assert punches(block.encode()) == [
        Punch("1001", datetime(2026, 3, 2, 7, 58, 12), 0, 1),
        Punch("1002", datetime(2026, 3, 2, 8, 1, 40), 0, 15),
        Punch("1001", datetime(2026, 3, 2, 17, 3, 5), 1, 1),
    ]
