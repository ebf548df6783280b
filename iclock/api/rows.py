"""A punch as the API writes it, by PostgreSQL: the keys, their order and their types are this SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.conf import settings

from iclock.domain.pages import PageSQL, Selection, page_sql
from iclock.punch import PUNCH_STATES, VERIFY_TYPES, Source
from zkbio.api.streams import Statement


def _words(column: str, words: Mapping[int, str]) -> str:
    cases = " ".join(f"WHEN {number} THEN '{word}'" for number, word in words.items())
    return f"CASE {column} {cases} ELSE {column}::text END"


def _time(time: str) -> str:
    """``2024-06-26 15:46:45`` (the driver sets DateStyle to ISO); to_char takes half the time of a long list."""
    return f"date_trunc('second', {time})::text"


class _Number(str):
    """SQL of a number that is always there."""


class _Plain(str):
    """SQL of a text that is always there and needs no escapes: digits, times, our own words."""


class _Nullable(str):
    """SQL of anything else: null, or whatever JSON makes of it."""


class _Constant(str):
    """JSON of a column that has no source of its own."""


_COLUMNS: Final[dict[str, str]] = {
    "id": _Number("punch.id"),
    "emp_code": _Nullable("punch.emp_code"),
    "punch_time": _Plain(_time("punch.punch_time")),
    "punch_state": _Plain("punch.punch_state"),
    "verify_type": _Number("punch.verify_type"),
    "work_code": _Nullable("punch.work_code"),
    "terminal_sn": _Nullable("punch.terminal_sn"),
    "terminal_alias": _Nullable("punch.terminal_alias"),
    "area_alias": _Nullable("punch.area_alias"),
    "longitude": _Constant("null"),
    "latitude": _Constant("null"),
    "gps_location": _Constant('""'),
    "mobile": _Constant("null"),
    "source": _Number(f"CASE WHEN punch.source IN ({Source.PULL:d}, {Source.PUSH:d}) THEN 1 ELSE 0 END"),
    "purpose": _Constant("1"),
    "crc": _Constant("null"),
    "is_attendance": _Number("punch.is_attendance::int"),
    "reserved": _Constant("null"),
    "upload_time": _Plain(_time("punch.upload_time AT TIME ZONE %(zone)s")),
    "sync_status": _Constant("1"),
    "sync_time": _Constant("null"),
    "is_mask": _Nullable("punch.is_mask"),
    "temperature": _Nullable("punch.temperature"),
    "emp": _Nullable("employee.id"),
    "terminal": _Nullable("terminal.id"),
    "first_name": _Nullable("employee.first_name"),
    "last_name": _Nullable("employee.last_name"),
    "department": _Nullable("department.dept_name"),
    "position": _Nullable("job.position_name"),
    "punch_state_display": _Plain(_words("punch.punch_state", PUNCH_STATES)),
    "verify_type_display": _Plain(_words("punch.verify_type", VERIFY_TYPES)),
    "utc_offset": _Number("punch.utc_offset"),
}
KEYS: Final = tuple(_COLUMNS)
# What people read of a punch, in the order of the file's columns.
EXPORTED: Final = (
    "emp_code",
    "first_name",
    "last_name",
    "department",
    "position",
    "punch_time",
    "punch_state_display",
    "verify_type_display",
    "work_code",
    "terminal_sn",
    "terminal_alias",
    "area_alias",
    "upload_time",
    "temperature",
)


def _json_object() -> str:
    """The row as a concatenation: two thirds of the time that row_to_json takes, which writes every key anew."""
    pieces, literal = [], "{"
    for key, column in _COLUMNS.items():
        literal += f'{"" if literal == "{" else ","}"{key}":'
        if isinstance(column, _Constant):
            literal += column
            continue
        before, after = ('"', '"') if isinstance(column, _Plain) else ("", "")
        value = f"coalesce(to_json({column})::text, 'null')" if isinstance(column, _Nullable) else column
        pieces += [f"'{literal}{before}'", value]
        literal = after
    listed = ", ".join([*pieces, f"'{literal}}}'"])
    return f"concat({listed})"


_JOINS: Final = """
    LEFT JOIN personnel_employee employee ON employee.emp_code = punch.emp_code
    LEFT JOIN personnel_department department ON department.id = employee.department_id
    LEFT JOIN personnel_position job ON job.id = employee.position_id
    LEFT JOIN iclock_terminal terminal ON terminal.sn = punch.terminal_sn"""
_JSON: Final = _json_object()


def list_statement(selection: Selection, *, offset: int, limit: int) -> Statement:
    """Rows of ``(total, last id of the page, JSON text)``; none at all beyond the end."""
    page = page_sql(selection, offset=offset, limit=limit)
    last = "(SELECT max(id) FROM page)" if selection.since_id is not None else "NULL"
    sql = f"""WITH {page.ctes}
    SELECT (SELECT n FROM total)::bigint, {last}, {_JSON}
    FROM (SELECT * FROM page LIMIT {_at_most(limit)}) punch {_JOINS} ORDER BY {_of_punch(page)}"""  # noqa: S608
    return Statement(sql, {**page.params, "zone": settings.ZKBIO_TIME_ZONE})


def one_statement(transaction_id: int) -> Statement:
    """The JSON text of one punch."""
    sql = f"""SELECT {_JSON} FROM iclock_transaction punch {_JOINS}
        WHERE punch.id = %(id)s AND punch.deleted_at IS NULL"""  # noqa: S608
    return Statement(sql, {"id": transaction_id, "zone": settings.ZKBIO_TIME_ZONE})


def _at_most(limit: int) -> int:
    """A bound that the planner can read, of which there are few: for a parameter it plans a tenth of the table.

    It would then read all employees for each page, and not the hundred on it.
    """
    return 1 << (limit - 1).bit_length()


def export_statement(selection: Selection, *, limit: int) -> Statement:
    """Rows of the total and the columns of ``EXPORTED``."""
    page = page_sql(selection, offset=0, limit=limit)
    columns = ", ".join(_COLUMNS[name] for name in EXPORTED)
    sql = f"""WITH {page.ctes}
    SELECT (SELECT n FROM total)::bigint, {columns}
    FROM page punch {_JOINS} ORDER BY {_of_punch(page)}"""  # noqa: S608
    return Statement(sql, {**page.params, "zone": settings.ZKBIO_TIME_ZONE})


def _of_punch(page: PageSQL) -> str:
    return ", ".join(f"punch.{part}" for part in page.order_by.split(", "))
