"""What those whom a terminal holds, or should hold, are to the platform."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from django.db.models import Exists, OuterRef, TextChoices

from iclock.domain.belonging import belonging_among
from iclock.domain.plan import Agreed, Fields, Person, is_doubtful
from iclock.models import TerminalPerson
from personnel.models import Employee, Resignation


class Standing(TextChoices):
    # Somebody has to decide.
    UNKNOWN = "unknown", "Unknown here"
    ELSEWHERE = "elsewhere", "Employee, not of this terminal's area"
    RESIGNED = "resigned", "Employee who has resigned"
    IDLE = "idle", "Employee who takes no part in attendance"
    DOUBTFUL = "doubtful", "Has another name here"
    # Nobody has.
    RIGHT = "right", "As it should be"
    REFUSED = "refused", "There, but not as it should be"
    SOON = "soon", "Is compared at the next visit"
    MISSING = "missing", "Not there yet"
    LEAVING = "leaving", "Is removed at the next visit"


UNDECIDED: Final = frozenset(
    {Standing.UNKNOWN, Standing.ELSEWHERE, Standing.RESIGNED, Standing.IDLE, Standing.DOUBTFUL}
)
BELONGING: Final = frozenset({Standing.DOUBTFUL, Standing.RIGHT, Standing.REFUSED, Standing.SOON, Standing.MISSING})


class _Known(NamedTuple):
    """An employee, and why they might belong nowhere."""

    pk: int
    name: str
    resigned: bool
    attends: bool


def standing_of(rows: Collection[TerminalPerson]) -> dict[int, Standing]:
    """By the rows' ids; in two queries, however many there are."""
    known = _known({row.emp_code for row in rows})
    pairs = belonging_among({row.terminal_id for row in rows}, [employee.pk for employee in known.values()])
    return {row.pk: _standing(row, known.get(row.emp_code), pairs) for row in rows}


def is_unlike(row: TerminalPerson, name: str) -> bool:
    """Whether the unit may mean somebody else than the employee of this name."""
    theirs = str(row.held_fields.get("name", ""))
    ours = Fields(_as_there(name, theirs))
    return is_doubtful(Person(ours), Person(Fields(theirs)), Agreed(fields=row.agreed_fields))


def in_order(codes: Sequence[str]) -> list[str]:
    """2 before 10."""
    return sorted(codes, key=lambda code: (len(code), code))


def _as_there(name: str, theirs: str) -> str:
    """A unit has a question mark for a character that its code page hasn't; every code page has those of ASCII."""
    ours = unicodedata.normalize("NFC", name)
    pairs = zip(ours, theirs.ljust(len(ours)), strict=False)
    return "".join("?" if there == "?" and not mine.isascii() else mine for mine, there in pairs)


def _standing(row: TerminalPerson, employee: _Known | None, pairs: set[tuple[int, int]]) -> Standing:
    if employee is not None and (row.terminal_id, employee.pk) in pairs:
        return _of_one_who_belongs(row, employee)
    if row.placed or not row.held:
        return Standing.LEAVING
    if employee is None:
        return Standing.UNKNOWN
    if employee.resigned:
        return Standing.RESIGNED
    return Standing.ELSEWHERE if employee.attends else Standing.IDLE


def _of_one_who_belongs(row: TerminalPerson, employee: _Known) -> Standing:
    if not row.held:
        return Standing.MISSING
    if row.placed:
        return Standing.REFUSED if row.refusal else Standing.RIGHT
    return Standing.DOUBTFUL if is_unlike(row, employee.name) else Standing.SOON


def _known(codes: Collection[str]) -> dict[str, _Known]:
    resigned = Exists(Resignation.objects.filter(employee=OuterRef("pk")))
    people = Employee.objects.filter(emp_code__in=codes).order_by().annotate(resigned=resigned)
    columns = people.values_list("emp_code", "pk", "first_name", "last_name", "resigned", "enable_attendance")
    return {
        code: _Known(pk, f"{first or ''} {last or ''}".strip(), resigned, attends)
        for code, pk, first, last, resigned, attends in columns
    }
