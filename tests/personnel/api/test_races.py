"""Requests that meet: each is answered, none with a defect, and nobody waits in a circle."""

from __future__ import annotations

import pytest

from personnel.models import Area, Employee, Resignation
from tests.personnel.api.conftest import Api
from tests.racing import statuses_at_once

ROUNDS = 8


@pytest.mark.django_db(transaction=True)
def test_a_change_that_meets_a_deletion_is_done_before_it_or_not_found(api: Api) -> None:
    for number in range(ROUNDS):
        area = Area.objects.create(area_code=f"c{number}", area_name="old")
        path = f"/personnel/api/areas/{area.pk}/"
        changed, deleted = statuses_at_once(
            lambda path=path: api("PATCH", path, {"area_name": "new"}), lambda path=path: api("DELETE", path)
        )
        assert (changed in {200, 404}, deleted) == (True, 204)


@pytest.mark.django_db(transaction=True)
def test_people_changed_resigned_reinstated_and_deleted_at_once(api: Api) -> None:
    for number in range(ROUNDS):
        employee = Employee.objects.create(emp_code=f"r{number}", department_id=1)
        employee.areas.set([1])
        gone = Resignation.objects.create(employee=employee, resign_date="2024-06-26")
        answers = statuses_at_once(
            lambda pk=gone.pk: api("PATCH", f"/personnel/api/resigns/{pk}/", {"disableatt": False}),
            lambda pk=gone.pk: api("POST", "/personnel/api/resigns/reinstatement/", {"resigns": [pk]}),
            lambda pk=employee.pk: api("PATCH", f"/personnel/api/employees/{pk}/", {"first_name": "Ada"}),
            lambda pk=employee.pk: api("DELETE", f"/personnel/api/employees/{pk}/"),
        )
        assert {*answers} <= {200, 204, 400, 404}
        assert not Employee.objects.filter(pk=employee.pk).exists()
