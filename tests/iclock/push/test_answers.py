"""What units are answered, byte by byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from iclock.push import answers
from iclock.push.answers import Options

NINE_BY_GREENWICH = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
BLOCK = (
    b"GET OPTION FROM: ABC1\nATTLOGStamp=%s\nOPERLOGStamp=%s\nATTPHOTOStamp=None\nBIODATAStamp=None\n%s"
    b"ErrorDelay=30\nDelay=10\nTransTimes=00:00;14:05\nTransInterval=1\n"
    b"TransFlag=TransData AttLog\tOpLog\tAttPhoto\t"
    b"EnrollUser\tChgUser\tEnrollFP\tChgFP\tFACE\tUserPic\tFVEIN\tBioPhoto\n"
    b"TimeZone=%s\nRealtime=1\nEncrypt=None\nServerVer=2.4.1\nPushProtVer=2.4.1\n"
)


def test_the_option_block_continues_where_nothing_is_asked_for_again() -> None:
    options = Options(serial="ABC1", offset_minutes=60, push_version="2.4.1")
    assert answers.option_block(options) == BLOCK % (b"None", b"None", b"", b"1")


def test_the_option_block_asks_for_a_table_again() -> None:
    stamps = {"ATTLOG": "0", "OPERLOG": "9999"}
    options = Options(serial="ABC1", offset_minutes=330, stamps=stamps, push_version="2.2.14")
    assert answers.option_block(options) == BLOCK % (b"0", b"9999", b"", b"330")


@pytest.mark.parametrize("version", ["", "2.1.9", "1.0", "unknown"])
def test_very_old_firmware_gets_the_old_names_of_the_stamps_beside(version: str) -> None:
    options = Options(serial="ABC1", offset_minutes=0, stamps={"ATTLOG": "0"}, push_version=version)
    assert answers.option_block(options) == BLOCK % (b"0", b"None", b"Stamp=0\nOpStamp=9999\nPhotoStamp=9999\n", b"0")


@pytest.mark.parametrize(("version", "old"), [("2.2", False), ("2.2.14", False), ("3.0.1", False), ("10.1", False)])
def test_newer_firmware_does_not(version: str, old: bool) -> None:
    assert answers.is_old(version) is old


@pytest.mark.parametrize("serial", ["A\nRealtime=0", "A\r", "A\0", "A" * 300])
def test_no_value_starts_another_line_of_the_block(serial: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        answers.option_block(Options(serial=serial, offset_minutes=0))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        *((0, "0"), (60, "1"), (-300, "-5"), (720, "12"), (-720, "-12")),
        *((330, "330"), (345, "345"), (-570, "-570"), (780, "780"), (840, "840"), (-30, "-30"), (13, "13")),
        *((12, "0"), (1, "0"), (-12, "0"), (-13, "-13")),
    ],
)
def test_a_zone_is_told_in_hours_or_in_minutes_and_never_so_that_it_could_be_both(offset: int, value: str) -> None:
    assert answers.time_zone_value(offset) == value


def test_every_zone_that_is_told_is_the_offset_that_a_unit_understands() -> None:
    told = {offset: int(answers.time_zone_value(offset)) for offset in range(-840, 841) if abs(offset) > 12}
    understood = {offset: value * 60 if abs(value) <= 12 else value for offset, value in told.items()}
    assert understood == {offset: offset for offset in told}


def test_the_time_carries_its_zone() -> None:
    assert answers.time_answer(NINE_BY_GREENWICH.astimezone(ZoneInfo("Europe/Berlin"))) == (
        b"Time=2026-11-22T10:00:00+01:00"
    )
    assert answers.time_answer(NINE_BY_GREENWICH.astimezone(timezone(timedelta(hours=-9, minutes=-30)))) == (
        b"Time=2026-11-21T23:30:00-09:30"
    )


def test_3x_units_are_told_the_time_by_greenwich_and_the_zone_to_add() -> None:
    there = NINE_BY_GREENWICH.astimezone(ZoneInfo("Europe/Berlin"))
    assert answers.rttime_answer(there) == b"DateTime=864291600,ServerTZ=+0100"


def test_a_moment_without_a_zone_is_refused() -> None:
    for answer in (answers.time_answer, answers.rttime_answer):
        with pytest.raises(ValueError, match="has a time zone"):
            answer(datetime(2026, 11, 22, 10))


def test_3x_units_are_told_how_to_behave() -> None:
    assert answers.push_config(session="0123ABCD", request_delay=5) == (
        b"ServerVersion=3.1.2\nServerName=ZKBio\nPushProtVer=3.1.2\nErrorDelay=30\nRequestDelay=5\nTransInterval=1\n"
        b"TransTables=User Transaction\nRealtime=1\nSessionID=0123ABCD\nTimeoutSec=10\n"
    )


def test_a_registry_code_is_short_and_plain() -> None:
    assert answers.registry_answer("Ab3") == b"RegistryCode=Ab3"
    for code in ("", "a" * 33, "a b", "a\n"):
        with pytest.raises(ValueError, match="registry code"):
            answers.registry_answer(code)


def test_so_many_lines_are_acknowledged() -> None:
    assert (answers.acknowledged(500), answers.OK) == (b"OK: 500", b"OK")
