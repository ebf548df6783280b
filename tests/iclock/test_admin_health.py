"""How terminals are, as their pages say it, and the list of alarms."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from iclock.domain.alarms import Kind, end_alarm, raise_alarm
from iclock.models import Alarm, Terminal, TerminalPresence, Transaction
from personnel.models import Area, Employee
from personnel.models.scope import AreaLimit
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db
TERMINALS, ALARMS = "/admin/iclock/terminal/", "/admin/iclock/alarm/"
HEARD_AT = datetime(2026, 3, 2, 10, 12, tzinfo=UTC)


def values(client: Client, terminal: Terminal) -> dict[str, str]:
    """What the terminal's page says, by field."""
    html = client.get(f"{TERMINALS}{terminal.pk}/change/").text
    shown = re.findall(r'class="form-row field-(\w+)".*?<div class="readonly">(.*?)</div>\s*</div>', html, re.S)
    return {name: unescape(re.sub("<[^>]+>", "", text)).replace("\u202f", " ").strip() for name, text in shown}


@pytest.fixture
def gate(terminal: Terminal) -> Terminal:
    """Well known: it told its sizes and its clock."""
    told = {"user_count": 2_431, "user_capacity": 3_000, "transaction_count": 1_000, "fw_ver": "Ver 6.60"}
    area = Area.objects.create(area_code="2", area_name="Two")
    Terminal.objects.update(**told, area=area)
    TerminalPresence.objects.create(
        terminal=terminal,
        online=True,
        since=HEARD_AT,
        last_activity=HEARD_AT,
        clock_drift=35,
        clock_read_at=HEARD_AT,
        complete_until=HEARD_AT,
    )
    terminal.refresh_from_db()
    return terminal


def test_a_terminals_page_says_how_it_is(admin_client: Client, gate: Terminal) -> None:
    for number in range(2):
        person = Employee.objects.create(emp_code=str(number), department_id=1)
        person.areas.set([gate.area])
    moment = {"punch_time": datetime(2026, 3, 2, 9), "punched_at": HEARD_AT, "upload_time": HEARD_AT}
    about = {"utc_offset": 0, "punch_state": 0, "verify_type": 1, "source": 1, "is_attendance": True}
    Transaction.objects.create(terminal_sn=gate.sn, terminal_alias="Gate", emp_code="0", **moment, **about)

    said = values(admin_client, gate)

    assert (said["people"], said["fingerprints"]) == ("2 431 of 3 000 people, 81 %", "0 fingerprints")
    assert said["belonging"] == "2 expected, 2 431 there: 2 429 more"
    assert (said["punches"], said["punches_here"]) == ("1 000 punches", "1")
    assert said["clock"] == "35 s ahead, read 2026-03-02 10:12:00"
    assert said["complete_until"] == "2026-03-02 10:12:00"
    assert (said["fw_ver"], said["last_heard"]) == ("Ver 6.60", "2026-03-02 10:12:00")


@pytest.mark.parametrize(("there", "words"), [(0, "1 expected, 0 there: 1 missing"), (1, "1 expected, 1 there")])
def test_the_difference_is_said_where_there_is_one(
    there: int, words: str, admin_client: Client, gate: Terminal
) -> None:
    Employee.objects.create(emp_code="1", department_id=1).areas.set([gate.area])
    Terminal.objects.update(user_count=there)

    assert values(admin_client, gate)["belonging"] == words


def test_a_terminal_that_never_told_anything_has_a_page(admin_client: Client, terminal: Terminal) -> None:
    said = values(admin_client, terminal)

    assert (said["clock"], said["complete_until"], said["alarms"]) == ("Never read", "-", "None")
    assert said["people"] == "0 people"


def test_a_terminals_page_says_its_open_alarms(admin_client: Client, gate: Terminal) -> None:
    raise_alarm(gate, Kind.CLOCK, "Set <it>.")
    raise_alarm(gate, Kind.TWIN, "Two.")
    end_alarm(gate, Kind.TWIN, "One.")

    html = admin_client.get(f"{TERMINALS}{gate.pk}/change/").text

    assert ": Set &lt;it&gt;.</div>" in html
    assert "Two." not in html


def test_the_clock_and_the_limit_are_entered_by_hand(admin_client: Client, gate: Terminal) -> None:
    entered = {
        "alias": "Gate",
        "area": "1",
        "time_zone": "UTC",
        "admission": "approved",
        "heartbeat": "10",
        "transfer_time": "00:00;14:05",
        "transfer_interval": "1",
        "direction": "both",
        "strangers": "kept",
    }
    page = f"{TERMINALS}{gate.pk}/change/"

    assert admin_client.post(page, {**entered, "away_minutes": "15", "corrects_clock": "on"}).status_code == 302
    gate.refresh_from_db()
    assert (gate.away_minutes, gate.corrects_clock) == (15, True)
    refused = admin_client.post(page, {**entered, "away_minutes": "0"})
    assert list(refused.context["adminform"].form.errors) == ["away_minutes"]


@pytest.fixture
def three(db: None) -> list[Terminal]:
    """One that is away with a wrong clock, one nearly full, one of which nothing is open."""
    found = [Terminal.objects.create(sn=f"SN{number}", alias=f"Gate {number}") for number in range(3)]
    raise_alarm(found[0], Kind.AWAY, "Look.")
    raise_alarm(found[0], Kind.CLOCK, "Set it.")
    raise_alarm(found[1], Kind.NEARLY_FULL, "Clear it.")
    raise_alarm(found[2], Kind.AWAY, "Look.")
    end_alarm(found[2], Kind.AWAY, "Back.")
    return found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("any", ["SN0", "SN1"]),
        ("none", ["SN2"]),
        ("away", ["SN0"]),
        ("nearly_full", ["SN1"]),
        ("twin", []),
        ("nonsense", ["SN0", "SN1", "SN2"]),
    ],
)
def test_terminals_by_what_is_open(asked: str, found: list[str], admin_client: Client, three: list[Terminal]) -> None:
    page = admin_client.get(TERMINALS, {"alarm": asked})

    assert sorted(row.sn for row in page.context["cl"].result_list) == found


def test_the_list_of_terminals_names_their_alarms(admin_client: Client, three: list[Terminal]) -> None:
    html = admin_client.get(TERMINALS).text

    assert re.findall(r'field-open_kinds">(.*?)<', html) == ["Away, Clock is wrong", "Nearly full", "-"]


def test_terminals_are_found_by_their_firmware(admin_client: Client, gate: Terminal) -> None:
    Terminal.objects.create(sn="NEW", alias="New", fw_ver="Ver 8")

    page = admin_client.get(TERMINALS, {"q": "6.60"})

    assert [row.sn for row in page.context["cl"].result_list] == [gate.sn]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["away", "away", "clock", "nearly_full"]),
        ({"open": "1"}, ["away", "clock", "nearly_full"]),
        ({"open": "0"}, ["away"]),
        ({"kind__exact": "clock"}, ["clock"]),
        ({"q": "SN2"}, ["away"]),
    ],
)
def test_alarms_by_state_and_kind(
    asked: dict[str, str], found: list[str], admin_client: Client, three: list[Terminal]
) -> None:
    page = admin_client.get(ALARMS, asked)

    assert sorted(row.kind for row in page.context["cl"].result_list) == found


def test_who_is_limited_to_an_area_sees_the_alarms_of_its_terminals(client: Client, three: list[Terminal]) -> None:
    area = Area.objects.create(area_code="2", area_name="Two")
    Terminal.objects.filter(pk=three[1].pk).update(area=area)
    clerk = User.objects.create_user("clerk", password="x", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_alarm"))
    AreaLimit.objects.create(user=clerk, area=area)
    client.force_login(clerk)

    page: Any = client.get(ALARMS)

    assert [row.kind for row in page.context["cl"].result_list] == ["nearly_full"]
    outside = Alarm.objects.filter(terminal=three[0]).latest("pk")
    assert client.get(f"{ALARMS}{outside.pk}/change/").status_code == 302


def test_alarms_go_with_their_terminal_and_are_counted_first(admin_client: Client, three: list[Terminal]) -> None:
    page = f"{TERMINALS}{three[0].pk}/delete/"

    assert "alarms: 2" in admin_client.get(page).text.lower()
    admin_client.post(page, {"post": "yes"})
    assert list(Alarm.objects.values_list("kind", flat=True)) == ["away", "nearly_full"]


def test_times_are_shown_on_the_platforms_clock(admin_client: Client, three: list[Terminal]) -> None:
    alarm = Alarm.objects.earliest("pk")

    assert f"{timezone.localtime(alarm.opened_at):%Y-%m-%d %H:%M:%S}" in admin_client.get(ALARMS).text
