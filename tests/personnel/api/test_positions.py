from __future__ import annotations

from personnel.models import Employee, Position
from tests.personnel.api.conftest import Api
from tests.personnel.api.trees import TreeCase


class TestPositions(TreeCase):
    path = "/personnel/api/positions/"
    model = Position
    code, name, parent = "position_code", "position_name", "parent_position"
    keys = ["id", "position_code", "position_name", "parent_position", "parent_position_name"]
    flat_keys = ["id", "position_code", "position_name", "parent_position"]
    body = {"position_code": "222", "position_name": "Position222", "parent_position": 1}
    change = ("position_name", "Renamed")
    missing = ["position_code", "position_name"]

    def take_in(self, row: Position, employee: Employee) -> None:
        Employee.objects.filter(pk=employee.pk).update(position=row)

    def test_the_code_changes(self, api: Api) -> None:
        row = self.make(1)
        assert api.patch(self.at(row), {"position_code": "another"})["position_code"] == "another"
