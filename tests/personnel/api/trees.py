"""What departments, areas and positions have in common."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import pytest
from django.db import connection

from personnel.models import Area, Department, Employee, Position
from tests.personnel.api.conftest import EVERY_PERMISSION, Api, user_with
from tests.personnel.api.resource import ResourceCase


class TreeCase(ResourceCase):
    model: ClassVar[type[Department] | type[Area] | type[Position]]
    code: ClassVar[str]
    name: ClassVar[str]
    parent: ClassVar[str]

    def make(self, number: int, **columns: Any) -> Any:
        return self.model.objects.create(**{self.code: f"c{number}", self.name: f"Name {number}", **columns})

    def test_the_parent_is_an_object_and_the_grandparent_an_id(self, api: Api) -> None:
        top = self.make(1)
        middle = self.make(2, **{self.parent: top})
        leaf = self.make(3, **{self.parent: middle})
        shown = {"id": middle.pk, self.code: "c2", self.name: "Name 2", self.parent: top.pk}
        assert api.get(self.at(leaf))[self.parent] == shown
        assert api.get(self.at(middle))[self.parent] == {
            **shown,
            "id": top.pk,
            self.code: "c1",
            self.name: "Name 1",
            self.parent: None,
        }

    def test_a_code_is_given_once(self, api: Api) -> None:
        self.make(1)
        assert list(api.post(self.path, {self.code: "c1", self.name: "Other"}, 400)) == [self.code]

    @pytest.mark.parametrize("value", ["x" * 51, "", "a\0b", [1], {"a": 1}])
    def test_an_impossible_code_is_named(self, api: Api, value: Any) -> None:
        assert list(api.post(self.path, {self.code: value, self.name: "Other"}, 400)) == [self.code]

    def test_an_overlong_name_is_named(self, api: Api) -> None:
        assert list(api.post(self.path, {self.code: "x", self.name: "y" * 201}, 400)) == [self.name]

    @pytest.mark.parametrize("parent", [999999, "x", [1], True, -1, "9" * 30])
    def test_an_unknown_parent_is_named(self, api: Api, parent: Any) -> None:
        assert list(api.post(self.path, {self.code: "x", self.name: "y", self.parent: parent}, 400)) == [self.parent]

    @pytest.mark.parametrize("spelling", [int, str, lambda pk: {"id": pk}])
    def test_a_parent_is_an_id_in_any_spelling(self, api: Api, spelling: Any) -> None:
        top = self.make(1)
        answer = api.post(self.path, {self.code: "x", self.name: "y", self.parent: spelling(top.pk)})
        assert answer[self.parent] == top.pk

    def test_parents_form_no_circle(self, api: Api) -> None:
        top = self.make(1)
        leaf = self.make(2, **{self.parent: top})
        for parent in (top, leaf):
            assert list(api.patch(self.at(top), {self.parent: parent.pk}, 400)) == [self.parent]
        assert api.get(self.at(top))[self.parent] is None

    def test_a_put_with_nulls_moves_to_the_top(self, api: Api) -> None:
        leaf = self.make(2, **{self.parent: self.make(1)})
        answer = api.put(self.at(leaf), {self.code: None, self.name: "New", self.parent: None})
        assert (answer[self.code], answer[self.name], answer[self.parent]) == ("c2", "New", None)

    def test_what_has_children_stays(self, api: Api) -> None:
        top = self.make(1)
        self.make(2, **{self.parent: top})
        assert list(api.delete(self.at(top), 400)) == ["non_field_errors"]
        assert self.model.objects.filter(pk=top.pk).exists()

    def test_what_people_are_in_stays(self, api: Api) -> None:
        row = self.make(1)
        employee = Employee.objects.create(emp_code="7", department_id=1)
        self.take_in(row, employee)
        assert api.delete(self.at(row), 400) == {
            "non_field_errors": ["Still in use by 1 employee. Move or delete these first."]
        }
        assert self.model.objects.filter(pk=row.pk).exists()

    def take_in(self, row: Any, employee: Employee) -> None:
        raise NotImplementedError

    def test_row_1_stays(self, api: Api) -> None:
        answer = api.delete(f"{self.path}1/", 400)
        assert answer == {"non_field_errors": ["This row belongs to the installation and can't be deleted."]}

    def test_filters_compare_codes_names_and_parents(self, api: Api) -> None:
        top = self.make(1)
        leaf = self.make(2, **{self.parent: top})

        def found(**asked: Any) -> list[int]:
            return [row["id"] for row in api.get(self.path, **asked)["data"]]

        assert found(**{self.code: "c1"}) == found(**{self.name: "Name 1"}) == [top.pk]
        assert found(**{f"{self.code}_icontains": "C", self.parent: top.pk}) == [leaf.pk]
        assert found(**{f"{self.name}_icontains": "nAmE"}) == found(search="Name") == [top.pk, leaf.pk]
        assert found(search="Name", ordering=f"-{self.code}") == [leaf.pk, top.pk]
        assert found(**{self.parent: 999999}) == []
        assert list(api.get(self.path, 400, **{self.parent: "x"})) == [self.parent]


def at_once(*requests: tuple[str, str, Any]) -> list[int]:
    """Send these at one moment, each over a connection of its own; gives their statuses, sorted."""
    user = user_with(*EVERY_PERMISSION)
    callers, barrier, statuses = [Api(user) for _ in requests], threading.Barrier(len(requests)), []

    def send(api: Api, request: tuple[str, str, Any]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            statuses.append(api(*request).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=pair) for pair in zip(callers, requests, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return sorted(statuses)
