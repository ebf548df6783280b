"""Employees: what is read, what is taken, and what is refused by name."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any
from unittest.mock import ANY

import pytest
from django.contrib.auth.hashers import check_password
from django.db import connection, transaction

from personnel.domain.people import update_employee
from personnel.models import Area, AttributeDefinition, Employee
from personnel.models.employee import today
from personnel.signals import people_changed
from tests.personnel.api.conftest import Api, Caller
from tests.personnel.api.resource import ResourceCase
from tests.personnel.api.trees import at_once

PATH = "/personnel/api/employees/"
NEW = {"emp_code": "employee333", "department": 1, "area": [1]}


class TestEmployees(ResourceCase):
    path = PATH
    model = Employee
    keys = (  # noqa: SIM905
        "id emp_code first_name last_name nickname format_name photo full_name device_password card_no department"
        " position hire_date gender birthday verify_mode emp_type contact_tel office_tel mobile national city address"
        " postcode email enroll_sn ssn religion attemployee dev_privilege area app_status app_role update_time"
        " fingerprint face palm vl_face vl_palm vl_face_photo"
    ).split()
    flat_keys = (  # noqa: SIM905
        "id emp_code first_name last_name nickname device_password card_no department position hire_date gender"
        " birthday verify_mode emp_type contact_tel office_tel mobile national city address postcode email enroll_sn"
        " ssn religion dev_privilege self_password flow_role area app_status app_role"
    ).split()
    body = {"emp_code": "employee333", "first_name": "Ada", "department": 1, "area": [1]}
    change = ("first_name", "Grace")
    missing = ["area", "department", "emp_code"]

    def make(self, number: int) -> Employee:
        employee = Employee.objects.create(emp_code=f"E{number}", department_id=1, first_name=f"First {number}")
        employee.areas.set([1])
        return employee


def codes(api: Api, **asked: Any) -> list[str]:
    return [row["emp_code"] for row in api.get(PATH, **asked)["data"]]


def test_defaults_are_those_of_a_new_installation(api: Api) -> None:
    made = api.post(PATH, NEW)
    row = api.get(f"{PATH}{made['id']}/")
    assert (row["verify_mode"], row["app_status"], row["app_role"], row["dev_privilege"]) == (-1, 0, 1, 0)
    assert (row["photo"], row["enroll_sn"], row["hire_date"]) == ("", "", today().isoformat())
    assert row["attemployee"] == {
        "id": made["id"],
        "enable_attendance": True,
        "enable_overtime": True,
        "enable_holiday": True,
        "enable_schedule": True,
    }


def test_a_put_of_every_key_with_nulls_stores_those_that_can_be_stored(api: Api, person: Caller) -> None:
    employee = person(
        "7", first_name="Ada", mobile="1", hire_date=dt.date(2024, 6, 26), app_status=1, email="a@b.example"
    )
    nulls = dict.fromkeys(
        ("hire_date", "first_name", "last_name", "gender", "mobile", "national", "address", "email", "birthday")
    )
    answer = api.put(
        f"{PATH}{employee.pk}/", {"emp_code": "8", "department": "1", "area": ["1"], "app_status": None, **nulls}
    )
    assert {name: answer[name] for name in nulls} == nulls
    assert (answer["emp_code"], answer["app_status"]) == ("7", 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("emp_code", "x" * 21),
        ("emp_code", ""),
        ("emp_code", "a\tb"),
        ("emp_code", "a\nb"),
        ("emp_code", "a\u200bb"),
        ("emp_code", "a\0b"),
        ("emp_code", ["7"]),
        ("first_name", "x" * 26),
        ("last_name", "x" * 26),
        ("nickname", "x" * 26),
        ("mobile", "1" * 21),
        ("contact_tel", "1" * 21),
        ("national", "x" * 51),
        ("address", "x" * 201),
        ("email", "x" * 39 + "@example.com"),
        ("email", "nobody"),
        ("department", 999999),
        ("department", "one"),
        ("department", {}),
        ("position", 999999),
        ("area", []),
        ("area", [999999]),
        ("area", ["x"]),
        ("area", {"a": 1}),
        ("hire_date", "2024-02-30"),
        ("birthday", 7),
        ("gender", "X"),
        ("self_password", ""),
        ("verify_mode", 40_000),
        ("emp_type", -40_000),
        ("app_status", 10**18),
        ("app_role", "x"),
        ("dev_privilege", 1),
        ("device_password", "123456789"),
        ("device_password", "12a"),
        ("device_password", "\u0661"),
        ("card_no", "1" * 21),
        ("card_no", "12a"),
        ("card_no", 1.5),
        ("self_password", "x" * 129),
        ("enable_attendance", "perhaps"),
        ("attemployee", {"enable_attendance": "perhaps"}),
        ("attemployee", [1]),
        ("photo", "data:image/png;base64,AAAA"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_stored(api: Api, field: str, value: Any) -> None:
    assert list(api.post(PATH, {**NEW, field: value}, 400)) == [field]
    assert Employee.objects.count() == 0


@pytest.mark.parametrize(
    ("sent", "stored"),
    [(5659812, "5659812"), ("0012", "0012"), (" 12 ", "12"), (0, None), ("0", None), ("", None), (None, None)],
)
def test_a_card_is_a_number_or_a_text(api: Api, sent: Any, stored: str | None) -> None:
    assert api.post(PATH, {**NEW, "card_no": sent})["card_no"] == stored


def test_a_card_is_one_person_s(api: Api, person: Caller) -> None:
    person("7", card_no="12")
    assert list(api.post(PATH, {**NEW, "card_no": 12}, 400)) == ["card_no"]


def test_secrets_go_in_and_null_comes_out(api: Api) -> None:
    made = api.post(PATH, {**NEW, "device_password": "31415926", "self_password": "correct horse"})
    employee = Employee.objects.get(pk=made["id"])
    assert (made["device_password"], made["self_password"]) == (None, None)
    assert (employee.device_password, check_password("correct horse", employee.self_password)) == ("31415926", True)
    assert b"31415926" not in bytes(employee.device_password_sealed or b"")
    assert api.get(f"{PATH}{employee.pk}/")["device_password"] is None


def test_what_was_read_can_be_written_back_and_no_secret_is_lost(api: Api, person: Caller) -> None:
    employee = person("7", self_password="md5$salt$hash")
    update_employee(employee.pk, {"device_password": "2718"})
    read = api.get(f"{PATH}{employee.pk}/")
    api.put(f"{PATH}{employee.pk}/", {**read, "self_password": None})
    employee.refresh_from_db()
    assert (employee.device_password, employee.self_password) == ("2718", "md5$salt$hash")
    assert api.get(f"{PATH}{employee.pk}/") == {**read, "update_time": ANY}


def test_an_empty_pin_removes_it(api: Api, person: Caller) -> None:
    employee = person("7")
    update_employee(employee.pk, {"device_password": "2718"})
    api.patch(f"{PATH}{employee.pk}/", {"device_password": ""})
    employee.refresh_from_db()
    assert employee.device_password == ""


def test_attendance_is_switched_nested_and_flat(api: Api, person: Caller) -> None:
    employee = person("7")
    api.patch(f"{PATH}{employee.pk}/", {"attemployee": {"enable_attendance": False}, "enable_overtime": 0})
    shown = api.get(f"{PATH}{employee.pk}/")["attemployee"]
    assert [shown[f"enable_{what}"] for what in ("attendance", "overtime", "holiday")] == [False, False, True]


def test_what_was_read_can_be_sent_back(api: Api, person: Caller) -> None:
    employee = person("7", first_name="Ada", position_id=1, card_no="12", photo="photo/x.jpg")
    row = api.get(f"{PATH}{employee.pk}/")
    api.put(f"{PATH}{employee.pk}/", row)
    assert {**api.get(f"{PATH}{employee.pk}/"), "update_time": row["update_time"]} == row


@pytest.fixture
def attributes(db: None) -> None:
    for name, kind in (("Passport", "text"), ("Children", "number"), ("Since", "date"), ("Primary Job", "choice")):
        AttributeDefinition.objects.create(name=name, kind=kind, choices=["Day", "Night"])


def test_custom_attributes_are_keys_like_others(api: Api, attributes: None) -> None:
    given = {"Passport": "X1", "Children": 2, "Since": "2024-06-26", "Primary Job": "Night"}
    made = api.post(PATH, {**NEW, **given, "Children": "2"})
    assert {name: made[name] for name in given} == given
    assert list(made)[-4:] == list(given) == list(api.get(f"{PATH}{made['id']}/"))[-4:]
    changed = api.patch(f"{PATH}{made['id']}/", {"Passport": None, "Children": 3})
    assert {name: changed[name] for name in given} == {**given, "Passport": None, "Children": 3}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Passport", "x" * 201),
        ("Passport", "a\0b"),
        ("Passport", {}),
        ("Children", "many"),
        ("Children", "NaN"),
        ("Since", "soon"),
        ("Primary Job", "Dawn"),
    ],
)
def test_a_wrong_value_names_its_attribute(api: Api, attributes: None, name: str, value: Any) -> None:
    assert list(api.post(PATH, {**NEW, name: value}, 400)) == [name]


def test_filters(api: Api, person: Caller, places: Any, offices: Any) -> None:
    person("7", 2, 3, first_name="Ada", last_name="Lovelace", department_id=2)
    person("70", 3, first_name="Grace", last_name="Hopper", department_id=3, app_status=1)
    assert codes(api, emp_code="7") == codes(api, first_name="Ada") == codes(api, last_name="Lovelace") == ["7"]
    assert codes(api, emp_code_icontains="7") == ["7", "70"]
    assert codes(api, first_name_icontains="aDa") == codes(api, last_name_icontains="VELA") == ["7"]
    assert codes(api, department=3) == codes(api, app_status=1) == codes(api, search="hop") == ["70"]
    assert codes(api, departments="2,3") == codes(api, departments=["2", "3"]) == ["7", "70"]
    assert (codes(api, areas="2"), codes(api, areas="2,3"), codes(api, areas=999999)) == (["7"], ["7", "70"], [])
    assert codes(api, ordering="-emp_code") == codes(api, ordering="last_name", unknown="x") == ["70", "7"]
    for name in ("department", "areas", "departments", "app_status"):
        assert list(api.get(PATH, 400, **{name: "x"})) == [name]


def test_only_what_terminals_know_is_news(api: Api, person: Caller, places: Any, news: list[Any]) -> None:
    employee = person("7", 2, 3)
    at = f"{PATH}{employee.pk}/"
    for unheard in ({"address": "Home"}, {"department": 1}, {"area": [3, 2]}, {"first_name": None}):
        api.patch(at, unheard)
    assert news == []
    for heard in (
        {"first_name": "Ada"},
        {"card_no": 5},
        {"device_password": "1"},
        {"dev_privilege": 14},
        {"verify_mode": 1},
    ):
        api.patch(at, heard)
    assert news == [({2, 3}, {"7"})] * 5
    api.patch(at, {"area": [3, 4]})
    assert news[5:] == [({2, 3, 4}, {"7"})]
    api.delete(at)
    assert news[6:] == [({3, 4}, {"7"})]


def test_a_new_person_is_news_in_their_areas(api: Api, places: Any, news: list[Any]) -> None:
    api.post(PATH, {**NEW, "area": "2,3"})
    assert news == [({2, 3}, {"employee333"})]


def test_who_fails_to_hear_of_it_undoes_it(api: Api, person: Caller, news: list[Any]) -> None:
    employee = person("7")

    def fail(**_news: Any) -> None:
        raise RuntimeError

    people_changed.connect(fail)
    try:
        assert api("PATCH", f"{PATH}{employee.pk}/", {"first_name": "Ada"}).status_code == 500
    finally:
        people_changed.disconnect(fail)
    employee.refresh_from_db()
    assert employee.first_name is None


@pytest.mark.django_db(transaction=True)
def test_of_two_creates_at_once_one_is_told_that_the_code_is_taken() -> None:
    assert at_once(("POST", PATH, NEW), ("POST", PATH, NEW)) == [201, 400]
    assert Employee.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_edits_at_once_lose_nothing() -> None:
    first, second = (AttributeDefinition.objects.create(name=name) for name in ("One", "Two"))
    employee = Employee.objects.create(emp_code="7", department_id=1)
    employee.areas.set([1])
    at = f"{PATH}{employee.pk}/"
    assert at_once(("PATCH", at, {"One": "1", "city": "Here"}), ("PATCH", at, {"Two": "2", "address": "There"})) == [
        200,
        200,
    ]
    employee.refresh_from_db()
    assert employee.attributes == {str(first.pk): "1", str(second.pk): "2"}
    assert (employee.city, employee.address) == ("Here", "There")


@pytest.mark.django_db(transaction=True)
def test_an_edit_waits_for_the_one_that_holds_the_row() -> None:
    employee = Employee.objects.create(emp_code="7", department_id=1, first_name="Ada")
    employee.areas.set([1])
    area = Area.objects.create(area_code="2", area_name="Two")
    held, waited = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                update_employee(employee.pk, {"last_name": "Lovelace"}, areas=[area])
                held.set()
                assert not waited.wait(timeout=1)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(timeout=20)
    changed = update_employee(employee.pk, {"first_name": "Grace"})
    waited.set()
    holder.join(timeout=20)
    assert (changed.first_name, changed.last_name) == ("Grace", "Lovelace")
    assert [each.pk for each in changed.areas.all()] == [area.pk]


@pytest.mark.parametrize("format", ["json", "form"])
def test_an_empty_text_is_nothing_where_no_text_is_kept(api: Api, format: str) -> None:  # noqa: A002
    empty = dict.fromkeys(
        ["verify_mode", "dev_privilege", "app_status", "position", "birthday", "enable_attendance"], ""
    )

    made = api.post(PATH, {**NEW, "area": "1", **empty}, format=format)

    assert [made[name] for name in ("verify_mode", "dev_privilege", "position", "birthday")] == [-1, 0, None, None]


def test_a_refusal_quotes_as_much_as_anybody_reads(api: Api) -> None:
    [sentence] = api.post(PATH, {**NEW, "hire_date": "x" * 100_000}, 400)["hire_date"]

    assert (len(sentence), sentence[-1]) == (501, "…")
