"""Departments; their codes are kept on update."""

from __future__ import annotations

import pytest

from personnel.models import Department, Employee
from tests.personnel.api.conftest import Api
from tests.personnel.api.trees import TreeCase, at_once

PATH = "/personnel/api/departments/"


class TestDepartments(TreeCase):
    path = PATH
    model = Department
    code, name, parent = "dept_code", "dept_name", "parent_dept"
    keys = flat_keys = ["id", "dept_code", "dept_name", "parent_dept"]
    body = {"dept_code": "222", "dept_name": "Department222", "parent_dept": 1}
    change = ("dept_name", "Renamed")
    missing = ["dept_code", "dept_name"]

    def take_in(self, row: Department, employee: Employee) -> None:
        Employee.objects.filter(pk=employee.pk).update(department=row)

    @pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
    def test_the_code_is_kept_without_a_word(self, api: Api, method: str) -> None:
        row = self.make(1)
        answer = api(method, self.at(row), {"dept_code": "another", "dept_name": "Renamed"})
        assert (answer.status_code, answer.json()["dept_code"]) == (200, "c1")
        assert Department.objects.get(pk=row.pk).dept_code == "c1"


@pytest.mark.django_db(transaction=True)
def test_of_two_creates_at_once_one_is_told_that_the_code_is_taken() -> None:
    body = {"dept_code": "222", "dept_name": "Twice"}
    assert at_once(("POST", PATH, body), ("POST", PATH, body)) == [201, 400]
    assert Department.objects.filter(dept_code="222").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_moves_at_once_close_no_circle() -> None:
    one, two = (Department.objects.create(dept_code=code, dept_name=code) for code in "ab")
    moves = [("PATCH", f"{PATH}{row.pk}/", {"parent_dept": other.pk}) for row, other in ((one, two), (two, one))]
    assert at_once(*moves) == [200, 400]


@pytest.mark.django_db
def test_sentences_follow_the_language_asked_for(api: Api) -> None:
    answer = api.client.delete(f"{PATH}1/", headers={"Accept-Language": "es"})
    assert answer.json() == {"non_field_errors": ["Esta fila pertenece a la instalación y no se puede eliminar."]}


@pytest.mark.parametrize("unseen", ["a\tb", "a\nb", "a\x1bb", "a\u202eb", "a\x85b"])
def test_a_name_is_one_readable_line(api: Api, unseen: str) -> None:
    assert list(api.post(PATH, {"dept_code": "x", "dept_name": unseen}, 400)) == ["dept_name"]


@pytest.mark.parametrize("spelling", ["+1", "%EF%BC%91", "1.0", "1_0", "-1", "9" * 19])
def test_what_is_no_id_is_unknown(api: Api, spelling: str) -> None:
    assert api("GET", f"{PATH}{spelling}/").status_code == 404


def test_a_write_without_the_last_slash_is_carried_out(api: Api) -> None:
    made = api.post(PATH.rstrip("/"), {"dept_code": "x", "dept_name": "X"})

    assert api.patch(f"{PATH}{made['id']}", {"dept_name": "Y"})["dept_name"] == "Y"
    assert api("GET", PATH.rstrip("/")).status_code == 301


def test_a_form_of_too_many_fields_is_told_what_to_do(api: Api) -> None:
    body = "&".join(["area=1"] * 1001)
    answer = api.client.generic("POST", PATH, body, content_type="application/x-www-form-urlencoded")

    assert (answer.status_code, answer.json()) == (
        400,
        {"detail": "A form has 1000 fields at most here. Send longer lists as JSON."},
    )
