"""People in the administration: their secrets go in and never come out, and no row ends up below itself."""

from __future__ import annotations

from html import unescape

import pytest
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import CASCADE, DO_NOTHING
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from iclock.models import Biodata
from personnel.models import Area, AttributeDefinition, Department, Employee, Position, Resignation
from personnel.signals import templates_withdrawn
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db

PEOPLE = "/admin/personnel/employee/"
ADD = f"{PEOPLE}add/"


def form(**changes: object) -> dict[str, object]:
    flags = dict.fromkeys(("enable_attendance", "enable_overtime", "enable_holiday", "enable_schedule"), "on")
    typed = {"emp_code": "007", "first_name": "Ada", "department": 1, "areas": [1], "dev_privilege": 0}
    return {**typed, **flags, "verify_mode": -1, "app_status": 0, "app_role": 1, **changes}


def change(row: Employee | Department | Area | Position) -> str:
    return reverse(f"admin:personnel_{row._meta.model_name}_change", args=[row.pk])


@pytest.fixture
def person() -> Employee:
    person = Employee(emp_code="007", first_name="Ada", department_id=1)
    person.device_password, person.self_password = "2718", "md5$salt$hash"
    person.save()
    person.areas.set([1])
    return person


def test_a_person_is_added_with_both_secrets_protected(admin_client):
    answer = admin_client.post(ADD, form(new_device_password="31415926", new_self_password="correct horse 9"))
    assert answer.status_code == 302
    person = Employee.objects.get()
    assert (person.emp_code, person.first_name, person.last_name) == ("007", "Ada", None)
    assert person.device_password == "31415926"
    assert b"31415926" not in bytes(person.device_password_sealed)
    assert check_password("correct horse 9", person.self_password)


def test_empty_secrets_keep_the_stored_ones(admin_client, person):
    admin_client.post(change(person), form(first_name="Grace"))
    person.refresh_from_db()
    assert (person.first_name, person.device_password, person.self_password) == ("Grace", "2718", "md5$salt$hash")


def test_secrets_are_removed_on_request(admin_client, person):
    admin_client.post(change(person), form(clear_device_password="on", clear_self_password="on"))
    person.refresh_from_db()
    assert (person.device_password_sealed, person.self_password) == (None, "")


@override_settings(BIOMETRIC_CONSENT=True)
def test_the_consent_to_biometrics_is_given_and_taken_back(admin_client, person):
    withdrawn = []

    def hear(employees, kinds, **_news):
        withdrawn.append(([each.pk for each in employees], kinds))

    templates_withdrawn.connect(hear)
    try:
        admin_client.post(change(person), form(biometric_consent="on"))
        given = Employee.objects.get().biometric_consent
        kept = list(withdrawn)
        admin_client.post(change(person), form())
    finally:
        templates_withdrawn.disconnect(hear)

    assert (given, kept, Employee.objects.get().biometric_consent) == (True, [], False)
    assert withdrawn == [([person.pk], {"finger_print", "face", "finger_vein", "palm"})]


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("new_device_password", "12a"),
        ("new_device_password", "123456789"),
        ("new_device_password", "\u0661\u0662"),
        ("new_self_password", "short"),
        ("emp_code", "x" * 21),
        ("areas", []),
    ],
)
def test_what_cannot_be_is_refused_and_not_repeated(admin_client, field, typed):
    answer = admin_client.post(ADD, form(**{field: typed}))
    assert list(answer.context["adminform"].form.errors) == [field]
    assert Employee.objects.count() == 0


def test_the_code_of_a_person_never_changes(admin_client, person):
    admin_client.post(change(person), form(emp_code="008"))
    assert Employee.objects.get().emp_code == "007"


def test_custom_attributes_are_fields_of_the_form(admin_client, person):
    kinds = {"Passport": "text", "Children": "number", "Since": "date", "Shift": "choice"}
    made = {n: AttributeDefinition.objects.create(name=n, kind=k, choices=["Day", "Night"]) for n, k in kinds.items()}
    key = {name: definition.pk for name, definition in made.items()}
    typed = {"Passport": "X1", "Children": "2", "Since": "2024-06-26", "Shift": "Night"}
    admin_client.post(change(person), form(**{f"attribute_{key[name]}": value for name, value in typed.items()}))
    person.refresh_from_db()
    assert person.attributes == {
        str(key["Passport"]): "X1",
        str(key["Children"]): 2,
        str(key["Since"]): "2024-06-26",
        str(key["Shift"]): "Night",
    }
    shown = admin_client.get(change(person)).context["adminform"].form
    assert [shown[f"attribute_{key[name]}"].value() for name in typed] == ["X1", 2, "2024-06-26", "Night"]


def test_an_emptied_custom_attribute_is_forgotten_and_others_stay(admin_client, person):
    definition = AttributeDefinition.objects.create(name="Passport")
    Employee.objects.update(attributes={str(definition.pk): "X1", "999": "of a deleted definition"})
    admin_client.post(change(person), form(**{f"attribute_{definition.pk}": ""}))
    person.refresh_from_db()
    assert person.attributes == {"999": "of a deleted definition"}


def test_who_may_only_look_sees_custom_attributes(person):
    definition = AttributeDefinition.objects.create(name="Passport")
    Employee.objects.update(attributes={str(definition.pk): "X1"})
    onlooker = User.objects.create_user("onlooker", password="x", is_staff=True)
    onlooker.user_permissions.set(Permission.objects.filter(codename="view_employee"))
    client = Client()
    client.force_login(onlooker)
    html = client.get(change(person)).text
    assert "Passport: X1" in html
    assert "2718" not in html
    assert "md5$salt" not in html


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"name": "emp_code", "kind": "text", "choices": "[]"}, "name"),
        ({"name": "full_name", "kind": "text", "choices": "[]"}, "name"),
        ({"name": "Shift", "kind": "choice", "choices": "[]"}, "choices"),
        ({"name": "Shift", "kind": "choice", "choices": '{"a": 1}'}, "choices"),
        ({"name": "Shift", "kind": "choice", "choices": "[1]"}, "choices"),
        ({"name": "Shift", "kind": "choice", "choices": "Day"}, "choices"),
    ],
)
def test_an_attribute_that_cannot_work_is_refused(admin_client, typed, field):
    answer = admin_client.post("/admin/personnel/attributedefinition/add/", typed)
    assert list(answer.context["adminform"].form.errors) == [field]


def test_an_attribute_with_choices_is_added(admin_client):
    typed = {"name": "Shift", "kind": "choice", "choices": '["Day", "Night"]'}
    admin_client.post("/admin/personnel/attributedefinition/add/", typed)
    assert AttributeDefinition.objects.get().choices == ["Day", "Night"]


@pytest.mark.parametrize(
    ("kind", "code", "name", "parent"),
    [
        (Department, "dept_code", "dept_name", "parent_dept"),
        (Area, "area_code", "area_name", "parent_area"),
        (Position, "position_code", "position_name", "parent_position"),
    ],
)
def test_a_row_is_not_put_below_itself(admin_client, kind, code, name, parent):
    top = kind.objects.create(**{code: "t", name: "top"})
    leaf = kind.objects.create(**{code: "l", name: "leaf", parent: top})
    answer = admin_client.post(change(top), {code: "t", name: "top", parent: leaf.pk})
    assert answer.context["adminform"].form.errors == {
        parent: ["“l leaf” lies below this row; a row can't lie below itself."]
    }
    admin_client.post(change(leaf), {code: "l", name: "renamed", parent: top.pk})
    assert getattr(kind.objects.get(pk=leaf.pk), name) == "renamed"


@pytest.mark.parametrize("kind", [Department, Area, Position])
def test_row_1_stays(admin_client, kind):
    page = f"/admin/personnel/{kind._meta.model_name}/"
    assert admin_client.post(f"{page}1/delete/", {"post": "yes"}).status_code == 403
    admin_client.post(page, {"action": "delete_selected", "_selected_action": [1], "post": "yes"})
    assert kind.objects.filter(pk=1).exists()


def test_another_row_can_go(admin_client):
    area = Area.objects.create(area_code="a", area_name="Annex")
    admin_client.post(f"/admin/personnel/area/{area.pk}/delete/", {"post": "yes"})
    assert not Area.objects.filter(pk=area.pk).exists()


def test_a_department_with_people_stays(admin_client, person):
    department = Department.objects.create(dept_code="d", dept_name="Dev")
    Employee.objects.update(department=department)
    admin_client.post(f"/admin/personnel/department/{department.pk}/delete/", {"post": "yes"})
    assert Department.objects.filter(pk=department.pk).exists()


def test_deleting_people_asks_as_few_questions_for_many_as_for_one(admin_client: Client) -> None:
    def asked(count: int) -> tuple[int, str]:
        Employee.objects.all().delete()
        for number in range(count):
            person = Employee.objects.create(emp_code=str(100 + number), department_id=1, first_name="Ada")
            Resignation.objects.create(employee=person, resign_date="2024-06-26")
            Biodata.objects.create(employee=person, bio_type=1, bio_no=3, major_ver="10", sealed=b"x")
        chosen = list(Employee.objects.values_list("pk", flat=True))
        with CaptureQueriesContext(connection) as queries:
            page = admin_client.post(PEOPLE, {"action": "delete_selected", "_selected_action": chosen})
        return len(queries), page.text

    asked(1)
    (few, _), (many, html) = asked(1), asked(5)

    assert few == many
    told = ("employees: 5", "resignations: 5", "biometric templates: 5", "102 ada")
    assert [words for words in told if words not in html.lower()] == []


def test_whoever_deletes_people_may_delete_what_was_entered_of_them(client: Client, person: Employee) -> None:
    user = User.objects.create_user("officer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_employee", "delete_employee"]))
    client.force_login(user)
    page = f"{PEOPLE}{person.pk}/delete/"
    Resignation.objects.create(employee=person, resign_date="2024-06-26")

    assert "your account doesn't have permission" in unescape(client.get(page).text)
    client.post(page, {"post": "yes"})
    assert Employee.objects.exists()
    Resignation.objects.all().delete()
    client.post(page, {"post": "yes"})
    assert not Employee.objects.exists()


def test_nothing_that_hangs_on_people_keeps_them_from_being_deleted() -> None:
    kept = [
        each.related_model for each in Employee._meta.related_objects if each.on_delete not in (CASCADE, DO_NOTHING)
    ]
    assert kept == []
