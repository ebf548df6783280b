"""The table of fingers: framed by its own lengths, bounded, and believed row by row."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.driver.errors import MiscountError, ProtocolError, TerminalError, UnfitError
from devices.driver.templates import Template, Templates, decode_templates, encode_upload
from iclock.punch import Reject

ROW = bytes.fromhex("09 00 07 00 06 03 aa bb cc")
FINGERS = st.dictionaries(
    st.tuples(st.integers(1, 65_535), st.integers(0, 9)),
    st.tuples(st.sampled_from([0, 1, 3]), st.binary(min_size=1, max_size=60)),
    max_size=20,
)


def table(*rows: bytes) -> bytes:
    data = b"".join(rows)
    return len(data).to_bytes(4, "little") + data


def test_a_row_says_its_length_its_person_its_finger_and_whether_it_is_valid() -> None:
    assert decode_templates(table(ROW), between=(1, 1)) == Templates([Template(7, 6, 3, b"\xaa\xbb\xcc")], [])


@given(FINGERS)
def test_any_fingers_come_out_as_they_went_in(fingers: dict[tuple[int, int], tuple[int, bytes]]) -> None:
    rows = [struct.pack("<HHBB", len(d) + 6, uid, f, valid) + d for (uid, f), (valid, d) in fingers.items()]

    read = decode_templates(table(*rows), between=(len(rows), len(rows)))

    assert read.templates == [Template(uid, finger, valid, data) for (uid, finger), (valid, data) in fingers.items()]
    assert read.rejects == []


@given(st.binary(max_size=80))
def test_of_garbage_no_byte_is_lost_or_invented(garbage: bytes) -> None:
    try:
        read = decode_templates(table(garbage), between=(0, 100))
    except ProtocolError:
        return
    assert sum(len(held.data) + 6 for held in read.templates) + sum(len(bad.raw) for bad in read.rejects) == len(
        garbage
    )
    assert all(held.finger <= 9 and held.valid in {0, 1, 3} and held.data for held in read.templates)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("09 00 07 00 0a 01 aa bb cc", "finger 10 of uid 7 is on no hand"),
        ("09 00 07 00 05 02 aa bb cc", "finger 5 of uid 7 is marked 2, which means nothing"),
        ("09 00 00 00 06 01 aa bb cc", "finger 6 of uid 0 belongs to nobody"),
        ("06 00 07 00 05 01", "finger 5 of uid 7 is empty"),
        ("08 00 07 00 06 01 dd ee", "finger 6 of uid 7 comes twice"),
    ],
)
def test_a_row_that_can_not_be_a_finger_is_kept_apart_with_its_bytes(row: str, reason: str) -> None:
    bad = bytes.fromhex(row)
    other = bytes.fromhex("07 00 08 00 01 01 ff")

    read = decode_templates(table(ROW, bad, other), between=(3, 3))

    assert read.templates == [Template(7, 6, 3, b"\xaa\xbb\xcc"), Template(8, 1, 1, b"\xff")]
    assert read.rejects == [Reject(bad, reason)]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", ProtocolError, "0 bytes, which is not what it announces"),
        (table(ROW)[:-1], ProtocolError, "not what it announces"),
        (table(ROW) + b"\0", ProtocolError, "not what it announces"),
        (table(ROW, b"\x05\x00\x07\x00\x06"), ProtocolError, "a finger of 5 bytes can't stand at byte 13"),
        (table(ROW, b"\x00\x00"), ProtocolError, "a finger of 0 bytes"),
        (table(ROW, b"\xff\xff\x07\x00\x06\x01"), ProtocolError, "a finger of 65535 bytes can't stand"),
        (table(ROW), MiscountError, "counts 2 to 3 fingers but delivered 1"),
    ],
)
def test_a_table_that_contradicts_itself_or_the_counter_is_refused(
    data: bytes, error: type[TerminalError], words: str
) -> None:
    with pytest.raises(error, match=words):
        decode_templates(data, between=(2, 3))


@pytest.mark.parametrize(
    ("fingers", "words"),
    [
        ({10: b"x"}, "there is no finger 10"),
        ({-1: b"x"}, "no finger -1"),
        ({3: b""}, "finger 3 has 0"),
        ({3: bytes(20_000)}, "has 20000"),
    ],
)
def test_what_is_no_finger_is_not_uploaded(fingers: dict[int, bytes], words: str) -> None:
    with pytest.raises(UnfitError, match=words):
        encode_upload([(bytes(72), fingers)])


def test_a_template_is_not_printed() -> None:
    assert "aa" not in repr(Template(1, 2, 1, b"aa"))
