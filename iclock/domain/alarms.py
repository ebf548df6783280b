"""Telling somebody, once, that a terminal needs attention, and once that it doesn't any more.

The row that an INSERT or an UPDATE finds decides who tells: however many workers notice, one of them logs it.
"""

from __future__ import annotations

import logging

from django.db import connection
from django.db.models.functions import Now

from iclock.models import Alarm, Terminal

Kind = Alarm.Kind

_LONGEST = 500
_OPEN = """
INSERT INTO iclock_alarm (terminal_id, kind, sentence, ending, opened_at) VALUES (%s, %s, %s, '', now())
ON CONFLICT (terminal_id, kind) WHERE closed_at IS NULL DO NOTHING"""

_log = logging.getLogger(__name__)


def raise_alarm(terminal: Terminal, kind: str, sentence: str) -> bool:
    """Open the terminal's alarm of this kind; False when it is open already. ``sentence`` says what to do."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [terminal.pk, kind, sentence[:_LONGEST]])
        opened: bool = cursor.rowcount == 1
    if opened:
        _log.warning("Alarm, terminal %s (%s): %s", terminal.sn, terminal.alias, sentence)
    return opened


def end_alarm(terminal: Terminal, kind: str, sentence: str) -> bool:
    """Close the terminal's alarm of this kind; False when there is none."""
    ended = Alarm.objects.open().filter(terminal=terminal, kind=kind)
    if not ended.update(closed_at=Now(), ending=sentence[:_LONGEST]):
        return False
    _log.info("Alarm over, terminal %s (%s): %s", terminal.sn, terminal.alias, sentence)
    return True


def note_event(terminal: Terminal, kind: str, sentence: str) -> None:
    """Something happened that is over already; who learns of it twice must know that."""
    Alarm.objects.create(
        terminal=terminal, kind=kind, sentence=sentence[:_LONGEST], opened_at=Now(), closed_at=Now(), ending=""
    )
    _log.warning("Alarm, terminal %s (%s): %s", terminal.sn, terminal.alias, sentence)
