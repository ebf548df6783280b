"""Lists as files: comma-separated, tab-separated, or a workbook.

A file is written batch by batch to a nameless file on the disk and sent from there. Between batches other requests get
their turn, and so they do while a workbook is packed.
"""

from __future__ import annotations

import csv
import io
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from threading import BoundedSemaphore
from typing import IO, Any, Final

from django.http import FileResponse
from django.utils.translation import gettext as _
from gevent import get_hub
from gevent.monkey import is_module_patched
from xlsxwriter import Workbook

from zkbio.api.places import a_place

# Rows of a worksheet, without the header line.
WORKBOOK_ROWS: Final = 1_048_575
MOST_AT_ONCE: Final = 2
# Characters that a column shows: a moment whole. A narrower one is ##### to whoever opens the file.
_WIDTH: Final = 20
_SPOOL_BYTES: Final = 2 * 1024 * 1024
# Of every 12 ms the others have 2; a pause of none lets them take one step at a time, which starves them.
_SLICE_ROWS: Final = 100
_WORK_SECONDS: Final = 0.01
_PAUSE_SECONDS: Final = 0.002
# A cell that begins like this is a formula to the program that opens the file.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n")
# The calendar of a worksheet begins then.
_FIRST_YEAR: Final = 1900
# Whatever a cell holds is shown and never carried out; rows leave the memory when they are written.
_WORKBOOK: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd hh:mm:ss",
}

Batches = Iterable[Sequence[Sequence[Any]]]
Write = Callable[[IO[bytes], Sequence[str], Batches], None]

_places: Final = BoundedSemaphore(MOST_AT_ONCE)


def export_answer(
    kind: str, *, name: str, header: Sequence[str], batches: Batches, moments: Collection[str] = ()
) -> FileResponse:
    """``batches`` as a file of that kind, called ``name``. Raises Unavailable when several are being written.

    In a workbook the columns ``moments``, texts like 2024-06-26 15:46:45, are dates to reckon with.
    """
    media_type, write = KINDS[kind]
    with a_place(_places, _("Too many exports at the moment; please try again a little later.")):
        file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - the response closes it
        columns = [header.index(name) for name in moments] if kind == "xlsx" else []
        write(file, header, _harmless(batches, columns))
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"{name}.{kind}", content_type=media_type)


def _harmless(batches: Batches, moments: Sequence[int]) -> Iterator[list[list[Any]]]:
    """Cells as text where they aren't numbers or ``moments``; nothing begins like a formula."""
    begun = time.monotonic()
    for batch in batches:
        for start in range(0, len(batch), _SLICE_ROWS):
            rows = [[_cell(value) for value in row] for row in batch[start : start + _SLICE_ROWS]]
            for row in rows:
                for column in moments:
                    row[column] = _moment(row[column])
            yield rows
            if time.monotonic() - begun > _WORK_SECONDS:
                time.sleep(_PAUSE_SECONDS)  # under gevent: the others' turn
                begun = time.monotonic()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in _FORMULA_STARTS else value
    return "" if value is None else value


def _moment(text: str) -> datetime | str:
    """As a workbook has it; text where there is none, or none that a workbook can hold."""
    moment = datetime.fromisoformat(text) if text else None
    return moment if moment and moment.year >= _FIRST_YEAR else text


def _write_text(file: IO[bytes], header: Sequence[str], batches: Batches, *, delimiter: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(header)
    for batch in batches:
        writer.writerows(batch)
        file.write(_drain(text))
    file.write(_drain(text))


def _drain(text: io.StringIO) -> bytes:
    written = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return written


def _write_csv(file: IO[bytes], header: Sequence[str], batches: Batches) -> None:
    _write_text(file, header, batches, delimiter=",")


def _write_txt(file: IO[bytes], header: Sequence[str], batches: Batches) -> None:
    _write_text(file, header, batches, delimiter="\t")


def _write_xlsx(file: IO[bytes], header: Sequence[str], batches: Batches) -> None:
    workbook = Workbook(file, _WORKBOOK)
    sheet = workbook.add_worksheet()
    sheet.set_column(0, len(header) - 1, _WIDTH)
    sheet.write_row(0, 0, header)
    number = 0
    for batch in batches:
        for row in batch:
            number += 1
            sheet.write_row(number, 0, row)
    _apart(workbook.close)


def _apart(work: Callable[[], None]) -> None:
    """Packing takes seconds: in a native thread where gevent's loop serves other requests meanwhile."""
    if is_module_patched("threading"):
        get_hub().threadpool.apply(work)
    else:
        work()


KINDS: Final[dict[str, tuple[str, Write]]] = {
    "csv": ("text/csv; charset=utf-8", _write_csv),
    "txt": ("text/plain; charset=utf-8", _write_txt),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _write_xlsx),
}
