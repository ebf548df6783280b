"""People, templates, photos and operations as units of every generation send them, byte by byte."""

from __future__ import annotations

import base64
from datetime import datetime

import pytest

from iclock.lines import Line, OperationLine, PictureLine, TemplateLine, Uploaded, UserLine
from iclock.punch import Reject
from iclock.push.codec import read_lines, read_querydata

DATA = b"SSU1\0\xff-template"
TMP = base64.b64encode(DATA)
NO_TIME = "no time such as 2026-03-02 08:00:00 stands where one is expected"
NO_BASE64 = "its template or photo is no base64"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"USER PIN=7", UserLine("7")),
        (
            b"USER PIN=7\tName=Ana M\xc3\xbcller\tPri=14\tPasswd=4711\tCard=123456789\tGrp=1\tTZ=0001\tVerify=-1",
            UserLine("7", "Ana Müller", 14, 123456789, "1", "0001", "-1"),
        ),
        (b"USER PIN=7\tName=\tPri=0\tPasswd=\tCard=[15CD5B07]\tGrp=1\tTZ=", UserLine("7", card=123456789, group="1")),
        (b"USER PIN=7\tName=A=B\tCard=[0000000000]", UserLine("7", "A=B")),
        (b"user pin=A7\tname=Ana\x07", UserLine("A7", "Ana")),
        (b"FP PIN=7\tFID=5\tSize=%d\tValid=1\tTMP=%s" % (len(TMP), TMP), TemplateLine("7", 1, 5, data=DATA)),
        (
            b"FP PIN=7\tFID=5\tSize=%d\tValid=3\tTMP=%s" % (len(DATA), TMP),
            TemplateLine("7", 1, 5, duress=True, data=DATA),
        ),
        (b"FP PIN=7\tFID=21\tValid=1\tTMP=%s" % TMP, TemplateLine("7", 1, 5, duress=True, data=DATA)),
        (b"FP PIN=7\tFID=0\tValid=0\tTMP=%s" % TMP, TemplateLine("7", 1, 0, valid=False, data=DATA)),
        (b"FACE PIN=7\tFID=11\tSIZE=20\tVALID=1\tTMP=%s" % TMP, TemplateLine("7", 2, 0, 11, data=DATA)),
        (b"FVEIN PIN=7\tFID=6\tIndex=2\tSize=20\tValid=1\tTMP=%s" % TMP, TemplateLine("7", 7, 6, 2, data=DATA)),
        (
            b"BIODATA Pin=7\tNo=3\tIndex=1\tValid=1\tDuress=1\tType=9\tMajorVer=58\tMinorVer=12\tFormat=0\tTmp=%s"
            % TMP,
            TemplateLine("7", 9, 3, 1, duress=True, major_ver="58", minor_ver="12", data=DATA),
        ),
        (b"USERPIC PIN=7\tFileName=../7.jpg\tSize=20\tContent=%s" % TMP, PictureLine("7", "user", None, DATA)),
        (b"BIOPHOTO PIN=7\tFileName=7.jpg\tType=9\tSize=20\tContent=%s" % TMP, PictureLine("7", "bio", None, DATA)),
        (
            b"OPLOG 4\t14\t2026-03-02 08:00:00\t1\t2\t3\t0",
            OperationLine(4, "14", datetime(2026, 3, 2, 8), ("1", "2", "3", "0"), "menu"),
        ),
        (b"OPLOG 0\t0\t2026-03-02 08:00:00", OperationLine(0, "", datetime(2026, 3, 2, 8))),
        (b"OPLOG 0", OperationLine(0)),
    ],
)
def test_a_line_of_the_operation_log_is_its_value(line: bytes, value: Line) -> None:
    assert read_lines(line, "OPERLOG") == Uploaded([value], [])


def test_the_table_stands_for_a_word_that_is_missing() -> None:
    line = b"Pin=7\tNo=0\tIndex=0\tValid=1\tDuress=0\tType=2\tMajorVer=7\tMinorVer=0\tFormat=0\tTmp=%s\r\n" % TMP
    assert (
        read_lines(line + b"BIODATA " + line, "biodata").lines
        == [TemplateLine("7", 2, 0, major_ver="7", minor_ver="0", data=DATA)] * 2
    )


def test_identity_cards_and_error_logs_are_acknowledged_and_not_kept() -> None:
    card = read_lines(b"IDCARD PIN=7\tIDNum=110101\tName=Ana\tPhoto=AAAA\n", "IDCARD")
    error = read_lines(b"ERRORLOG ErrCode=D01E0001\tErrMsg=x\tDataOrigin=cmd\tCmdId=3\tAdditional=AAAA", "ERRORLOG")
    assert (card, error) == (Uploaded([], [], ignored=1), Uploaded([], [], ignored=1))
    assert card.count == 1


@pytest.mark.parametrize(
    ("line", "reject"),
    [
        (
            b"USER PIN=0\tName=Ana\tPasswd=4711\tGrp=1",
            Reject(b"USER PIN=0\tName=Ana\tPasswd=<4 bytes>\tGrp=1", "the user id is empty or zero"),
        ),
        (
            b"USER PIN=7 Name=Ana Passwd=4711",
            Reject(b"USER PIN=<22 bytes>", "its fields aren't separated by TABs"),
        ),
        (
            b"USER PIN=7\tName=Ana Passwd=4711",
            Reject(b"USER PIN=7\tName=<15 bytes>", "its fields aren't separated by TABs"),
        ),
        (
            b"USER PIN=7\tPri=4711 Passwd=4711",
            Reject(b"USER PIN=7\tPri=<16 bytes>", "its privilege is no number"),
        ),
        (b"USER PIN=7\tCard=[zz]", Reject(b"USER PIN=7\tCard=[zz]", "its card is no number")),
        (
            b"USER PIN=7\tGrp=a=b\tPasswd=1",
            Reject(
                b"USER PIN=7\tGrp=<3 bytes>\tPasswd=<1 bytes>", "its group, time zones or verification are no codes"
            ),
        ),
        (b"FP PIN=7\tFID=5\tTMP=!!!!", Reject(b"FP PIN=7\tFID=5\tTMP=<4 bytes>", NO_BASE64)),
        (b"FP PIN=7\tFID=5\tTMP=", Reject(b"FP PIN=7\tFID=5\tTMP=<0 bytes>", "its template or photo is empty")),
        (
            b"FP PIN=7\tFID=5\tSize=1456\tTMP=" + TMP,
            Reject(
                b"FP PIN=7\tFID=5\tSize=1456\tTMP=<%d bytes>" % len(TMP),
                "its template or photo is shorter than it says",
            ),
        ),
        (
            b"FP PIN=7\tFID=10\tTMP=" + TMP,
            Reject(b"FP PIN=7\tFID=10\tTMP=<%d bytes>" % len(TMP), "there are only the fingers 0 to 9"),
        ),
        (
            b"BIODATA Pin=7\tType=999\tTmp=" + TMP,
            Reject(b"BIODATA Pin=7\tType=999\tTmp=<%d bytes>" % len(TMP), "its type is none of 0 to 255"),
        ),
        (
            b"BIODATA Pin=7\tTmp=" + TMP,
            Reject(b"BIODATA Pin=7\tTmp=<%d bytes>" % len(TMP), "its kind of template is missing"),
        ),
        (
            b"USERPIC PIN=7\tContent=%s\tx" % TMP[:-1],
            Reject(b"USERPIC PIN=7\tContent=<%d bytes>\t<1 bytes>" % (len(TMP) - 1), NO_BASE64),
        ),
        (TMP, Reject(b"<%d bytes>" % len(TMP), "lines of the kind 'operlog' aren't known")),
        (
            b"SECRET7 PIN=7\tPasswd=4711",
            Reject(b"<13 bytes>\tPasswd=<4 bytes>", "lines of the kind 'secret7' aren't known"),
        ),
        (
            b"OPLOG 4\t14\tnever",
            Reject(b"OPLOG 4\t14\tnever", NO_TIME),
        ),
        (b"OPLOG x", Reject(b"OPLOG x", "its operation is no number")),
        (b"OPLOG ", Reject(b"OPLOG ", "it names no operation")),
    ],
)
def test_a_poison_line_is_kept_without_its_secrets_and_its_neighbours_are_read(line: bytes, reject: Reject) -> None:
    found = read_lines(b"USER PIN=1\n" + line + b"\nUSER PIN=2\n", "OPERLOG")
    assert found == Uploaded([UserLine("1"), UserLine("2")], [reject])


def test_a_cut_off_password_or_template_is_not_kept() -> None:
    body = b"USER PIN=7\tName=Ana\0Passwd=4711\tx\n" + b"FP PIN=7\tFID=1\tTMP=" + TMP[:5] + b"\0" + TMP[5:]
    kept = b" ".join(reject.raw for reject in read_lines(body, "OPERLOG").rejects)
    assert kept == b"Passwd=<4 bytes>\t<1 bytes> FP PIN=7\tFID=1\tTMP=<5 bytes> <%d bytes>" % (len(TMP) - 5)


def test_names_are_in_the_units_code_page() -> None:
    found = read_lines("USER PIN=7\tName=张三\n".encode("gb18030"), "OPERLOG", "gb18030")
    assert found.lines == [UserLine("7", "张三")]


def test_values_do_not_show_their_templates_and_photos() -> None:
    shown = repr([TemplateLine("7", 1, 0, data=b"secret"), PictureLine("7", "user", None, b"secret")])
    assert "secret" not in shown


def test_of_a_photo_that_is_too_long_next_to_nothing_is_kept() -> None:
    found = read_lines(b"USERPIC PIN=7\tContent=" + b"A" * 20_000_000 + b"\nUSER PIN=2\n", "OPERLOG")
    assert found.lines == [UserLine("2")]
    assert [len(reject.raw) < 100 for reject in found.rejects] == [True]


def test_tables_that_were_asked_for_are_people_and_templates() -> None:
    users = b"user uid=1\tcardno=99\tpin=7\tpassword=4711\tgroup=1\tstarttime=0\tendtime=0\tname=Ana\tprivilege=14\r\n"
    finger = b"templatev10 size=20\tuid=1\tpin=7\tfingerid=6\tvalid=1\ttemplate=%s\tresverd=\tendtag=\r\n" % TMP
    biodata = b"biodata\tpin=7\tno=0\tindex=0\tvalid=1\tduress=0\ttype=9\tmajorver=58\tminorver=12\ttmp=%s\r\n" % TMP
    assert read_querydata(users + finger + biodata, "user").lines == [
        UserLine("7", "Ana", 14, 99, "1"),
        TemplateLine("7", 1, 6, major_ver="10", minor_ver="0", data=DATA),
        TemplateLine("7", 9, 0, major_ver="58", minor_ver="12", data=DATA),
    ]


def test_a_poison_row_of_a_table_is_kept_without_its_secrets() -> None:
    found = read_querydata(b"user uid=1\tpin=\tpassword=4711\nuser uid=2\tpin=2\tpassword=\n", "user")
    assert found == Uploaded(
        [UserLine("2")], [Reject(b"user uid=1\tpin=\tpassword=<4 bytes>", "the user id is empty or zero")]
    )
