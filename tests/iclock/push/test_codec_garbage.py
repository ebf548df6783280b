"""No bytes whatever make a reader raise, lose a neighbour, or take long."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import pytest

from iclock.push.codec import (
    RefusalError,
    read_answers,
    read_attlog,
    read_info,
    read_kept_line,
    read_lines,
    read_options,
    read_photo,
    read_querydata,
    read_rtlog,
    read_rtstate,
)

TABLES: Final = ("OPERLOG", "BIODATA", "FVEIN", "IDCARD", "ERRORLOG", "nonsense", "")
PIECES: Final = (
    *(
        b"USER ",
        b"FP ",
        b"BIODATA ",
        b"OPLOG ",
        b"transaction ",
        b"user\t",
        b"PIN=",
        b"pin=7",
        b"Name=",
        b"Passwd=S3CRET",
    ),
    *(b"TMP=", b"Tmp=QUJD", b"FID=1", b"Type=9", b"time=", b"event=0", b"2026-03-02 08:00:00", b"2026-02-31 08:00:00"),
    *(b"\t", b"\t", b"=", b"&", b",", b" ", b"~", b"ID=", b"Return=", b"CMD=", b"\xff\xfe", "张".encode(), b"\xd5\xc5"),
    *(
        b"99999999999999999999",
        b"-1",
        b"0",
        b"7",
        "٣".encode(),
        b"\x1b",
        b"[15CD5B07]",
        b"QUJD=",
        b"time_second=",
        b".",
    ),
)
READERS: Final[list[Callable[[bytes], Any]]] = [
    *(read_attlog, read_rtlog, read_rtstate, read_kept_line, read_options, read_answers),
    lambda body: read_info(body.decode("utf-8", "surrogateescape")),
    lambda body: read_lines(body, "OPERLOG"),
    lambda body: read_querydata(body, "user"),
]


def line_of(chance: random.Random) -> bytes:
    if chance.random() < 0.2:
        return chance.randbytes(chance.randrange(60)).translate(None, b"\r\n\0")
    return b"".join(chance.choices(PIECES, k=chance.randrange(1, 14)))


@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_make_a_reader_raise_or_lose_a_neighbour(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        line = line_of(chance)
        encoding = chance.choice(["utf-8", "gb18030", "cp1252", "shift_jis", "utf-16", "hex", "no\0codec"])
        said = bool(line.strip())
        between = b"\n%s\n" % line
        attlog = read_attlog(b"8\t2026-03-02 08:00:00" + between + b"9\t2026-03-02 08:00:00", encoding)
        assert (attlog.punches[0].emp_code, attlog.punches[-1].emp_code, attlog.count) == ("8", "9", 2 + said)
        event = b"time=2026-03-02 08:00:00\tpin=8\tevent=0"
        rtlog = read_rtlog(event + between + event, encoding)
        assert (rtlog.count, len(rtlog.punches) >= 2) == (2 + said, True)
        for table in TABLES:
            uploaded = read_lines(b"USER PIN=8" + between + b"USER PIN=9", table, encoding)
            assert (uploaded.count, [line.pin for line in (uploaded.lines[0], uploaded.lines[-1])]) == (
                2 + said,
                ["8", "9"],
            )
            assert not any(b"S3CRET" in reject.raw or "S3CRET" in reject.reason for reject in uploaded.rejects)
        queried = read_querydata(b"user pin=8" + between + b"user pin=9", "transaction", encoding)
        assert queried.count == 2 + said
        answers = read_answers(b"ID=8&Return=0" + between + b"ID=9&Return=0", encoding).answers
        assert (answers[0].command_id, answers[-1].command_id) == (8, 9)
        for read in READERS:
            read(line)
        with suppress(RefusalError):
            read_photo(b"PIN=20150731103012-1.jpg\n" + line + b"\0x")


@pytest.mark.parametrize("fill", [b"x", b" ", b"\t", b"passw", b"a=\t", b",A", b"\xff"])
def test_one_line_of_20_mb_costs_little_time(fill: bytes) -> None:
    body = fill * (20_000_000 // len(fill))
    for read in READERS:
        began = time.process_time()
        read(body)
        assert time.process_time() - began < 1


def test_one_line_of_20_mb_costs_little_memory() -> None:
    body = b"x" * 20_000_000
    tracemalloc.start()
    try:
        read_attlog(body)
        read_lines(body, "OPERLOG")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
