"""Every example of the vendor's manual: sent as it is printed, answered as it is printed.

Compared as text, so that the order of the keys counts, and 1, 1.0, "1" and true are four different values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client

from personnel.models.employee import today
from tests.contract.arranged import ARRANGED
from tests.contract.deviations import DEVIATIONS, Case, as_declared
from tests.contract.golden import CASES
from zkbio.accounts.models import User

Judge = Callable[[Any], bool]

# Values that no arrangement decides: a new token, and the day of today. Each is judged, then compared as printed.
JUDGED: Final[dict[str, dict[str, Judge]]] = {
    "2.1": {"token": lambda token: re.fullmatch("[0-9a-f]{40}", token) is not None},
    "4.3": {"hire_date": lambda day: bool(day == today().isoformat())},
}
# Lists of which the manual prints the first rows only.
CUT_SHORT: Final = {"9.1"}


def send(client: Client, request: Case) -> HttpResponse:
    path = request["path"] + (f"?{urlencode(request['query'])}" if "query" in request else "")
    body = json.dumps(request["body"]) if "body" in request else ""
    return client.generic(request["method"], path, body, content_type="application/json")  # type: ignore[return-value]


def read(response: HttpResponse) -> Any:
    return json.loads(response.content) if response.content else None


def settled(section: str, answer: Any, printed: Any) -> Any:
    """The answer with the judged values as printed, and no more rows than printed."""
    for key, judge in JUDGED.get(section, {}).items():
        assert judge(answer[key]), f"{key} is {answer[key]!r}"
        answer[key] = printed[key]
    if section in CUT_SHORT:
        answer["data"] = answer["data"][: len(printed["data"])]
    return answer


@pytest.mark.django_db
@pytest.mark.parametrize("section", CASES)
def test_an_example_of_the_manual_comes_out(section: str, admin: User, api: Client) -> None:
    ARRANGED[section]()
    case = as_declared(CASES[section])

    response = send(api if case["request"].get("token", True) else Client(), case["request"])

    assert response.status_code == case["status"], response.content
    answer = settled(section, read(response), case["response"])
    assert json.dumps(answer, indent=1) == json.dumps(case["response"], indent=1)


def test_every_section_with_an_example_is_here() -> None:
    chapters = {"2": 1, "3": 1, "4": 5, "5": 5, "6": 5, "7": 5, "8": 2, "9": 1}
    sections = [f"{chapter}.{number}" for chapter, last in chapters.items() for number in range(1, last + 1)]

    assert sorted(CASES) == sections
    assert sorted(ARRANGED) == sections


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.contract)
def test_a_deviation_is_needed_in_each_section_that_it_names(deviation: Any) -> None:
    for section in deviation.sections:
        assert deviation.applied(CASES[section]) != CASES[section]


@pytest.mark.parametrize("section", [section for section, case in CASES.items() if "filters" in case])
def test_the_schema_has_the_filters_that_the_manual_names(section: str, api: Client) -> None:
    path = as_declared(CASES[section])["request"]["path"]

    schema = api.get("/api/schema/", {"format": "json"}, headers={"Accept": "application/vnd.oai.openapi+json"}).json()

    offered = {parameter["name"] for parameter in schema["paths"][path]["get"]["parameters"]}
    assert set(CASES[section]["filters"]) - offered == set()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "row", "code"),
    [
        ("/personnel/api/departments/2/", "5.4", "dept_code"),
        ("/personnel/api/employees/4144/", "4.4", "emp_code"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_codes_are_kept(path: str, row: str, code: str, method: str, api: Client) -> None:
    """Declared: "codes that are kept on update". No word of it in the answer, as on the vendor's servers."""
    ARRANGED[row]()
    kept = CASES[row]["response"][code]

    response = send(api, {"method": method, "path": path, "body": {code: "another"}})

    assert (response.status_code, read(response)[code]) == (200, kept)
    assert read(send(api, {"method": "GET", "path": path}))[code] == kept


@pytest.mark.django_db
def test_a_code_of_an_area_changes(api: Client) -> None:
    ARRANGED["6.4"]()

    response = send(api, {"method": "PATCH", "path": "/personnel/api/areas/2/", "body": {"area_code": "another"}})

    assert (response.status_code, read(response)["area_code"]) == (200, "another")
