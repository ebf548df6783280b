"""Who would be deleted from a unit if what an administrator decides about its people were decided otherwise."""

from __future__ import annotations

from typing import NamedTuple

from iclock.domain.belonging import belonging_to
from iclock.models import Terminal, TerminalPerson
from iclock.policy import Direction, Strangers


class Decided(NamedTuple):
    """What the people of a terminal follow from; ``area`` by its id."""

    area: int | None
    direction: str
    strangers: str


def count_leaving(terminal: Terminal, now: Decided, then: Decided) -> int:
    """How many of those whom the unit is known to hold would go, who stay as it is now."""
    return len(_leaving(terminal, then) - _leaving(terminal, now)) if now != then else 0


def _leaving(terminal: Terminal, decided: Decided) -> set[str]:
    """Their codes: of those who were placed there and don't belong on it, and of strangers where they are removed.

    That nobody unknown goes at the first comparison puts it off, no more.
    """
    if decided.direction not in {Direction.EXPORT, Direction.BOTH}:
        return set()
    held = TerminalPerson.objects.filter(terminal=terminal, held=True)
    going = held if decided.strangers == Strangers.REMOVED else held.filter(placed=True)
    staying = belonging_to(terminal, by_area=decided.area).order_by().values("emp_code")
    return set(going.exclude(emp_code__in=staying).order_by().values_list("emp_code", flat=True))
