"""What holds for every resource, inherited by its tests: these are a page of data."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from tests.personnel.api.conftest import Api, user_with

FORMATS = pytest.mark.parametrize("format", ["json", "form", "multipart"])


@pytest.mark.django_db
class ResourceCase:
    path: ClassVar[str]
    model: ClassVar[type[Model]]
    keys: ClassVar[list[str]]  # of a row, in order
    flat_keys: ClassVar[list[str]]  # of the answer to a write, in order
    body: ClassVar[dict[str, Any]]  # makes a row
    change: ClassVar[tuple[str, Any]]  # changes it
    missing: ClassVar[list[str]]  # what an empty body lacks

    def make(self, number: int) -> Model:
        """Row number n, written directly."""
        raise NotImplementedError

    def at(self, row: Model) -> str:
        return f"{self.path}{row.pk}/"

    def test_who_is_nobody_is_asked_for_credentials(self) -> None:
        row, nobody = self.make(1), Api(None)
        for method, path in (("GET", self.path), ("POST", self.path), ("GET", self.at(row)), ("DELETE", self.at(row))):
            answer = nobody(method, path)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Token")

    def test_a_new_user_may_do_nothing(self) -> None:
        row, fresh = self.make(1), Api(user_with(name="fresh"))
        for method, path in (("GET", self.path), ("POST", self.path), ("GET", self.at(row)), ("DELETE", self.at(row))):
            assert fresh(method, path).status_code == 403
        assert self.model._default_manager.filter(pk=row.pk).exists()

    def test_each_verb_asks_for_its_own_permission(self) -> None:
        row, name = self.make(1), self.model._meta.model_name
        reader = Api(user_with(f"view_{name}", name="reader"))
        assert [reader(method, self.at(row), {}).status_code for method in ("PATCH", "PUT", "POST", "DELETE")] == [
            403
        ] * 4
        assert reader("GET", self.at(row)).status_code == 200

    def test_a_list_comes_in_the_envelope_with_keys_in_order(self, api: Api) -> None:
        rows = [self.make(number) for number in (1, 2)]
        answer = api.get(self.path, page_size=1000)
        assert list(answer) == ["count", "next", "previous", "msg", "code", "data"]
        assert [row["id"] for row in answer["data"]][-2:] == [row.pk for row in rows]
        assert all(list(row) == self.keys for row in answer["data"])

    def test_a_long_list_is_the_same(self, api: Api) -> None:
        self.make(1), self.make(2)
        long = api.client.get(self.path, {"page_size": 5000})
        assert b"".join(long.streaming_content) == api.client.get(self.path, {"page_size": 1000}).content

    def test_one_is_the_row_of_the_list(self, api: Api) -> None:
        row = self.make(1)
        assert api.get(self.at(row)) == api.get(self.path, ordering="-id")["data"][0]

    def test_an_unknown_id_is_not_found(self, api: Api) -> None:
        for method in ("GET", "PATCH", "PUT", "POST", "DELETE"):
            assert api(method, f"{self.path}999999/", {}).status_code == 404

    @FORMATS
    def test_one_is_created_and_answered_flat(self, api: Api, format: str) -> None:  # noqa: A002
        answer = api.post(self.path, self.body, format=format)
        assert list(answer) == self.flat_keys
        assert api.get(f"{self.path}{answer['id']}/")["id"] == answer["id"]

    def test_what_is_missing_is_named(self, api: Api) -> None:
        assert sorted(api.post(self.path, {}, 400)) == sorted(self.missing)

    @pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
    @FORMATS
    def test_what_is_not_sent_keeps_its_value(self, api: Api, method: str, format: str) -> None:  # noqa: A002
        row, (key, value) = self.make(1), self.change
        before = api.get(self.at(row))
        answer = api(method, self.at(row), {key: value}, format=format)
        assert (answer.status_code, list(answer.json())) == (200, self.flat_keys)
        after = api.get(self.at(row))
        changed = {name for name in after if after[name] != before[name]} - {"update_time", "full_name", "format_name"}
        assert (changed, after[key]) == ({key}, value)

    def test_one_is_deleted(self, api: Api) -> None:
        row = self.make(1)
        answer = api("DELETE", self.at(row))
        assert (answer.status_code, answer.content) == (204, b"")
        assert not self.model._default_manager.filter(pk=row.pk).exists()

    def test_a_list_asks_as_many_questions_for_three_rows_as_for_one(self, api: Api) -> None:
        self.make(1)
        api.get(self.path)
        with CaptureQueriesContext(connection) as for_one:
            api.get(self.path)
        self.make(2), self.make(3)
        with CaptureQueriesContext(connection) as for_three:
            api.get(self.path)
        assert len(for_three) == len(for_one)

    @pytest.mark.parametrize("body", [[], "text", 7, [1, 2]])
    def test_a_body_that_is_no_object_is_refused(self, api: Api, body: Any) -> None:
        assert api("POST", self.path, body).status_code == 400
