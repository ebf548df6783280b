"""How long visits are remembered: a fleet makes hundreds of thousands a day, nearly all of them "unchanged"."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import connection

_ROWS_PER_TURN: Final = 10_000
_TURNS: Final = 200
_PURGE: Final = """
DELETE FROM devices_syncrun WHERE id IN (
    SELECT id FROM devices_syncrun
    WHERE started_at < now() - make_interval(days => CASE WHEN outcome = 'unchanged' THEN 1 ELSE %s END)
    ORDER BY id LIMIT %s
)"""


def purge_runs() -> int:
    """Forget visits older than RUN_HISTORY_DAYS, those without news after a day; says how many there were."""
    purged = 0
    for _ in range(_TURNS):
        with connection.cursor() as cursor:
            cursor.execute(_PURGE, [settings.RUN_HISTORY_DAYS, _ROWS_PER_TURN])
            purged += cursor.rowcount
            if cursor.rowcount < _ROWS_PER_TURN:
                break
    return purged
