"""What is done to people in the administration is what the API does: terminals hear of it, and limits are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from personnel.models import Area, AreaLimit, Department, Employee, Resignation
from personnel.signals import people_changed
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db

PEOPLE = "/admin/personnel/employee/"
RESIGNATIONS = "/admin/personnel/resignation/"


@pytest.fixture
def area() -> Area:
    return Area.objects.create(id=2, area_code="2", area_name="Two")


@pytest.fixture
def person(area: Area) -> Employee:
    person = Employee.objects.create(emp_code="7", department_id=1, first_name="Ada", card_no="12")
    person.areas.set([area])
    return person


@pytest.fixture
def news(person: Employee) -> Iterator[list[Any]]:
    heard: list[Any] = []

    def listen(**news: Any) -> None:
        heard.append((set(news["area_ids"]), set(news["emp_codes"])))

    people_changed.connect(listen)
    yield heard
    people_changed.disconnect(listen)


def form(**changes: Any) -> dict[str, Any]:
    flags = dict.fromkeys(("enable_attendance", "enable_overtime", "enable_holiday", "enable_schedule"), "on")
    typed = {"emp_code": "7", "first_name": "Ada", "card_no": "12", "department": 1, "areas": [2], "dev_privilege": 0}
    return {**typed, **flags, "hire_date": "", "verify_mode": -1, "app_status": 0, "app_role": 1, **changes}


def test_ending_somebodys_attendance_is_news(admin_client: Client, person: Employee, news: list[Any]) -> None:
    ended = form()
    del ended["enable_attendance"]

    assert admin_client.post(f"{PEOPLE}{person.pk}/change/", ended).status_code == 302

    assert news == [({2}, {"7"})]


def test_saving_moving_and_deleting_is_news(admin_client: Client, person: Employee, news: list[Any]) -> None:
    at = f"{PEOPLE}{person.pk}/change/"
    admin_client.post(at, form(city="Here"))
    assert news == []
    admin_client.post(at, form(first_name="Grace", city="Here"))
    admin_client.post(at, form(first_name="Grace", city="Here", areas=[1]))
    admin_client.post(f"{PEOPLE}add/", form(emp_code="8", card_no=""))
    chosen = {"action": "delete_selected", "_selected_action": [person.pk], "post": "yes"}
    admin_client.post(PEOPLE, chosen)
    assert news == [({2}, {"7"}), ({1, 2}, {"7"}), ({2}, {"8"}), ({1}, {"7"})]
    assert list(Employee.objects.values_list("emp_code", flat=True)) == ["8"]


def test_a_card_is_one_person_s(admin_client: Client, person: Employee) -> None:
    answer = admin_client.post(f"{PEOPLE}add/", form(emp_code="8", card_no=" 12 "))
    assert list(answer.context["adminform"].form.errors) == ["card_no"]


def test_people_resign_and_come_back(admin_client: Client, person: Employee, news: list[Any]) -> None:
    typed = {"employee": person.pk, "resign_date": "2024-06-26", "resign_type": 1, "disableatt": "on", "reason": ""}
    assert admin_client.post(f"{RESIGNATIONS}add/", typed).status_code == 302
    person.refresh_from_db()
    assert (person.card_no, person.enable_attendance) == (None, False)
    at = f"{RESIGNATIONS}{Resignation.objects.get().pk}/"
    admin_client.post(f"{at}change/", {**typed, "disableatt": "", "reason": "a mistake"})
    person.refresh_from_db()
    assert (person.enable_attendance, Resignation.objects.get().reason) == (True, "a mistake")
    admin_client.post(f"{at}delete/", {"post": "yes"})
    person.refresh_from_db()
    assert (person.card_no, Resignation.objects.count()) == ("12", 0)
    assert news == [({2}, {"7"})] * 2


def test_an_area_with_people_stays(admin_client: Client, person: Employee, area: Area) -> None:
    page = admin_client.post(f"/admin/personnel/area/{area.pk}/delete/", {"post": "yes"})
    assert "7 Ada" in page.text
    assert Area.objects.filter(pk=area.pk).exists()


def test_a_moved_area_is_news(admin_client: Client, news: list[Any], area: Area) -> None:
    typed = {"area_code": "2", "area_name": "Two", "parent_area": 1}
    assert admin_client.post(f"/admin/personnel/area/{area.pk}/change/", typed).status_code == 302
    assert news == [({2}, set())]


def limits(user: User, area: Area) -> dict[str, Any]:
    counts = {f"department_limits-{part}_FORMS": 0 for part in ("TOTAL", "INITIAL")}
    rows = {"area_limits-TOTAL_FORMS": 1, "area_limits-INITIAL_FORMS": 0, "area_limits-0-area": area.pk}
    return {**counts, **rows, "username": user.username, "language": "en", "time_zone": "UTC", "is_active": "on"}


def test_a_superuser_limits_what_somebody_sees(admin_client: Client, area: Area) -> None:
    user = User.objects.create_user("clerk", password="x")
    assert admin_client.post(f"/admin/accounts/user/{user.pk}/change/", limits(user, area)).status_code == 302
    assert AreaLimit.objects.get().area == area


def test_nobody_else_does(area: Area) -> None:
    boss = User.objects.create_user("boss", password="x", is_staff=True)
    boss.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user", "add_arealimit"]))
    user, client = User.objects.create_user("clerk", password="x"), Client()
    client.force_login(boss)
    client.post(f"/admin/accounts/user/{user.pk}/change/", limits(user, area))
    assert "area_limits" not in client.get(f"/admin/accounts/user/{user.pk}/change/").text
    assert AreaLimit.objects.count() == 0


def test_departments_keep_their_code(admin_client: Client) -> None:
    department = Department.objects.create(dept_code="d", dept_name="Dev")
    admin_client.post(
        f"/admin/personnel/department/{department.pk}/change/", {"dept_code": "x", "dept_name": "New", "parent_dept": 1}
    )
    department.refresh_from_db()
    assert (department.dept_code, department.dept_name, department.parent_dept_id) == ("d", "New", 1)
