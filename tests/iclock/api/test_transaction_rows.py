"""What one punch looks like: every key, its place, its type."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import override_settings

from iclock.api.rows import KEYS
from iclock.api.serializers import TransactionSerializer
from iclock.models import Terminal
from personnel.models import Employee
from zkbio.accounts.models import User

from .conftest import Punches, Reader

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/transactions/"

# The row that section 9.1 of the vendor's manual prints.
MANUAL = {
    "id": 1,
    "emp_code": "100001",
    "punch_time": "2019-03-04 09:50:00",
    "punch_state": "0",
    "verify_type": 1,
    "work_code": None,
    "terminal_sn": "",
    "terminal_alias": None,
    "area_alias": None,
    "longitude": None,
    "latitude": None,
    "gps_location": "",
    "mobile": None,
    "source": 0,
    "purpose": 1,
    "crc": None,
    "is_attendance": 1,
    "reserved": None,
    "upload_time": "2019-03-04 09:50:00",
    "sync_status": 1,
    "sync_time": None,
    "is_mask": 1,
    "temperature": 36.4,
    "emp": None,
    "terminal": None,
}
OF_THE_SIBLINGS = {
    "first_name": None,
    "last_name": None,
    "department": None,
    "position": None,
    "punch_state_display": "Check In",
    "verify_type_display": "Fingerprint",
}


@pytest.fixture
def manual_row(punches: Punches) -> None:
    punches(
        1,
        terminal_sn="",
        terminal_alias=None,
        area_alias=None,
        source=0,
        is_mask=1,
        temperature=36.4,
        punch_time=datetime(2019, 3, 4, 9, 50),
        upload_time=datetime(2019, 3, 4, 9, 50, 0, 999_999, tzinfo=UTC),
    )


def test_the_manuals_row_comes_out_key_by_key(manual_row: None, get: Reader) -> None:
    answer = get(PATH, emp_code="100001", start_time="2019-03-01 00:00:00", end_time="2019-04-1 00:00:00")

    expected = {**MANUAL, **OF_THE_SIBLINGS, "utc_offset": 0}
    assert answer == {"count": 1, "next": None, "previous": None, "msg": "", "code": 0, "data": [expected]}
    assert list(answer) == ["count", "next", "previous", "msg", "code", "data"]
    assert list(answer["data"][0]) == list(expected)


def test_one_punch_is_the_bare_row_of_the_list(manual_row: None, get: Reader) -> None:
    assert list(get(f"{PATH}1/").items()) == list(get(PATH)["data"][0].items())


def test_the_schema_names_the_keys_of_a_row_in_their_order() -> None:
    assert tuple(TransactionSerializer().fields) == KEYS


def test_person_and_terminal_are_joined_by_code_and_serial(punches: Punches, get: Reader, terminal: Terminal) -> None:
    punches(1, emp_code="0042", utc_offset=330, punch_time=datetime(2024, 6, 26, 15, 46, 45))
    person = Employee.objects.create(emp_code="0042", first_name="Ana", department_id=1, position_id=1)

    row = get(PATH)["data"][0]

    wanted = ("emp_code", "punch_time", "emp", "terminal", "first_name", "last_name", "department", "position")
    assert {key: row[key] for key in (*wanted, "terminal_alias", "utc_offset")} == {
        "emp_code": "0042",
        "punch_time": "2024-06-26 15:46:45",
        "emp": person.pk,
        "terminal": terminal.pk,
        "first_name": "Ana",
        "last_name": None,
        "department": "Department",
        "position": "Position",
        "terminal_alias": "Front door",
        "utc_offset": 330,
    }


def test_a_deleted_terminal_leaves_serial_and_alias_as_text(punches: Punches, get: Reader, terminal: Terminal) -> None:
    punches(1)
    terminal.delete()

    row = get(PATH)["data"][0]

    assert (row["terminal"], row["terminal_sn"], row["terminal_alias"]) == (None, "CKJF201260077", "Front door")


@pytest.mark.parametrize(("source", "shown"), [(0, 0), (1, 1), (2, 1), (3, 0)])
def test_source_tells_a_terminal_from_an_import_or_a_hand(
    source: int, shown: int, punches: Punches, get: Reader
) -> None:
    punches(1, source=source, is_attendance=bool(shown))

    row = get(PATH)["data"][0]

    assert (row["source"], row["is_attendance"]) == (shown, shown)


STATES = [
    (0, "Check In"),
    (1, "Check Out"),
    (2, "Break Out"),
    (3, "Break In"),
    (4, "Overtime In"),
    (5, "Overtime Out"),
    (255, "Unknown"),
    (77, "77"),
]


@pytest.mark.parametrize(("state", "words"), STATES)
def test_a_punch_state_is_a_string_with_its_english_words(
    state: int, words: str, punches: Punches, get: Reader
) -> None:
    punches(1, punch_state=state)

    row = get(PATH)["data"][0]

    assert (row["punch_state"], row["punch_state_display"]) == (str(state), words)


KINDS = [
    (0, "Password"),
    (1, "Fingerprint"),
    (3, "Password"),
    (4, "Card"),
    (15, "Face"),
    (25, "Palm"),
    (101, "GPS"),
    (200, "Other"),
    (9, "9"),
]


@pytest.mark.parametrize(("kind", "words"), KINDS)
def test_a_verify_type_is_a_number_with_its_english_words(kind: int, words: str, punches: Punches, get: Reader) -> None:
    punches(1, verify_type=kind)

    row = get(PATH)["data"][0]

    assert (row["verify_type"], row["verify_type_display"]) == (kind, words)


@override_settings(ZKBIO_TIME_ZONE="Asia/Kolkata")
def test_upload_time_is_told_in_the_servers_zone_and_punch_time_is_not(punches: Punches, get: Reader) -> None:
    punches(1, punch_time=datetime(2024, 1, 1, 8, 0), upload_time=datetime(2024, 1, 1, 8, 0, tzinfo=UTC))

    row = get(PATH)["data"][0]

    assert (row["punch_time"], row["upload_time"]) == ("2024-01-01 08:00:00", "2024-01-01 13:30:00")


def test_names_with_quotes_and_other_scripts_come_out_whole(punches: Punches, get: Reader) -> None:
    name = 'Ñu "\\" 李</script>'
    punches(1, terminal_alias=name)

    assert get(PATH)["data"][0]["terminal_alias"] == name


def test_tombstones_are_invisible_in_list_count_and_detail(punches: Punches, get: Reader, hr: User) -> None:
    punches(1, 3)
    punches(2, deleted_at=datetime(2024, 1, 1, tzinfo=UTC))

    answer = get(PATH)

    assert (answer["count"], [row["id"] for row in answer["data"]]) == (2, [1, 3])
    assert get(f"{PATH}2/", status=404) == {"detail": "Not found."}


@pytest.mark.parametrize("missing", ["77", "abc", "-1", "99999999999999999999", "%00"])
def test_an_unknown_id_is_not_found(missing: str, get: Reader) -> None:
    assert get(f"{PATH}{missing}/", status=404) == {"detail": "Not found."}
