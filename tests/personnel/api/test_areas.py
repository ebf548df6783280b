"""Areas; their codes change, and moving one is news for its terminals."""

from __future__ import annotations

import pytest

from personnel.models import Area, Employee
from tests.personnel.api.conftest import Api
from tests.personnel.api.trees import TreeCase, at_once

PATH = "/personnel/api/areas/"


class TestAreas(TreeCase):
    path = PATH
    model = Area
    code, name, parent = "area_code", "area_name", "parent_area"
    keys = ["id", "area_code", "area_name", "parent_area", "parent_area_name"]
    flat_keys = ["id", "area_code", "area_name", "parent_area"]
    body = {"area_code": "222", "area_name": "Area222", "parent_area": 1}
    change = ("area_name", "Renamed")
    missing = ["area_code", "area_name"]

    def take_in(self, row: Area, employee: Employee) -> None:
        employee.areas.set([row])

    def test_the_code_changes(self, api: Api) -> None:
        row = self.make(1)
        assert api.patch(self.at(row), {"area_code": "another"})["area_code"] == "another"

    def test_the_name_of_the_parent_stands_beside_it(self, api: Api) -> None:
        row = self.make(2, parent_area=self.make(1))
        assert api.get(self.at(row))["parent_area_name"] == "Name 1"

    def test_a_move_is_announced_with_where_it_was(self, api: Api, news: list[object]) -> None:
        old, new = self.make(1), self.make(2)
        row = self.make(3, parent_area=old)
        api.patch(self.at(row), {"area_name": "Renamed", "parent_area": old.pk})
        assert news == []
        api.patch(self.at(row), {"parent_area": new.pk})
        assert news == [({row.pk, old.pk}, set())]


@pytest.mark.django_db(transaction=True)
def test_of_two_creates_at_once_one_is_told_that_the_code_is_taken() -> None:
    body = {"area_code": "222", "area_name": "Twice"}
    assert at_once(("POST", PATH, body), ("POST", PATH, body)) == [201, 400]
