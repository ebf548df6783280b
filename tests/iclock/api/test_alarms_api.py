"""Alarms, for reading: by those who may, as far as they may see terminals."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from iclock.domain.alarms import Kind, end_alarm, note_event, raise_alarm
from iclock.models import Alarm, Terminal
from personnel.models import Area
from personnel.models.scope import AreaLimit
from zkbio.accounts.models import User

from .conftest import Reader

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/alarms/"


@pytest.fixture
def hr(hr: User) -> User:
    hr.user_permissions.add(Permission.objects.get(codename="view_alarm"))
    return hr


@pytest.fixture
def shop(db: None) -> Terminal:
    return Terminal.objects.create(sn="SHOP", alias="Shop", area=Area.objects.create(area_code="2", area_name="Shop"))


@pytest.fixture
def four(terminal: Terminal, shop: Terminal) -> dict[str, Terminal]:
    """Two that are open, one that is over, and an event."""
    raise_alarm(terminal, Kind.AWAY, "Look at its power.")
    raise_alarm(shop, Kind.AWAY, "Look at its power.")
    raise_alarm(shop, Kind.CLOCK, "Set it.")
    end_alarm(shop, Kind.CLOCK, "Right again.")
    note_event(terminal, Kind.LOG_CLEARED, "It held 100 rows.")
    return {"terminal": terminal, "shop": shop}


def test_an_alarm_key_by_key(four: dict[str, Terminal], get: Reader) -> None:
    alarm = Alarm.objects.get(kind=Kind.CLOCK)
    now = f"{timezone.localtime(alarm.opened_at):%Y-%m-%d %H:%M:%S}"

    assert list(get(f"{PATH}{alarm.pk}/").items()) == [
        ("id", alarm.pk),
        ("terminal", four["shop"].pk),
        ("kind", "clock"),
        ("sentence", "Set it."),
        ("opened_at", now),
        ("closed_at", now),
        ("ending", "Right again."),
    ]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, ["away", "away", "clock", "log_cleared"]),
        ({"open": "1"}, ["away", "away"]),
        ({"open": "0"}, ["clock", "log_cleared"]),
        ({"kind": "clock"}, ["clock"]),
        ({"kind": "clock", "open": "1"}, []),
        ({"ordering": "-id"}, ["log_cleared", "clock", "away", "away"]),
        ({"terminal": 99_999}, []),
    ],
)
def test_filters(parameters: dict[str, Any], found: list[str], four: dict[str, Terminal], get: Reader) -> None:
    assert [row["kind"] for row in get(PATH, **parameters)["data"]] == found


def test_the_alarms_of_one_terminal(four: dict[str, Terminal], get: Reader) -> None:
    assert [row["kind"] for row in get(PATH, terminal=four["shop"].pk)["data"]] == ["away", "clock"]


def test_a_value_that_cant_be_read_is_refused_by_name(get: Reader) -> None:
    assert list(get(PATH, status=400, open="perhaps")) == ["open"]


def test_who_is_limited_to_an_area_sees_the_alarms_of_its_terminals(
    four: dict[str, Terminal], hr: User, get: Reader
) -> None:
    AreaLimit.objects.create(user=hr, area=four["shop"].area)
    hidden = Alarm.objects.filter(terminal=four["terminal"]).latest("id")

    assert {row["terminal"] for row in get(PATH)["data"]} == {four["shop"].pk}
    assert get(f"{PATH}{hidden.pk}/", status=404) == {"detail": "Not found."}


def test_who_may_not_view_alarms_sees_none(four: dict[str, Terminal], hr: User, get: Reader) -> None:
    hr.user_permissions.remove(Permission.objects.get(codename="view_alarm"))

    get(PATH, status=403)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nobody_writes_alarms(method: str, four: dict[str, Terminal], hr: User, token_client: Client) -> None:
    hr.is_superuser = True
    hr.save()
    path = PATH if method == "post" else f"{PATH}{Alarm.objects.latest('id').pk}/"

    assert getattr(token_client, method)(path, {}, content_type="application/json").status_code == 405
    assert Alarm.objects.count() == 4


def test_a_page_costs_as_many_queries_for_three_rows_as_for_one(terminal: Terminal, get: Reader) -> None:
    note_event(terminal, Kind.LOG_CLEARED, "It held 100 rows.")
    get(PATH)  # notes the token's use, once a minute
    with CaptureQueriesContext(connection) as one:
        get(PATH)
    for _ in range(2):
        note_event(terminal, Kind.LOG_CLEARED, "It held 100 rows.")
    with CaptureQueriesContext(connection) as three:
        get(PATH)

    assert len(one) == len(three)
