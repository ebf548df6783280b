"""The punches that a terminal writes on a USB stick, as text. Pure: bytes in, values with line numbers out.

What is known of the field (many published samples agree):

* ``1_attlog.dat`` (a machine number) or ``<serial number>_attlog.dat``: a line is a punch, its fields are separated by
  TABs, and there is no header: user id, padded with blanks on the left; ``YYYY-MM-DD HH:MM:SS`` by the terminal's wall
  clock; machine number; in/out state; verification; work code; up to two reserved fields. Older generations leave out
  the last ones.
* ``AGL_0001.TXT`` and alike: a header names the columns, ``No Mchn EnNo Name Mode IOMd DateTime`` (``TMNo`` and
  ``INOUT`` on other units); the date is written with ``/``, and one or two blanks stand before the time.
* Lines end with CR LF or LF; the text is ASCII, UTF-8, UTF-16 or the unit's code page, with or without a mark.

What is assumed, because samples are few or differ:

* Names may hold TABs or be missing, and some headers are spread with several TABs: so the columns before the name are
  counted from the left and those behind it from the right.
* EnNo is a number that is padded with zeros, and so is a user id without a header that has nine digits or more: the
  zeros go, because the terminal, when it is read, tells that number without. A shorter user id is as it was entered,
  zeros included, as it stands in the rows (of 40 bytes) of terminals whose user ids are texts.
* ``Mode`` is the verification, ``IOMd`` the in/out state.
* A missing state is "Unknown" (255), a missing verification "Other" (200), a work code of 0 none.
* A user id of 0, or none, is nobody.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import IO, Final, NamedTuple

from iclock.punch import Decoded, Punch

# Every one of them leaves TABs, line ends, digits and what stands in a date alone, whatever surrounds them.
ENCODINGS: Final = (
    *("utf-8", "utf-16"),
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("cp874", "cp932", "cp949", "cp950", "gb18030"),
)
MAX_LINE: Final = 1_000
STATE_UNKNOWN: Final = 255
VERIFIED_OTHERWISE: Final = 200

# Where names may hold TABs.
_MOST_FIELDS: Final = 30
_LINES_TRIED: Final = 1_000
_HEAD_BYTES: Final = 400
_PADDED_TO: Final = 9
_TIME: Final = re.compile(r"\s*(\d{4})([-/])(\d{1,2})\2(\d{1,2}) {1,2}(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?\s*", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,9}", re.ASCII)
_UNREADABLE: Final = re.compile("[\ufffd\udc80-\udcff]")
# Besides blanks: what pads a file's end, and the mark at its beginning.
_NOTHING: Final = " \t\0\x1a\ufeff"


class NotAnExportError(ValueError):
    """The file is something else; the sentence says what was looked for."""


class Line(NamedTuple):
    """One line of the file, counted from 1, and what is kept of it if it is bad."""

    number: int
    raw: bytes
    decoded: Decoded


class Layout(NamedTuple):
    """Where the fields of a line are; negative positions count from its end, None is nowhere."""

    code: int
    time: int
    state: int | None
    verify: int | None
    work: int | None
    most: int
    header: str = ""


PLAIN: Final = Layout(code=0, time=1, state=3, verify=4, work=5, most=8)


def read_attlog(file: IO[bytes], *, encoding: str = "") -> Iterator[Line]:
    """The punches and bad lines of an export, in bounded memory; blank lines are left out.

    ``file`` can be read from its beginning twice. An ``encoding`` of "" is found out. Raises NotAnExportError before
    the first line when none of the first thousand has the shape of a punch.
    """
    encoding = encoding or _encoding(file)
    _require_export(file, encoding)
    layout = PLAIN
    for number, text in _texts(file, encoding):
        if header := read_header(text):
            layout = header
        else:
            kept = f"{layout.header}\n{text}" if layout.header else text
            yield Line(number, kept.encode("utf-8", "surrogateescape"), read_line(text, layout))


def read_kept_line(raw: bytes) -> Decoded:
    """A line that was kept because it was bad, read again: it brings its header along, if its file had one."""
    *headers, line = raw.decode("utf-8", "surrogateescape").split("\n")
    return read_line(line, (read_header(headers[0]) if headers else None) or PLAIN)


def read_header(text: str) -> Layout | None:
    """The layout that a header describes; None when the line is no header."""
    if "datetime" not in text.casefold():
        return None
    names = [name for name in (field.strip(_NOTHING).casefold() for field in text.split("\t")) if name]
    if not {"enno", "datetime"}.issubset(names):
        return None
    from_end = names.index("name") if "name" in names else len(names)
    columns = {name: place if place < from_end else place - len(names) for place, name in enumerate(names)}
    return Layout(
        code=columns["enno"],
        time=columns["datetime"],
        state=columns.get("iomd", columns.get("inout")),
        verify=columns.get("mode"),
        work=None,
        most=_MOST_FIELDS,
        header=text.strip(_NOTHING),
    )


def read_line(text: str, layout: Layout) -> Decoded:
    """The punch of a line, or why it has none."""
    fields = text.rstrip(_NOTHING).split("\t")
    if len(text) > MAX_LINE:
        return Decoded(None, f"the line is longer than {MAX_LINE} characters; its beginning is kept")
    if not 2 <= len(fields) <= layout.most:
        return Decoded(None, f"fields with TABs between them: {len(fields)}; an export has 2 to {layout.most}")
    moment = _field(fields, layout.time)
    wall = _read_time(moment)
    if wall is None:
        return Decoded(None, _fault_of_time(moment))
    state, verify = _field(fields, layout.state), _field(fields, layout.verify)
    for name, number in (("in/out state", state), ("verification", verify)):
        if number and not _NUMBER.fullmatch(number):
            return Decoded(None, f"the {name} {_shown(number)} is no number")
    code, work = _field(fields, layout.code), _field(fields, layout.work)
    if (layout.header or len(code) >= _PADDED_TO) and code.isascii() and code.isdigit():
        code = code.lstrip("0")
    punch = Punch(
        code, wall, int(state or STATE_UNKNOWN), int(verify or VERIFIED_OTHERWISE), work if work.strip("0") else None
    )
    return Decoded(punch, _fault_of_code(code))


def _fault_of_code(code: str) -> str:
    if not code.strip("0"):
        return "the user id is empty or zero"
    return "the user id is no text in the file's encoding" if _UNREADABLE.search(code) else ""


def _field(fields: Sequence[str], place: int | None) -> str:
    if place is None or not -len(fields) <= place < len(fields):
        return ""
    return fields[place].strip(_NOTHING)


def _read_time(text: str) -> datetime | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, _, *rest = match.groups()
    try:
        return datetime(int(year), *(int(part or 0) for part in rest))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None


def _fault_of_time(text: str) -> str:
    if _TIME.fullmatch(text):
        return f"no calendar has the time {text}"
    return f"{_shown(text)} stands where a time such as 2026-03-02 08:00:00 is expected"


def _shown(text: str) -> str:
    return f"{text[:30]!a}"[:60]


def _texts(file: IO[bytes], encoding: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that isn't blank; of one that is too long, its beginning, which is too long too."""
    file.seek(0)
    # Of UTF-8, which was only guessed, every byte is kept.
    errors = "surrogateescape" if encoding == "utf-8" else "replace"
    reader = io.TextIOWrapper(file, encoding=encoding, errors=errors)
    try:
        number, text = 1, reader.readline(MAX_LINE + 1)
        while text:
            line = text.removesuffix("\n")
            if len(line) > MAX_LINE or line.strip(_NOTHING):
                yield number, line
            while text and not text.endswith("\n"):
                text = reader.readline(MAX_LINE + 1)
            number, text = number + 1, reader.readline(MAX_LINE + 1)
    finally:
        reader.detach()


def _require_export(file: IO[bytes], encoding: str) -> None:
    texts = [text for _, text in islice(_texts(file, encoding), _LINES_TRIED)]
    if not texts:
        raise NotAnExportError("There is nothing in the file.")
    if not any(read_header(text) or _has_time(text) for text in texts):
        raise NotAnExportError(
            "This is no export of a terminal's punches: none of its first lines has a time such as 2026-03-02 08:00:00"
            " behind a user id and a TAB, or the heading No Mchn EnNo Name Mode IOMd DateTime."
        )


def _has_time(text: str) -> bool:
    fields = text.split("\t")
    return len(fields) > PLAIN.time and _TIME.fullmatch(fields[PLAIN.time]) is not None


def _encoding(file: IO[bytes]) -> str:
    """UTF-16 by its mark or its zeros; everything else can be read as UTF-8 as far as it matters."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [half.count(0) * 2 > len(half) for half in (head[::2], head[1::2])]
    return {(False, True): "utf-16-le", (True, False): "utf-16-be"}.get((zeros[0], zeros[1]), "utf-8")
