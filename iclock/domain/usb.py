"""Storing what a terminal wrote on a USB stick: through the same door as what it tells itself."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO, Final, NamedTuple

from django.db import connection

from iclock.domain.attlog import Line, read_attlog
from iclock.domain.ingest import Counts, fault_of, record_punches
from iclock.models import Terminal
from iclock.punch import Punch, Reject, Source
from zkbio.accounts.domain import audit

LINES_AT_ONCE: Final = 2_000
BAD_LINES_TOLD: Final = 20

_PAUSE_SECONDS: Final = 0.001
_NAMED_AFTER_SERIAL: Final = re.compile(r"(.+)_attlog\.(?:dat|txt)", re.IGNORECASE)
# A machine number is one byte; no serial number is as short.
_MACHINE_NUMBER: Final = re.compile(r"\d{1,3}")
_KNOWN: Final = """
SELECT count(*) FROM unnest(%s::text[], %s::timestamp[]) AS arriving (emp_code, punch_time)
JOIN iclock_transaction AS here USING (emp_code, punch_time) WHERE here.terminal_sn = %s"""


class BadLine(NamedTuple):
    number: int
    reason: str


class Imported(NamedTuple):
    """What became of a file; the first bad lines with their numbers."""

    lines: int = 0
    counts: Counts = Counts()
    bad: tuple[BadLine, ...] = ()


def serial_in(file_name: str) -> str:
    """The serial number after which a terminal named its file; "" when it holds none, as in ``1_attlog.dat``."""
    match = _NAMED_AFTER_SERIAL.fullmatch(file_name)
    return "" if match is None or _MACHINE_NUMBER.fullmatch(match[1]) else match[1]


def import_attlog(terminal: Terminal, file: IO[bytes], *, actor: object, name: str, encoding: str = "") -> Imported:
    """Store the punches of an export; bad lines are quarantined and their neighbours stay.

    What was stored before an error stays, and the same file again brings the rest. Raises NotAnExportError before
    anything is stored, OSError, and django.db.Error.
    """
    imported = Imported()
    for chunk in _chunks(read_attlog(file, encoding=encoding)):
        punches, bad, rejects = _separate(chunk)
        counts = record_punches(terminal, punches, source=Source.IMPORT, rejects=rejects)
        imported = _plus(imported, len(chunk), counts, bad)
        time.sleep(_PAUSE_SECONDS)  # under gevent: the others' turn
    audit.record(
        actor=actor,
        action="iclock.import_attlog",
        subject=f"terminal {terminal.sn}",
        detail={"file": name[:200], "lines": imported.lines, **imported.counts._asdict()},
    )
    return imported


def foresee_import(terminal: Terminal, file: IO[bytes], *, encoding: str = "") -> Imported:
    """What `import_attlog` would answer now; nothing is stored. Keeps a number for each punch in memory."""
    imported, seen = Imported(), set[int]()
    for chunk in _chunks(read_attlog(file, encoding=encoding)):
        punches, bad, _ = _separate(chunk)
        unseen = {key: punch for punch in punches if (key := hash(punch[:2])) not in seen}
        new = len(unseen) - _count_known(terminal, [*unseen.values()])
        seen.update(unseen)
        imported = _plus(imported, len(chunk), Counts(new, len(punches) - new, len(bad)), bad)
    return imported


def _chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while chunk := list(islice(lines, LINES_AT_ONCE)):
        yield chunk


def _separate(lines: Sequence[Line]) -> tuple[list[Punch], list[BadLine], list[Reject]]:
    punches: list[Punch] = []
    bad: list[BadLine] = []
    rejects: list[Reject] = []
    for number, raw, (punch, fault) in lines:
        reason = fault or (fault_of(punch) if punch else "")
        if punch is None or reason:
            bad.append(BadLine(number, reason))
            rejects.append(Reject(raw, reason))
        else:
            punches.append(punch)
    return punches, bad, rejects


def _plus(before: Imported, lines: int, counts: Counts, bad: Sequence[BadLine]) -> Imported:
    total = Counts(*(sum(pair) for pair in zip(before.counts, counts, strict=True)))
    return Imported(before.lines + lines, total, (*before.bad, *bad)[:BAD_LINES_TOLD])


def _count_known(terminal: Terminal, punches: Sequence[Punch]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [[p.emp_code for p in punches], [p.punch_time for p in punches], terminal.sn])
        return int(cursor.fetchone()[0])
