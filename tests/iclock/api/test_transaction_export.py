"""The list as a file: its filters, its order, harmless cells, bounded."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from iclock.models import Terminal
from personnel.models import Department, Employee, Position
from zkbio.accounts.models import User
from zkbio.api import exports

from .conftest import Punches

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/transactions/export/"
HEADER = [
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
]
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"

Table = list[list[str]]
Export = Callable[..., Table]


@pytest.fixture
def download(token_client: Client) -> Callable[..., Any]:
    """The response to an export, with ``body``."""

    def ask(kind: str, status: int = 200, **parameters: Any) -> Any:
        response: Any = token_client.get(PATH, {"export_type": kind, **parameters})
        response.body = b"".join(response.streaming_content) if response.streaming else response.content
        assert response.status_code == status, response.body
        return response

    return ask


@pytest.fixture
def export(download: Callable[..., Any]) -> Export:
    """The cells of the file as texts."""

    def read(kind: str, **parameters: Any) -> Table:
        body = download(kind, **parameters).body
        if kind == "xlsx":
            return cells(body)
        return list(csv.reader(io.StringIO(body.decode(), newline=""), delimiter="," if kind == "csv" else "\t"))

    return read


def cells(workbook: bytes) -> Table:
    """Every cell of the one sheet; fails on a formula or a link."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    assert not list(sheet.iter(f"{SHEET}f"))
    assert not list(sheet.iter(f"{SHEET}hyperlink"))
    return [_texts(row) for row in sheet.iter(f"{SHEET}row")]


def _texts(row: ElementTree.Element) -> list[str]:
    """An empty cell isn't there: each stands where its letter says."""
    found = {cell.attrib["r"][0]: _text(cell) for cell in row.iter(f"{SHEET}c")}
    return [found.get(letter, "") for letter in "ABCDEFGHIJKLMN"]


def _text(cell: ElementTree.Element) -> str:
    """A cell with a style is a number of days, shown as a date."""
    text = "".join(cell.itertext())
    if "s" not in cell.attrib:
        return text
    seconds = round(float(text) * 86_400)
    return str(datetime(1899, 12, 30) + timedelta(seconds=seconds))


KINDS = pytest.mark.parametrize("kind", ["csv", "txt", "xlsx"])


@KINDS
def test_a_header_line_and_what_people_read(kind: str, punches: Punches, export: Export) -> None:
    job = Position.objects.create(position_code="2", position_name="Guard")
    Employee.objects.create(emp_code="7", first_name="Ána", last_name="Núñez", department_id=1, position=job)
    punches(1, emp_code="7", temperature=36.5, work_code="3")

    assert export(kind) == [
        HEADER,
        [
            "7", "Ána", "Núñez", "Department", "Guard", "2023-11-14 22:13:21", "Check In", "Fingerprint", "3",
            "CKJF201260077", "Front door", "ZKTeco", "2023-11-14 22:13:21", "36.5",
        ],
    ]  # fmt: skip


def test_what_is_absent_is_an_empty_cell(punches: Punches, export: Export) -> None:
    punches(1, terminal_sn="", terminal_alias=None, area_alias=None)

    row = export("csv")[1]
    assert dict(zip(HEADER, row, strict=True)) == {
        **dict.fromkeys(HEADER, ""),
        "emp_code": "100001",
        "punch_time": "2023-11-14 22:13:21",
        "upload_time": "2023-11-14 22:13:21",
        "punch_state_display": "Check In",
        "verify_type_display": "Fingerprint",
    }


@KINDS
def test_no_punches_are_a_header_line(kind: str, export: Export) -> None:
    assert export(kind) == [HEADER]


@KINDS
def test_filters_and_order_are_those_of_the_list(kind: str, punches: Punches, export: Export) -> None:
    punches(1, 2, 3, emp_code="7")
    punches(4, 5, emp_code="8")

    def codes(**parameters: Any) -> list[str]:
        return [row[5][-2:] for row in export(kind, **parameters)[1:]]

    assert codes(emp_code="7", ordering="-id") == ["23", "22", "21"]
    assert codes(start_time="2023-11-14 22:13:24") == ["24", "25"]
    assert codes(since_id=3) == ["24", "25"]
    assert codes(page=2, page_size=1) == ["21", "22", "23", "24", "25"]


@KINDS
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_looks_like_a_formula_is_harmless(kind: str, start: str, punches: Punches, export: Export) -> None:
    wicked = f"{start}HYPERLINK(1)"
    Department.objects.filter(id=1).update(dept_name=wicked)
    Employee.objects.create(emp_code="7", first_name=wicked, last_name="http://example.com", department_id=1)
    punches(1, emp_code="7", terminal_alias=wicked)

    row = dict(zip(HEADER, export(kind)[1], strict=True))

    shown = f"'{wicked}" if kind != "xlsx" else f"'{wicked}".replace("\r", "_x000D_")
    assert (row["first_name"], row["department"], row["terminal_alias"]) == (shown, shown, shown)
    assert row["last_name"] == "http://example.com"


def test_times_in_a_workbook_are_dates(punches: Punches, download: Callable[..., Any]) -> None:
    punches(1)

    with zipfile.ZipFile(io.BytesIO(download("xlsx").body)) as archive:
        sheet, styles = (archive.read(f"xl/{part}.xml").decode() for part in ("worksheets/sheet1", "styles"))

    assert '<c r="F2" s="1"><v>45244.9259375</v></c>' in sheet
    assert '<c r="M2" s="1"><v>45244.9259375</v></c>' in sheet
    assert 'formatCode="yyyy-mm-dd hh:mm:ss"' in styles


def test_a_time_that_no_workbook_can_hold_is_text() -> None:
    rows = [["1899-12-31 08:00:00"]]
    answer = exports.export_answer("xlsx", name="old", header=["punch_time"], batches=[rows], moments=["punch_time"])

    assert cells(b"".join(answer))[1][:1] == ["1899-12-31 08:00:00"]


def test_numbers_stay_numbers(punches: Punches, export: Export) -> None:
    punches(1, temperature=-2.5)

    assert export("csv")[1][-1] == "-2.5"


@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_separators_and_quotes_inside_of_a_cell_survive(kind: str, punches: Punches, export: Export) -> None:
    punches(1, terminal_alias='Gate "A", left\tside')

    assert export(kind)[1][10] == 'Gate "A", left\tside'


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("txt", "text/plain; charset=utf-8"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ],
)
def test_a_file_has_a_name_and_a_type(kind: str, media_type: str, download: Callable[..., Any]) -> None:
    response = download(kind)

    assert response["Content-Type"] == media_type
    assert response["Content-Disposition"] == f'attachment; filename="transactions.{kind}"'
    assert int(response["Content-Length"]) == len(response.body)


@pytest.mark.parametrize("kind", ["", "pdf", "CSV", "csv,xlsx"])
def test_an_unknown_kind_is_refused_by_name(kind: str, download: Callable[..., Any]) -> None:
    assert download(kind, 400).json() == {"export_type": ["Write one of these: csv, txt, xlsx."]}


def test_a_filter_that_cant_be_read_is_refused_by_name(download: Callable[..., Any]) -> None:
    assert list(download("csv", 400, start_time="noon").json()) == ["start_time"]


@KINDS
def test_more_rows_than_allowed_are_refused(kind: str, punches: Punches, download: Callable[..., Any]) -> None:
    punches(*range(1, 5))

    with override_settings(MAX_EXPORT_ROWS=3):
        assert download(kind, 400).json() == {
            "export_type": ["4 rows are more than such a file holds (3): narrow the filters."]
        }
        assert download(kind, since_id=1).status_code == 200


def test_a_workbook_holds_no_more_rows_than_a_worksheet(
    punches: Punches, download: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exports.WORKBOOK_ROWS == 2**20 - 1
    monkeypatch.setattr("iclock.api.views.WORKBOOK_ROWS", 3)
    punches(*range(1, 5))

    assert list(download("xlsx", 400).json()) == ["export_type"]
    assert download("csv").status_code == 200


@KINDS
def test_several_batches_are_one_file(kind: str, punches: Punches, export: Export) -> None:
    punches(*range(1, 4_502))

    found = export(kind)

    assert (len(found), found[0], found[-1][5]) == (4_502, HEADER, "2023-11-14 23:28:21")


def test_more_exports_at_once_than_there_are_places_for_wait(download: Callable[..., Any]) -> None:
    for _ in range(exports.MOST_AT_ONCE):
        exports._places.acquire()
    try:
        response = download("csv", 503)
        assert int(response["Retry-After"]) > 0
    finally:
        exports._places.release(exports.MOST_AT_ONCE)
    assert download("csv").status_code == 200


def test_exporting_asks_for_the_permission_to_view(hr: User, download: Callable[..., Any]) -> None:
    hr.user_permissions.remove(Permission.objects.get(codename="view_transaction"))

    download("csv", 403)


def test_a_file_costs_as_many_queries_for_three_rows_as_for_one(punches: Punches, export: Export) -> None:
    Terminal.objects.create(sn="CKJF201260077", alias="Gate")
    punches(1)
    export("csv")
    with CaptureQueriesContext(connection) as one:
        export("csv")
    punches(2, 3)
    with CaptureQueriesContext(connection) as three:
        export("csv")

    assert len(one) == len(three)
