"""Telling somebody, once, that a terminal needs attention, and once that it doesn't any more.

The row that an INSERT or an UPDATE finds decides who tells: however many workers notice, one of them logs it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from iclock.domain.history import purge
from iclock.models import Alarm, Terminal

Kind = Alarm.Kind

# Over as soon as they are known: they have no end that would be news.
EVENTS: Final = (Kind.LOG_CLEARED, Kind.LOG_OVERRUN)

_LONGEST: Final = 500
_KEPT_DAYS: Final = 90
_OPEN: Final = """
INSERT INTO iclock_alarm (terminal_id, kind, sentence, stores, ending, opened_at) VALUES (%s, %s, %s, %s, '', now())
ON CONFLICT (terminal_id, kind) WHERE closed_at IS NULL DO NOTHING"""

# What somebody else holds at the moment is passed over: the next sweep comes in a minute. A terminal that was never
# heard of isn't away: it hasn't come yet. One that is expected again is given a moment. Where another unit answers,
# that is told.
_AWAY: Final = """
INSERT INTO iclock_alarm (terminal_id, kind, sentence, ending, opened_at)
SELECT terminal.id, 'away', 'Not heard of since ' || to_char(
    presence.last_activity AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI'
) || ': look at its power, its network and its address.', '', now()
FROM iclock_terminal terminal JOIN iclock_terminalpresence presence ON presence.terminal_id = terminal.id
WHERE terminal.admission = 'approved' AND presence.expected AND NOT presence.online
    AND presence.last_activity IS NOT NULL
    AND greatest(presence.last_activity, presence.since)
        < now() - make_interval(mins => coalesce(terminal.away_minutes, %(minutes)s))
    AND NOT EXISTS (
        SELECT FROM iclock_alarm alarm
        WHERE alarm.terminal_id = terminal.id AND alarm.kind IN ('away', 'wrong_unit') AND alarm.closed_at IS NULL
    )
ORDER BY terminal.id FOR KEY SHARE OF terminal SKIP LOCKED
ON CONFLICT (terminal_id, kind) WHERE closed_at IS NULL DO NOTHING
RETURNING terminal_id, sentence"""
_BACK: Final = """
WITH over AS (
    SELECT alarm.id, terminal.sn, terminal.alias, CASE
        WHEN presence.online AND terminal.admission = 'approved' THEN 'It is heard of again.'
        ELSE 'Nobody waits for it any more.' END AS ending
    FROM iclock_alarm alarm
    JOIN iclock_terminal terminal ON terminal.id = alarm.terminal_id
    LEFT JOIN iclock_terminalpresence presence ON presence.terminal_id = terminal.id
    WHERE alarm.kind = 'away' AND alarm.closed_at IS NULL
        AND (coalesce(presence.online OR NOT presence.expected, true) OR terminal.admission <> 'approved')
    ORDER BY alarm.id FOR UPDATE OF alarm SKIP LOCKED
)
UPDATE iclock_alarm alarm SET closed_at = now(), ending = over.ending FROM over WHERE alarm.id = over.id
RETURNING over.sn, over.alias, over.ending"""

_log = logging.getLogger(__name__)


def raise_alarm(terminal: Terminal, kind: str, sentence: str, *, stores: Sequence[str] = ()) -> bool:
    """Open the terminal's alarm of this kind; False when it is open already. ``sentence`` says what to do.

    Whoever may see the terminal reads it: it names no other terminal, nor where that one is.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [terminal.pk, kind, sentence[:_LONGEST], list(stores)])
        opened: bool = cursor.rowcount == 1
    if opened:
        _log_opening(terminal.sn, terminal.alias, sentence)
    return opened


def end_alarm(terminal: Terminal, kind: str, sentence: str) -> bool:
    """Close the terminal's alarm of this kind; False when there is none."""
    ended = Alarm.objects.open().filter(terminal=terminal, kind=kind)
    if not ended.update(closed_at=Now(), ending=sentence[:_LONGEST]):
        return False
    _log_ending(terminal.sn, terminal.alias, sentence)
    return True


def replace_stores(
    terminal: Terminal, sentence: str, *, seen: Sequence[str], stores: Sequence[str], ending: str = ""
) -> None:
    """What is nearly full changed from what was ``seen``: with an ``ending``, the alarm ends and is raised anew."""
    mine = Alarm.objects.open().filter(terminal=terminal, kind=Kind.NEARLY_FULL, stores=list(seen))
    if not ending:
        mine.update(stores=list(stores), sentence=sentence[:_LONGEST])
    elif mine.update(closed_at=Now(), ending=ending[:_LONGEST]):
        raise_alarm(terminal, Kind.NEARLY_FULL, sentence, stores=stores)


def note_event(terminal: Terminal, kind: str, sentence: str) -> None:
    """Something happened that is over already; who learns of it twice must know that."""
    Alarm.objects.create(
        terminal=terminal, kind=kind, sentence=sentence[:_LONGEST], opened_at=Now(), closed_at=Now(), ending=""
    )
    _log_opening(terminal.sn, terminal.alias, sentence)


def check_away() -> tuple[int, int]:
    """Raise the alarm of terminals away for too long, end that of those that are back; how many these were."""
    away = _rows(_AWAY, {"zone": settings.ZKBIO_TIME_ZONE, "minutes": settings.OFFLINE_ALARM_MINUTES})
    named = Terminal.objects.in_bulk([pk for pk, _ in away])
    for pk, sentence in away:
        if terminal := named.get(pk):
            _log_opening(terminal.sn, terminal.alias, sentence)
    back = _rows(_BACK, {})
    for sn, alias, ending in back:
        _log_ending(sn, alias, ending)
    return len(away), len(back)


def purge_alarms() -> int:
    """Forget alarms that were over long ago, a batch at a time; how many these were."""
    days = max(_KEPT_DAYS, settings.RUN_HISTORY_DAYS)
    return purge(Alarm.objects.all(), moment="closed_at", days=days)


def _rows(sql: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def _log_opening(sn: str, alias: str, sentence: str) -> None:
    """Once it is so: what is rolled back comes again."""
    transaction.on_commit(lambda: _log.warning("Alarm, terminal %s (%s): %s", sn, alias, sentence))


def _log_ending(sn: str, alias: str, sentence: str) -> None:
    transaction.on_commit(lambda: _log.info("Alarm over, terminal %s (%s): %s", sn, alias, sentence))
