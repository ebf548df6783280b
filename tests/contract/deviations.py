"""Where an answer of ours differs from the manual's: nowhere else, and each time by a sentence of the contract.

Slips of print (an address that belongs to another section, an envelope left out) are listed in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

Case = dict[str, Any]

# What the vendor's later versions answer for each punch, and our own key at the end.
EXTRA_KEYS_OF_A_PUNCH: Final = {
    "first_name": None,
    "last_name": None,
    "department": None,
    "position": None,
    "punch_state_display": "Check In",
    "verify_type_display": "Fingerprint",
    "utc_offset": 0,
}

# How a terminal is, for one that never told: our own keys, behind the vendor's.
EXTRA_KEYS_OF_A_TERMINAL: Final = {
    "complete_until": None,
    "clock_drift": None,
    "user_capacity": None,
    "fp_capacity": None,
    "face_capacity": None,
    "transaction_capacity": None,
    "alarms": [],
}


class Deviation(NamedTuple):
    """``applied`` turns the printed case into ours, for the sections named and for no other."""

    contract: str
    sections: tuple[str, ...]
    applied: Callable[[Case], Case]


def _answered(case: Case, answer: Any) -> Case:
    return {**case, "response": answer}


def _without_password(case: Case) -> Case:
    return _answered(case, {**case["response"], "self_password": None})


def _with_id(case: Case) -> Case:
    return _answered(case, {"id": 4144, **case["response"]})


def _without_body(case: Case) -> Case:
    return {**case, "status": 204, "response": None}


def _with_extra_keys(case: Case) -> Case:
    rows = [{**row, **EXTRA_KEYS_OF_A_PUNCH} for row in case["response"]["data"]]
    return _answered(case, {**case["response"], "data": rows})


def _with_health(case: Case) -> Case:
    answer = case["response"]
    if "data" not in answer:
        return _answered(case, {**answer, **EXTRA_KEYS_OF_A_TERMINAL})
    return _answered(case, {**answer, "data": [{**row, **EXTRA_KEYS_OF_A_TERMINAL} for row in answer["data"]]})


def _in_an_envelope(case: Case) -> Case:
    head = {"count": 1, "next": None, "previous": None, "msg": "", "code": 0}
    return _answered(case, {**head, "data": [case["response"]]})


def _asked_of_positions(case: Case) -> Case:
    return {**case, "request": {**case["request"], "path": "/personnel/api/positions/"}}


def _asked_by_the_whole_code(case: Case) -> Case:
    query = {**case["request"]["query"], "emp_code": "100001"}
    return {**case, "request": {**case["request"], "query": query}}


DEVIATIONS: Final = (
    Deviation("`self_password` and `device_password` are null", ("4.3", "4.4"), _without_password),
    Deviation("PATCH on employees answers with `id`", ("4.4",), _with_id),
    Deviation("delete answers 204 without a body", ("4.5", "5.5", "6.5", "7.5"), _without_body),
    Deviation("the extra keys named below", ("9.1",), _with_extra_keys),
    Deviation("How a terminal is, in keys behind the vendor's", ("8.1", "8.2"), _with_health),
    Deviation("M90's area list example without envelope is a slip.", ("6.1",), _in_an_envelope),
    Deviation(
        "Departments, areas, positions: `/personnel/api/{departments,areas,positions}/`", ("7.1",), _asked_of_positions
    ),
    Deviation("Filters `emp_code, terminal_sn, terminal_alias` exact", ("9.1",), _asked_by_the_whole_code),
)
# Declared too, and without an example in the manual: a new code in an update changes nothing (see test_codes_are_kept).


def as_declared(printed: Case) -> Case:
    """The manual's case with what is declared for its section, and nothing else."""
    case = printed
    for deviation in DEVIATIONS:
        if printed["section"] in deviation.sections:
            case = deviation.applied(case)
    return case
