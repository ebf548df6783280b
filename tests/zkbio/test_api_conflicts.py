"""What the database refuses because of other rows is told in words that name the field."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from personnel.models import Area, Department, Employee
from zkbio.api.conflicts import conflict_refusal

pytestmark = pytest.mark.django_db


def refusal_of_saving(row: Department) -> dict[str, list[str]] | None:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        row.save(force_insert=True)
    return conflict_refusal(caught.value)


def test_a_code_that_was_taken_meanwhile_names_its_field() -> None:
    assert refusal_of_saving(Department(dept_code="1", dept_name="Another")) == {
        "dept_code": ["department with this code already exists."]
    }


def test_a_value_that_its_column_can_not_hold_is_no_conflict() -> None:
    assert refusal_of_saving(Department(dept_code=None, dept_name="Nameless")) is None


def test_what_is_in_use_is_counted_by_kind() -> None:
    area = Area.objects.create(area_code="2", area_name="Two")
    Area.objects.create(area_code="3", area_name="Three", parent_area=area)
    Area.objects.create(area_code="4", area_name="Four", parent_area=area)

    with pytest.raises(ProtectedError) as caught:
        area.delete()

    assert conflict_refusal(caught.value) == {
        "non_field_errors": ["Still in use by 2 areas. Move or delete these first."]
    }


def test_people_and_children_are_listed_apart() -> None:
    department = Department.objects.create(dept_code="2", dept_name="Two")
    Department.objects.create(dept_code="3", dept_name="Three", parent_dept=department)
    Employee.objects.create(emp_code="7", department=department)

    with pytest.raises(ProtectedError) as caught:
        department.delete()

    assert conflict_refusal(caught.value) == {
        "non_field_errors": ["Still in use by 1 department, 1 employee. Move or delete these first."]
    }
