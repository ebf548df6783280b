"""What units tell of themselves, of commands, and the photos that they take, byte by byte."""

from __future__ import annotations

from datetime import datetime

import pytest

from iclock.lines import Answer, Answers, Info, PictureLine
from iclock.push.codec import RefusalError, read_answers, read_info, read_options, read_photo

JPEG = b"\xff\xd8\xff\0\n\xff\xd9"
HEAD = b"PIN=%s\nSN=ABC1\nsize=%d\nCMD=uploadphoto\0"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b"~DeviceName=F18,FWVersion=Ver 6.60,MAC=00:17:61",
            {"DeviceName": "F18", "FWVersion": "Ver 6.60", "MAC": "00:17:61"},
        ),
        (b"~DeviceName=F18\r\nUserCount=5\n", {"DeviceName": "F18", "UserCount": "5"}),
        (b"FWVersion=Ver 6.60, Apr 29,IPAddress=10.0.0.1", {"FWVersion": "Ver 6.60, Apr 29", "IPAddress": "10.0.0.1"}),
        (b"~OEMVendor=ZK=Co, Ltd.\0", {"OEMVendor": "ZK=Co, Ltd."}),
        (b"Name=M\xfcnchen,Empty=", {"Name": "München", "Empty": ""}),
        (b"COMKey=42,~PushCommKey=42,WebPassword=x,A=1", {"A": "1"}),
        (b",,=x,9=1,no pair,\xff", {}),
    ],
)
def test_options_are_told_by_commas_or_lines(body: bytes, told: dict[str, str]) -> None:
    assert read_options(body, "cp1252") == told


def test_options_are_bounded() -> None:
    told = read_options(b"Long=" + b"x" * 1_000 + b"".join(b",K%d=1" % number for number in range(1_000)))
    assert (len(told), len(told["Long"])) == (200, 300)


@pytest.mark.parametrize(
    ("text", "info"),
    [
        (
            "INFO=Ver 8.0.4,5,3,120,10.0.0.9,10,58,12,4,11111",
            Info("Ver 8.0.4", 5, 3, 120, "10.0.0.9", "10", "58", 12, 4, "11111"),
        ),
        ("Ver 6.60,5,3,120", Info("Ver 6.60", 5, 3, 120)),
        ("Ver 6.60,five,-3,99999999999,,10", Info("Ver 6.60", finger_version="10")),
        ("Ver,4294967296,٣", Info("Ver")),
        ("", Info()),
    ],
)
def test_what_a_unit_counts_is_read_and_what_it_leaves_out_is_none(text: str, info: Info) -> None:
    assert read_info(text) == info


def test_answers_are_batched_and_what_stands_behind_one_belongs_to_it() -> None:
    body = (
        b"ID=1&Return=0&CMD=DATA\r\n"
        b"ID=2&Return=0&CMD=INFO\n~DeviceName=F18\nIPAddress=10.0.0.9\nCommKey=42\n"
        b"ID=3&Return=7&CMD=VERIFY SUM\nAttlogSum=7\n"
        b"id=4&return=-1002&cmd=SET OPTION&AttlogSum=8\0"
    )
    assert read_answers(body) == Answers(
        [
            Answer(1, 0, "DATA"),
            Answer(2, 0, "INFO", {"DeviceName": "F18", "IPAddress": "10.0.0.9"}),
            Answer(3, 7, "VERIFY SUM", {"AttlogSum": "7"}),
            Answer(4, -1002, "SET OPTION", {"AttlogSum": "8"}),
        ]
    )


def test_garbage_among_answers_is_counted_and_its_neighbours_are_read() -> None:
    body = b"Model=early\nID=1&Return=0&CMD=CHECK\nID=x&Return=0\nID=2&CMD=LOG\n\xff\xfe\nID=3&Return=-1&CMD=LOG"
    assert read_answers(body) == Answers([Answer(1, 0, "CHECK"), Answer(3, -1, "LOG")], ignored=4)


def test_what_stands_behind_a_bad_answer_is_not_told_by_the_one_before() -> None:
    assert read_answers(b"ID=1&Return=0&CMD=INFO\nID=x&Return=0\nA=1").answers == [Answer(1, 0, "INFO")]


@pytest.mark.parametrize(
    ("name", "pin", "taken"),
    [
        (b"20150731103012-123.jpg", "123", datetime(2015, 7, 31, 10, 30, 12)),
        (b"20150731103012.jpg", "", datetime(2015, 7, 31, 10, 30, 12)),
        (b"20150731103012-0.JPG", "", datetime(2015, 7, 31, 10, 30, 12)),
        (b"00000000000000-A7.jpg", "A7", None),
    ],
)
def test_a_photos_name_says_who_and_when(name: bytes, pin: str, taken: datetime | None) -> None:
    assert read_photo(HEAD % (name, len(JPEG)) + JPEG) == PictureLine(pin, "capture", taken, JPEG)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (HEAD % (b"20150731103012-1.jpg", 9) + JPEG, "the photo isn't as long as it says"),
        (HEAD % (b"20150731103012-1.jpg", 0), "the photo is empty"),
        (HEAD % (b"../../etc/passwd", len(JPEG)) + JPEG, "its name isn't that of a photo"),
        (HEAD % (b"20150731103012-../1.jpg", len(JPEG)) + JPEG, "its name isn't that of a photo"),
        (b"PIN=20150731103012-1.jpg\nSN=1\n", "no photo follows"),
        (b"", "no photo follows"),
        (b"x" * 2_000 + b"\0" + JPEG, "no photo follows"),
    ],
)
def test_what_is_no_photo_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(RefusalError) as refused:
        read_photo(body)
    assert str(refused.value) == reason
