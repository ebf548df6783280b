"""What happened at a unit and is no punch: kept once, however often it is told, and for RUN_HISTORY_DAYS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from django.conf import settings

from iclock.domain.history import purge
from iclock.lines import OperationLine
from iclock.models import Terminal, TerminalEvent
from zkbio.texts import in_print

_MOST_PERSON: Final = 24
_MOST_VALUE: Final = 64
_MOST_VALUES: Final = 10
_CODES: Final = range(-(2**31), 2**31)
_BATCH: Final = 1_000


def keep_events(terminal: Terminal, operations: Iterable[OperationLine]) -> None:
    """Cut to what the table has room for; the same again is nothing new."""
    TerminalEvent.objects.bulk_create(_rows(terminal, operations), ignore_conflicts=True, batch_size=_BATCH)


def purge_events() -> int:
    """Forget those that came more than RUN_HISTORY_DAYS ago; how many, no more than a batch."""
    return purge(TerminalEvent.objects.all(), moment="received_at", days=settings.RUN_HISTORY_DAYS)


def _rows(terminal: Terminal, operations: Iterable[OperationLine]) -> Iterator[TerminalEvent]:
    for each in operations:
        if each.code in _CODES:
            yield TerminalEvent(
                terminal=terminal,
                source=TerminalEvent.Source(each.source),
                code=each.code,
                person=in_print(each.person)[:_MOST_PERSON],
                moment=each.moment,
                values=[in_print(value)[:_MOST_VALUE] for value in each.values[:_MOST_VALUES]],
            )
