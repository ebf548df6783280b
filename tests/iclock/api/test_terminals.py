"""Terminals, for reading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from iclock.domain.alarms import end_alarm, raise_alarm
from iclock.models import Alarm, Terminal, TerminalPresence
from personnel.models import Area

from .conftest import Reader

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/terminals/"

# Section 8.1 of the vendor's manual.
MANUAL = {
    "id": 1,
    "sn": "CKJF201260077",
    "ip_address": "10.8.12.241",
    "alias": "Auto add",
    "terminal_name": "SpeedFace-V5L[TD]",
    "fw_ver": "ZAM170-NF-1.8.12-OCM-355-01",
    "push_ver": "Ver 2.0.33S-20220623",
    "state": "4",
    "terminal_tz": 8,
    "area": {"id": 293, "area_code": "10087", "area_name": "ZKTeco"},
    "last_activity": "2024-06-26 15:36:22",
    "user_count": 100,
    "fp_count": 10,
    "face_count": 3,
    "palm_count": 5,
    "transaction_count": 15,
    "push_time": "2024-06-26 15:36:17",
    "transfer_time": "00:00;14:05",
    "transfer_interval": 1,
    "is_attendance": 1,
    "area_name": "ZKTeco",
    "complete_until": None,
    "clock_drift": None,
    "user_capacity": None,
    "fp_capacity": None,
    "face_capacity": None,
    "transaction_capacity": None,
    "alarms": [],
}


@pytest.fixture
def manual_terminal() -> Terminal:
    area = Area.objects.create(id=293, area_code="10087", area_name="ZKTeco")
    computed = {"state", "terminal_tz", "area", "last_activity", "push_time", "area_name", "is_attendance"}
    computed |= {"complete_until", "clock_drift", "alarms"}
    plain = {key: value for key, value in MANUAL.items() if key not in computed}
    terminal = Terminal.objects.create(**plain, area=area, time_zone="Asia/Shanghai")
    moment = datetime(2024, 6, 26, 15, 36, 22, tzinfo=UTC)
    TerminalPresence.objects.create(
        terminal=terminal, since=moment, last_activity=moment, push_time=moment - timedelta(seconds=5)
    )
    return terminal


def test_the_manuals_terminal_comes_out_key_by_key(manual_terminal: Terminal, get: Reader) -> None:
    answer = get(PATH, sn="CKJF201260077")

    assert answer == {"count": 1, "next": None, "previous": None, "msg": "", "code": 0, "data": [MANUAL]}
    assert list(answer) == ["count", "next", "previous", "msg", "code", "data"]
    assert list(answer["data"][0]) == list(MANUAL)


def test_one_terminal_is_the_bare_object(manual_terminal: Terminal, get: Reader) -> None:
    TerminalPresence.objects.update(online=True)

    assert list(get(f"{PATH}1/").items()) == list({**MANUAL, "state": "1"}.items())


def test_no_terminals_are_the_manuals_empty_list(get: Reader) -> None:
    answer = get(PATH)

    assert list(answer.items()) == [
        ("count", 0), ("next", None), ("previous", None), ("msg", ""), ("code", 0), ("results", []), ("data", [])
    ]  # fmt: skip


def test_a_terminal_never_heard_of_has_nulls_and_the_default_area(get: Reader) -> None:
    Terminal.objects.create(sn="X", alias="New")

    row = get(PATH)["data"][0]

    assert (row["ip_address"], row["last_activity"], row["push_time"], row["state"]) == (None, None, None, "4")
    assert row["area"] == {"id": 1, "area_code": "1", "area_name": "Not Authorized"}
    assert row["area_name"] == "Not Authorized"


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", 0),
        ("UTC+08:00", 8),
        ("UTC-05:00", -5),
        ("UTC+05:30", 330),
        ("UTC-03:30", -210),
        ("UTC+14:00", 14),
        ("Asia/Kolkata", 330),
        ("Asia/Tokyo", 9),
    ],
)
def test_terminal_tz_is_hours_or_else_minutes(zone: str, shown: int, get: Reader) -> None:
    Terminal.objects.create(sn="X", alias="New", time_zone=zone)

    assert get(PATH)["data"][0]["terminal_tz"] == shown


@pytest.fixture
def four(manual_terminal: Terminal) -> dict[str, int]:
    """A terminal in each state; the manual's is disconnected."""
    now = timezone.now()
    pending = Terminal.objects.create(sn="P1", alias="Pending gate", admission="pending", ip_address="10.0.0.9")
    online = Terminal.objects.create(sn="ON2", alias="Front", area_id=293, ip_address="10.0.0.2")
    offline = Terminal.objects.create(sn="OFF3", alias="Back gate", terminal_name="K40")
    TerminalPresence.objects.create(terminal=online, online=True, since=now, last_activity=now)
    TerminalPresence.objects.create(terminal=offline, since=now, last_activity=now)
    return {"pending": pending.pk, "online": online.pk, "offline": offline.pk, "gone": manual_terminal.pk}


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"sn": "P1"}, ["pending"]),
    ({"sn": "p1"}, []),
    ({"alias": "Front"}, ["online"]),
    ({"state": "0"}, ["pending"]),
    ({"state": "1"}, ["online"]),
    ({"state": "3"}, ["offline"]),
    ({"state": "4"}, ["gone"]),
    ({"state": "9"}, []),
    ({"area": 293}, ["gone", "online"]),
    ({"area": "1"}, ["pending", "offline"]),
    ({"area": 5}, []),
    ({"ip_address": "10.0.0.2"}, ["online"]),
    ({"sn_icontains": "on"}, ["online"]),
    ({"alias_icontains": "GATE"}, ["pending", "offline"]),
    ({"search": "gate"}, ["pending", "offline"]),
    ({"search": "k40"}, ["offline"]),
    ({"search": "zkteco"}, ["gone", "online"]),
    ({"ordering": "-sn"}, ["pending", "online", "offline", "gone"]),
    ({"ordering": "alias"}, ["gone", "offline", "online", "pending"]),
    ({"ordering": "-state"}, ["gone", "offline", "online", "pending"]),
    ({"ordering": "password", "nonsense": "1"}, ["gone", "pending", "online", "offline"]),
    ({"page_size": 2, "page": 2}, ["online", "offline"]),
    ({"limit": 1}, ["gone"]),
]


@pytest.mark.parametrize(("parameters", "names"), FILTERS)
def test_filter(parameters: dict[str, Any], names: list[str], four: dict[str, int], get: Reader) -> None:
    assert [row["id"] for row in get(PATH, **parameters)["data"]] == [four[name] for name in names]


@pytest.mark.parametrize(
    ("name", "value"), [("area", "abc"), ("area", "99999999999999999999"), ("ip_address", "10.0.0.999")]
)
def test_a_value_that_cant_be_read_is_refused_by_name(name: str, value: str, get: Reader) -> None:
    assert list(get(PATH, status=400, **{name: value})) == [name]


def test_paging_past_the_end_is_an_invalid_page(four: dict[str, int], get: Reader) -> None:
    assert get(PATH, status=404, page=5, page_size=1) == {"detail": "Invalid page."}


@pytest.mark.parametrize("missing", ["77", "abc", "99999999999999999999"])
def test_an_unknown_terminal_is_not_found(missing: str, get: Reader) -> None:
    assert get(f"{PATH}{missing}/", status=404) == {"detail": "Not found."}


def test_how_a_terminal_is_stands_behind_the_vendors_keys(manual_terminal: Terminal, get: Reader) -> None:
    Terminal.objects.update(user_capacity=3_000, fp_capacity=4_000, face_capacity=500, transaction_capacity=100_000)
    TerminalPresence.objects.update(complete_until=datetime(2024, 6, 26, 15, 36, 20, tzinfo=UTC), clock_drift=-35)
    for kind in (Alarm.Kind.TWIN, Alarm.Kind.AWAY, Alarm.Kind.CLOCK):
        raise_alarm(manual_terminal, kind, "Look.")
    end_alarm(manual_terminal, Alarm.Kind.CLOCK, "Right again.")

    assert get(f"{PATH}1/") == MANUAL | {
        "complete_until": "2024-06-26 15:36:20",
        "clock_drift": -35,
        "user_capacity": 3_000,
        "fp_capacity": 4_000,
        "face_capacity": 500,
        "transaction_capacity": 100_000,
        "alarms": ["away", "twin"],
    }


def test_a_page_costs_as_many_queries_for_three_rows_as_for_one(get: Reader) -> None:
    Terminal.objects.create(sn="A", alias="A")
    get(PATH)  # notes the token's use, once a minute
    with CaptureQueriesContext(connection) as one:
        get(PATH)
    raise_alarm(Terminal.objects.create(sn="B", alias="B"), Alarm.Kind.AWAY, "Look.")
    TerminalPresence.objects.create(terminal=Terminal.objects.get(sn="B"), since=timezone.now())
    Terminal.objects.create(sn="C", alias="C", area=Area.objects.create(area_code="9", area_name="Nine"))
    with CaptureQueriesContext(connection) as three:
        get(PATH)

    assert (len(one), len(three)) == (5, 5)
