"""A punch as the API writes it, by PostgreSQL: the keys, their order and their types are this SQL."""

from __future__ import annotations

from typing import Final

from django.conf import settings

from iclock.domain.pages import PageSQL, Selection, page_sql
from iclock.punch import Source
from zkbio.api.streams import Statement

# Exact English words whatever the caller's language; clients compare them.
PUNCH_STATES: Final = {
    0: "Check In",
    1: "Check Out",
    2: "Break Out",
    3: "Break In",
    4: "Overtime In",
    5: "Overtime Out",
    255: "Unknown",
}
VERIFY_TYPES: Final = {
    0: "Password",
    1: "Fingerprint",
    3: "Password",
    4: "Card",
    15: "Face",
    25: "Palm",
    101: "GPS",
    200: "Other",
}


def _words(column: str, words: dict[int, str]) -> str:
    cases = " ".join(f"WHEN {number} THEN '{word}'" for number, word in words.items())
    return f"CASE {column} {cases} ELSE {column}::text END"


def _text(time: str) -> str:
    """``2024-06-26 15:46:45`` (the driver sets DateStyle to ISO); to_char takes half the time of a long list."""
    return f"date_trunc('second', {time})::text"


# Columns without a source of their own are constants: longitude, latitude, mobile, crc, reserved, sync_time are null.
_COLUMNS: Final = {
    "id": "punch.id",
    "emp_code": "punch.emp_code",
    "punch_time": _text("punch.punch_time"),
    "punch_state": "punch.punch_state::text",
    "verify_type": "punch.verify_type",
    "work_code": "punch.work_code",
    "terminal_sn": "punch.terminal_sn",
    "terminal_alias": "punch.terminal_alias",
    "area_alias": "punch.area_alias",
    "longitude": "NULL::float8",
    "latitude": "NULL::float8",
    "gps_location": "''",
    "mobile": "NULL::text",
    "source": f"CASE WHEN punch.source IN ({Source.PULL:d}, {Source.PUSH:d}) THEN 1 ELSE 0 END",
    "purpose": "1",
    "crc": "NULL::text",
    "is_attendance": "punch.is_attendance::int",
    "reserved": "NULL::text",
    "upload_time": _text("punch.upload_time AT TIME ZONE %(zone)s"),
    "sync_status": "1",
    "sync_time": "NULL::text",
    "is_mask": "punch.is_mask",
    "temperature": "punch.temperature",
    "emp": "employee.id",
    "terminal": "terminal.id",
    "first_name": "employee.first_name",
    "last_name": "employee.last_name",
    "department": "department.dept_name",
    "position": "job.position_name",
    "punch_state_display": _words("punch.punch_state", PUNCH_STATES),
    "verify_type_display": _words("punch.verify_type", VERIFY_TYPES),
    "utc_offset": "punch.utc_offset",
}
KEYS: Final = tuple(_COLUMNS)

_SELECT: Final = ", ".join(f'{expression} AS "{key}"' for key, expression in _COLUMNS.items())
_JOINS: Final = """
    LEFT JOIN personnel_employee employee ON employee.emp_code = punch.emp_code
    LEFT JOIN personnel_department department ON department.id = employee.department_id
    LEFT JOIN personnel_position job ON job.id = employee.position_id
    LEFT JOIN iclock_terminal terminal ON terminal.sn = punch.terminal_sn"""


def list_statement(selection: Selection, *, offset: int, limit: int) -> Statement:
    """Rows of ``(total, last id of the page, JSON text)``; none at all beyond the end."""
    page = page_sql(selection, offset=offset, limit=limit)
    last = "(SELECT max(id) FROM page)" if selection.since_id is not None else "NULL"
    sql = f"""WITH {page.ctes}
    SELECT (SELECT n FROM total)::bigint, {last}, row_to_json(shown)::text
    FROM (SELECT {_SELECT} FROM page punch {_JOINS} ORDER BY {_of_punch(page)}) AS shown"""  # noqa: S608
    return Statement(sql, {**page.params, "zone": settings.ZKBIO_TIME_ZONE})


def one_statement(transaction_id: int) -> Statement:
    """The JSON text of one punch."""
    sql = f"""SELECT row_to_json(shown)::text FROM (
        SELECT {_SELECT} FROM iclock_transaction punch {_JOINS}
        WHERE punch.id = %(id)s AND punch.deleted_at IS NULL) AS shown"""  # noqa: S608
    return Statement(sql, {"id": transaction_id, "zone": settings.ZKBIO_TIME_ZONE})


def _of_punch(page: PageSQL) -> str:
    return ", ".join(f"punch.{part}" for part in page.order_by.split(", "))
