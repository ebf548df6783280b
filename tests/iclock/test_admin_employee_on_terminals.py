"""An employee's page: on which terminals they are, and what keeps them from being there as they should be."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from iclock.models import Terminal, TerminalPerson
from iclock.templatetags import on_terminals
from personnel.models import Area, AreaLimit, Employee
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db
TITLE = "On which terminals they are"


@pytest.fixture
def two(db: None) -> Area:
    return Area.objects.create(area_code="2", area_name="Two")


@pytest.fixture
def ana(two: Area) -> Employee:
    person = Employee.objects.create(emp_code="7", first_name="Ana", department_id=1)
    person.areas.set([two])
    return person


def door(name: str, area: Area, *, refusal: str | None = None, **columns: object) -> Terminal:
    """With Ana on it, if there is a ``refusal`` or "" for none."""
    terminal: Terminal = Terminal.objects.create(sn=name.upper(), alias=name, area=area, **columns)
    if refusal is not None:
        TerminalPerson.objects.create(terminal=terminal, emp_code="7", held=True, placed=True, refusal=refusal)
    return terminal


def page(client: Client, person: Employee) -> str:
    return str(client.get(f"/admin/personnel/employee/{person.pk}/change/").text)


def shown(client: Client, person: Employee) -> list[tuple[str, ...]]:
    html = page(client, person).partition(TITLE)[2].partition("</fieldset>")[0]
    cells = re.findall(r"<tr><td>(.*?)<td>(.*?)<td>(.*?)</tr>", html)
    return [tuple(map(unescape, row)) for row in cells]


def test_it_says_where_they_are_what_was_refused_and_where_they_are_on_their_way(
    admin_client: Client, two: Area, ana: Employee
) -> None:
    door("Gate", two, refusal="")
    door("Yard", two, refusal="The unit is <b>full</b>.")
    door("New", two)
    door("Own", two, direction="off")
    door("Elsewhere", Area.objects.create(area_code="3", area_name="Three"))

    assert shown(admin_client, ana) == [
        ("Yard (YARD)", "There, but not as it should be", "The unit is <b>full</b>."),
        ("Gate (GATE)", "As it should be", "-"),
        ("New (NEW)", "On their way there", "-"),
    ]
    html = page(admin_client, ana)
    assert "<b>full" not in html
    link = "/admin/iclock/terminalperson/?q=7&amp;shown=all"
    assert link in html
    assert len(admin_client.get(unescape(link)).context["cl"].result_list) == 2


def test_it_shows_no_more_than_fit_and_asks_as_often_for_many_as_for_one(
    admin_client: Client, two: Area, ana: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            page(admin_client, ana)
        return len(asked)

    door("A", two, refusal="")
    door("Z", two)
    page(admin_client, ana)
    one = questions()
    for name in "BCD":
        door(name, two, refusal="")
        door(f"{name}{name}", two)

    assert questions() == one
    assert "And on more terminals." not in page(admin_client, ana)
    monkeypatch.setattr(on_terminals, "MOST_SHOWN", 5)
    assert len(shown(admin_client, ana)) == 5
    assert "And on more terminals." in page(admin_client, ana)


def test_nobody_reads_there_of_terminals_outside_of_their_limits(client: Client, two: Area, ana: Employee) -> None:
    three = Area.objects.create(area_code="3", area_name="Three")
    ana.areas.add(three)
    door("Gate", two, refusal="It is full.")
    door("Yard", three, refusal="It is full.")
    door("Cellar", three)
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_employee", "view_terminalperson"]))
    AreaLimit.objects.create(user=clerk, area=two)
    client.force_login(clerk)

    assert [row[0] for row in shown(client, ana)] == ["Gate (GATE)"]
    clerk.user_permissions.set(Permission.objects.filter(codename="view_employee"))
    assert TITLE not in page(client, ana)


def test_whoever_is_on_no_terminal_is_said_to_be_and_a_new_person_is_not_asked_about(
    admin_client: Client, ana: Employee
) -> None:
    assert "On none: whoever has an area belongs on its terminals." in page(admin_client, ana)
    assert TITLE not in admin_client.get("/admin/personnel/employee/add/").text
