"""Filters and ordering of punches."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from .conftest import Punches, Reader

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/transactions/"


@pytest.fixture
def week(punches: Punches) -> None:
    """Punches on 2024-05-01 … 05, one a day at 09:00, of two people at two terminals, the second person twice."""
    punches(1, emp_code="1", punch_time=datetime(2024, 5, 1, 9), terminal_sn="A", terminal_alias="Gate")
    punches(2, emp_code="2", punch_time=datetime(2024, 5, 2, 9), terminal_sn="B", terminal_alias="Gate")
    punches(3, emp_code="01", punch_time=datetime(2024, 5, 3, 9), terminal_sn="A", terminal_alias="Lift")
    # A late upload of an older punch.
    punches(4, emp_code="2", punch_time=datetime(2024, 5, 1, 8), terminal_sn="A", terminal_alias="Lift")


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({"emp_code": "1"}, [1]),
    ({"emp_code": "01"}, [3]),
    ({"emp_code": "2"}, [2, 4]),
    ({"terminal_sn": "A"}, [1, 3, 4]),
    ({"terminal_sn": "a"}, []),
    ({"terminal_alias": "Gate"}, [1, 2]),
    ({"start_time": "2024-05-02 09:00:00"}, [2, 3]),
    ({"end_time": "2024-05-02 09:00:00"}, [1, 2, 4]),
    ({"start_time": "2024-05-02", "end_time": "2024-05-03"}, [2]),
    ({"start_time": "2024-5-2T09:00", "end_time": "2024-5-2 9:0"}, [2]),
    ({"emp_code": "2", "terminal_sn": "A", "start_time": "2024-05-01 08:00:00"}, [4]),
    ({"emp_code": "", "start_time": ""}, [1, 2, 3, 4]),
    ({"no_such_parameter": "x"}, [1, 2, 3, 4]),
    ({"since_id": 2, "terminal_sn": "A"}, [3, 4]),
]


@pytest.mark.parametrize(("parameters", "ids"), FILTERS)
def test_filter(parameters: dict[str, Any], ids: list[int], week: None, get: Reader) -> None:
    answer = get(PATH, **parameters)

    assert ([row["id"] for row in answer["data"]], answer["count"]) == (ids, len(ids))


ORDERINGS = [
    ("id", [1, 2, 3, 4]),
    ("-id", [4, 3, 2, 1]),
    ("punch_time", [4, 1, 2, 3]),
    ("-punch_time", [3, 2, 1, 4]),
    ("upload_time", [1, 2, 3, 4]),
    ("-upload_time", [4, 3, 2, 1]),
    ("punch_time,-id", [4, 1, 2, 3]),
    ("nonsense", [1, 2, 3, 4]),
    ("nonsense,-punch_time", [3, 2, 1, 4]),
    ("emp_code", [1, 2, 3, 4]),
    ("", [1, 2, 3, 4]),
]


@pytest.mark.parametrize("filters", [{}, {"start_time": "2024-01-01"}, {"since_id": 0}])
@pytest.mark.parametrize(("ordering", "ids"), ORDERINGS)
def test_ordering(ordering: str, ids: list[int], filters: dict[str, Any], week: None, get: Reader) -> None:
    assert [row["id"] for row in get(PATH, ordering=ordering, **filters)["data"]] == ids


@pytest.mark.parametrize("filters", [{}, {"start_time": "2024-05-01"}])
@pytest.mark.parametrize(("ordering", "ids"), [("punch_time", [1, 2, 3, 4]), ("-punch_time", [4, 3, 2, 1])])
def test_equal_times_are_told_apart_by_id(
    ordering: str, ids: list[int], filters: dict[str, str], punches: Punches, get: Reader
) -> None:
    for number in (3, 1, 4, 2):
        punches(number, emp_code=str(number), punch_time=datetime(2024, 5, 1))

    assert [row["id"] for row in get(PATH, ordering=ordering, **filters)["data"]] == ids


@pytest.mark.parametrize("name", ["start_time", "end_time"])
@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-02-30 10:00:00", "2024-05-01 25:00", "01.05.2024"])
def test_a_time_that_cant_be_read_is_refused_by_name(name: str, text: str, get: Reader) -> None:
    answer = get(PATH, status=400, **{name: text})

    assert answer == {name: [f"“{text}” is no date and time; write it as 2024-06-26 15:46:45."]}
