"""What is done to many people at once: all of it or nothing, with news for the terminals and a line in the trail."""

from __future__ import annotations

from typing import Any

import pytest

from personnel.models import Employee, Position, Resignation
from tests.personnel.api.conftest import Api, Caller, user_with
from zkbio.accounts.models import AuditEntry

PATH = "/personnel/api/employees/"
DONE = {"code": 0, "msg": "success", "data": []}
RESIGN = {"resign_date": "2024-06-26", "resign_type": 2, "disableatt": True, "reason": "moved away"}

ACTIONS: list[tuple[str, dict[str, Any]]] = [
    ("adjust_area", {"areas": [2]}),
    ("adjust_department", {"department": 2}),
    ("adjust_position", {"position": 1}),
    ("adjust_regsin", RESIGN),
    ("adjust_resign", RESIGN),
    ("del_bio_template", {"face": True}),
    ("resync_to_device", {}),
]
every_action = pytest.mark.parametrize(("action", "body"), ACTIONS)


@pytest.fixture
def pair(person: Caller, places: Any, offices: Any) -> list[Employee]:
    return [person("7", 2, 3, card_no="12"), person("8", 3)]


def ids(pair: list[Employee]) -> list[int]:
    return [each.pk for each in pair]


@every_action
@pytest.mark.parametrize("spelling", [list, lambda ids: [str(pk) for pk in ids], lambda ids: ",".join(map(str, ids))])
def test_it_is_done_and_said_so(api: Api, pair: list[Employee], action: str, body: Any, spelling: Any) -> None:
    assert api.post(f"{PATH}{action}/", {**body, "employees": spelling(ids(pair))}, 200) == DONE


@every_action
@pytest.mark.parametrize("format", ["form", "multipart"])
def test_forms_are_read_as_well(api: Api, pair: list[Employee], action: str, body: Any, format: str) -> None:  # noqa: A002
    indexed = {f"employees[{place}]": pk for place, pk in enumerate(ids(pair))}
    assert api.post(f"{PATH}{action}/", {**body, **indexed}, 200, format=format) == DONE


@every_action
def test_an_unknown_person_stops_all_of_it(
    api: Api, pair: list[Employee], action: str, body: Any, news: list[Any]
) -> None:
    before = list(Employee.objects.order_by("pk").values())
    assert list(api.post(f"{PATH}{action}/", {**body, "employees": [*ids(pair), 999999]}, 400)) == ["employees"]
    assert (news, Resignation.objects.count(), list(Employee.objects.order_by("pk").values())) == ([], 0, before)


@every_action
@pytest.mark.parametrize("employees", [[], "", None, "x", {"a": 1}, [[1]], True])
def test_a_list_that_is_none_is_named(api: Api, pair: list[Employee], action: str, body: Any, employees: Any) -> None:
    assert list(api.post(f"{PATH}{action}/", {**body, "employees": employees}, 400)) == ["employees"]


def test_a_list_has_an_end(api: Api) -> None:
    assert api.post(f"{PATH}resync_to_device/", {"employees": list(range(50_001))}, 400) == {
        "employees": ["At most 50000 at once."]
    }


@every_action
def test_who_may_only_read_may_not(pair: list[Employee], action: str, body: Any) -> None:
    reader = Api(user_with("view_employee", "view_resignation", name="reader"))
    assert reader("POST", f"{PATH}{action}/", {**body, "employees": ids(pair)}).status_code == 403


@every_action
def test_it_stands_in_the_trail(api: Api, pair: list[Employee], action: str, body: Any) -> None:
    api.post(f"{PATH}{action}/", {**body, "employees": ids(pair)}, 200)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject, entry.detail) == (f"personnel.{action}", "2 people", {"emp_code": ["7", "8"]})


def test_areas_left_kept_and_joined_are_news(api: Api, pair: list[Employee], news: list[Any]) -> None:
    api.post(f"{PATH}adjust_area/", {"employees": ids(pair), "areas": [3, 4]}, 200)
    assert [{area.pk for area in each.areas.all()} for each in pair] == [{3, 4}, {3, 4}]
    assert news == [({2, 3, 4}, {"7", "8"})]


def test_department_and_position_change_without_news(api: Api, pair: list[Employee], news: list[Any]) -> None:
    position = Position.objects.create(position_code="2", position_name="Two")
    api.post(f"{PATH}adjust_department/", {"employees": ids(pair), "department": 3}, 200)
    api.post(f"{PATH}adjust_position/", {"employees": ids(pair), "position": position.pk}, 200)
    assert set(Employee.objects.values_list("department", "position")) == {(3, position.pk)}
    assert news == []


def test_templates_are_withdrawn_by_kind(api: Api, pair: list[Employee], news: list[Any], withdrawn: list[Any]) -> None:
    body = {"employees": ids(pair), "finger_print": True, "face": "True", "palm": 0, "finger_vein": "1"}
    api.post(f"{PATH}del_bio_template/", body, 200)
    assert withdrawn == [(["7", "8"], {"finger_print", "face", "finger_vein"})]
    assert news == [({2, 3}, {"7", "8"})]


def test_people_are_sent_again_by_id_and_by_code(api: Api, pair: list[Employee], news: list[Any]) -> None:
    api.post(f"{PATH}resync_to_device/", {"employees": [pair[0].pk]}, 200)
    api.post(f"{PATH}resync_to_device/", {"emp_code": ["8"]}, 200)
    api.post(f"{PATH}resync_to_device/", {"emp_code": "7,8"}, 200)
    assert news == [({2, 3}, {"7"}), ({3}, {"8"}), ({2, 3}, {"7", "8"})]
    assert api.post(f"{PATH}resync_to_device/", {"emp_code": ["8", "nobody"]}, 400) == {
        "emp_code": ["Unknown employee codes: nobody."]
    }


@pytest.mark.parametrize(
    ("action", "field", "value"),
    [
        ("adjust_area", "areas", [999999]),
        ("adjust_area", "areas", []),
        ("adjust_department", "department", 999999),
        ("adjust_position", "position", "x"),
        ("adjust_resign", "resign_date", "soon"),
        ("adjust_resign", "resign_type", 6),
        ("adjust_resign", "reason", "x" * 201),
        ("adjust_resign", "disableatt", "perhaps"),
        ("del_bio_template", "face", "perhaps"),
    ],
)
def test_a_wrong_value_is_named(api: Api, pair: list[Employee], action: str, field: str, value: Any) -> None:
    body = {**dict(ACTIONS)[action], "employees": ids(pair), field: value}
    assert list(api.post(f"{PATH}{action}/", body, 400)) == [field]


def test_too_many_places_at_once_are_refused(api: Api, person: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personnel.api.resignations._MOST_PLACES", 1)
    people = [person("7").pk, person("8").pk]

    refused = api.post("/personnel/api/employees/adjust_area/", {"employees": people, "areas": [1]}, 400)

    assert refused == {"non_field_errors": ["At most 1 people times areas at once; this is 2."]}
