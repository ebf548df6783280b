"""Enrolling a finger in the administration: asked for in a form, followed on a page, cancelled there."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponseBase
from django.test import Client

from iclock.domain import presence
from iclock.domain.enrolments import claim, finish
from iclock.models import Biodata, Enrolment, Terminal
from personnel.models import Area, Employee
from personnel.models.scope import AreaLimit
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db
ENROLMENTS = "/admin/iclock/enrolment/"
REFRESH = '<meta http-equiv="refresh" content="2">'


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(area_code="2", area_name="Two")


@pytest.fixture
def gate(terminal: Terminal, area: Area) -> Terminal:
    Terminal.objects.update(area=area)
    terminal.refresh_from_db()
    presence.mark_online(terminal)
    return terminal


@pytest.fixture
def ana(area: Area) -> Employee:
    person = Employee.objects.create(emp_code="1001", first_name="<b>Ana", department_id=1)
    person.areas.set([area])
    return person


@pytest.fixture
def clerk(client: Client) -> User:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(
        Permission.objects.filter(codename__in=["view_terminal", "view_employee", "operate_device"])
    )
    client.force_login(clerk)
    return clerk


def page(response: HttpResponseBase) -> str:
    return response.text  # type: ignore[attr-defined, no-any-return]


def post(client: Client, terminal: Terminal, employee: Employee, finger: object = 6) -> str:
    body = {"terminal": terminal.pk, "employee": employee.pk, "finger": finger}
    return page(client.post(f"{ENROLMENTS}add/", body, follow=True))


def test_what_is_asked_for_is_followed_by_a_page_that_loads_itself_anew_until_it_is_over(
    client: Client, clerk: User, gate: Terminal, ana: Employee
) -> None:
    asked = post(client, gate, ana)

    enrolment = Enrolment.objects.get()
    assert (enrolment.created_by, enrolment.finger, enrolment.state) == (clerk, 6, "queued")
    assert REFRESH in asked
    assert "Waiting for the terminal" in asked
    assert "1001 &lt;b&gt;Ana" in asked
    assert AuditEntry.objects.get(action="iclock.ask_to_enrol").user == clerk

    claimed = claim(gate.pk, since=enrolment.created_at)
    assert claimed is not None
    Enrolment.objects.update(scans=2, sentence="2 of 3 scans are good")
    running = page(client.get(f"{ENROLMENTS}{enrolment.pk}/change/"))
    assert (REFRESH in running, "2 of 3 scans are good" in running, "Cancel the enrolment" in running) == (True,) * 3

    finish(claimed, Enrolment.State.DONE, "Enrolled.")
    over = page(client.get(f"{ENROLMENTS}{enrolment.pk}/change/"))
    assert (REFRESH in over, "Enrolled." in over, "Cancel the enrolment" in over) == (False, True, False)


def test_the_employees_page_leads_to_the_form_filled_in(client: Client, clerk: User, ana: Employee) -> None:
    link = f"{ENROLMENTS}add/?employee={ana.pk}"

    assert f'<a href="{link}">Enrol a finger</a>' in page(client.get(f"/admin/personnel/employee/{ana.pk}/change/"))
    form = page(client.get(link))
    assert f'<option value="{ana.pk}" selected>1001 &lt;b&gt;Ana</option>' in form
    assert '<option value="" selected>---------</option>' in form
    assert '<option value="1">1: right index finger</option>' in form
    assert 'value="Enrol"' in form
    assert "Save" not in form
    assert '<option value="9">9: left little finger</option>' in form


def test_a_refusal_stands_above_the_form_which_is_filled_in_as_it_was(
    client: Client, clerk: User, gate: Terminal, ana: Employee
) -> None:
    ana.areas.clear()

    refused = post(client, gate, ana, 7)

    assert "1001 &lt;b&gt;Ana doesn&#x27;t belong on Gate (CKJF201260077)" in refused
    assert '<option value="7" selected>' in refused
    assert (Enrolment.objects.count(), AuditEntry.objects.count()) == (0, 0)


def test_a_finger_that_there_is_not_is_no_choice(client: Client, clerk: User, gate: Terminal, ana: Employee) -> None:
    assert "Select a valid choice. 10 is not one of the available choices." in post(client, gate, ana, 10)
    assert "This field is required." in post(client, gate, ana, "")
    assert Enrolment.objects.count() == 0


def test_it_is_cancelled_on_its_page_and_in_the_list(
    client: Client, clerk: User, gate: Terminal, ana: Employee
) -> None:
    post(client, gate, ana)
    first = Enrolment.objects.get()

    cancelled = page(client.post(f"{ENROLMENTS}{first.pk}/cancel/", follow=True))
    again = page(client.post(f"{ENROLMENTS}{first.pk}/cancel/", follow=True))

    assert ("Cancelled here." in cancelled, "It was over already." in again) == (True, True)
    post(client, gate, ana, 7)
    second = Enrolment.objects.open().get()
    chosen = {"action": "cancel_chosen", "_selected_action": [first.pk, second.pk]}
    assert "Cancelled: 1." in page(client.post(ENROLMENTS, chosen, follow=True))
    assert set(Enrolment.objects.values_list("state", flat=True)) == {"cancelled"}


def test_nobody_asks_or_cancels_without_the_permission_of_operating_terminals(
    client: Client, clerk: User, gate: Terminal, ana: Employee
) -> None:
    post(client, gate, ana)
    enrolment = Enrolment.objects.get()
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_enrolment", "view_employee"]))

    assert client.get(f"{ENROLMENTS}add/").status_code == 403
    assert client.post(f"{ENROLMENTS}add/", {}).status_code == 403
    assert client.post(f"{ENROLMENTS}{enrolment.pk}/cancel/").status_code == 403
    assert client.get(f"{ENROLMENTS}{enrolment.pk}/cancel/").status_code == 405
    assert "Cancel" not in page(client.get(f"{ENROLMENTS}{enrolment.pk}/change/"))
    assert "Enrol a finger" not in page(client.get(f"/admin/personnel/employee/{ana.pk}/change/"))
    clerk.user_permissions.clear()
    assert client.get(ENROLMENTS).status_code == 403


def test_who_may_not_read_of_people_follows_it_without_names(
    client: Client, clerk: User, gate: Terminal, ana: Employee
) -> None:
    post(client, gate, ana)
    enrolment = Enrolment.objects.get()
    followed = f"{ENROLMENTS}{enrolment.pk}/change/"
    assert ("b&gt;Ana" in page(client.get(ENROLMENTS)), "b&gt;Ana" in page(client.get(followed))) == (True, True)
    clerk.user_permissions.set(Permission.objects.filter(codename="operate_device"))

    for shown in (page(client.get(ENROLMENTS)), page(client.get(followed))):
        assert ("1001" in shown, "Ana" in shown) == (True, False)
    form = client.get(f"{ENROLMENTS}add/?employee={ana.pk}")
    assert (form.status_code, "Ana" in page(form)) == (403, False)
    assert client.post(f"{ENROLMENTS}{enrolment.pk}/cancel/").status_code == 302
    enrolment.refresh_from_db()
    assert enrolment.state == "cancelled"


def test_those_of_other_areas_are_neither_asked_for_nor_seen_nor_cancelled(
    client: Client, clerk: User, gate: Terminal, ana: Employee
) -> None:
    post(client, gate, ana)
    enrolment = Enrolment.objects.get()
    elsewhere = Area.objects.create(area_code="3", area_name="Three")
    AreaLimit.objects.create(user=clerk, area=elsewhere)

    assert client.post(f"{ENROLMENTS}{enrolment.pk}/cancel/").status_code == 404
    assert f"{ENROLMENTS}{enrolment.pk}/change/" not in page(client.get(ENROLMENTS))
    assert "Select a valid choice" in post(client, gate, ana, 7)
    assert Enrolment.objects.get().state == "queued"


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_asks_as_often_for_three_as_for_one(
    count: int, client: Client, clerk: User, gate: Terminal, ana: Employee, django_assert_max_num_queries: object
) -> None:
    for finger in range(count):
        Enrolment.objects.create(terminal=gate, employee=ana, finger=finger, state="done", created_by=clerk)

    with django_assert_max_num_queries(9):  # type: ignore[operator]
        assert page(client.get(ENROLMENTS)).count("right") >= count


def test_a_person_is_deleted_with_what_was_enrolled_and_asked_for(
    client: Client, clerk: User, gate: Terminal, ana: Employee
) -> None:
    enrolled = Biodata(employee=ana, bio_type=1, bio_no=6, major_ver="10")
    enrolled.template = b"SS21"
    enrolled.save()
    post(client, gate, ana)
    clerk.user_permissions.add(Permission.objects.get(codename="delete_employee"))

    client.post(f"/admin/personnel/employee/{ana.pk}/delete/", {"post": "yes"})

    assert [model.objects.count() for model in (Employee, Biodata, Enrolment)] == [0, 0, 0]
