"""Which terminals wait to be brought up to date: a mark wakes whoever reconciles them, and decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db import connection, transaction

from personnel.models.organisation import UNAUTHORIZED_AREA_ID

# In the order of the terminals: two writers that mark the same ones wait for each other and never deadlock.
_MARK: Final = """
INSERT INTO iclock_syncmark AS mark (terminal_id, wanted, done, wanted_at)
SELECT id, 1, 0, now() FROM unnest(%s::bigint[]) AS there (id) ORDER BY id
ON CONFLICT (terminal_id) DO UPDATE SET wanted = mark.wanted + 1, wanted_at = excluded.wanted_at"""
_OF_AREAS: Final = """
WITH RECURSIVE above (id) AS (
    SELECT unnest(%s::bigint[])
    UNION SELECT area.parent_area_id FROM personnel_area area JOIN above ON area.id = above.id
    WHERE area.parent_area_id IS NOT NULL
), below (id) AS (
    SELECT unnest(%s::bigint[])
    UNION SELECT area.id FROM personnel_area area JOIN below ON area.parent_area_id = below.id
)
SELECT id FROM iclock_terminal WHERE area_id IN (SELECT id FROM above UNION SELECT id FROM below)"""


def mark_terminals(area_ids: Iterable[int]) -> int:
    """The people of these areas changed: mark the terminals there, above and below; how many there are.

    Area 1 puts nobody on a terminal, so who comes to it or leaves it changes nothing there.
    """
    changed = sorted(set(area_ids) - {UNAUTHORIZED_AREA_ID})
    return mark(_terminals_of(changed)) if changed else 0


def mark(terminal_ids: Iterable[int]) -> int:
    """These terminals themselves changed; how many there still are."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MARK, [hold_terminals(terminal_ids)])
        marked: int = cursor.rowcount
        return marked


def mark_after_people_changed(*, area_ids: frozenset[int], **_news: Any) -> None:
    """For ``people_changed``, inside its transaction: the mark stays if the change does."""
    mark_terminals(area_ids)


def hold_terminals(terminal_ids: Iterable[int]) -> list[int]:
    """Those that there still are, and nobody deletes before the transaction ends.

    Who writes what hangs on terminals does this first: a deletion holds its terminals and then waits for what hangs
    on them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM iclock_terminal WHERE id = ANY(%s::bigint[]) ORDER BY id FOR KEY SHARE", [[*terminal_ids]]
        )
        return [row[0] for row in cursor.fetchall()]


def _terminals_of(area_ids: list[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_OF_AREAS, [area_ids, area_ids])
        return [row[0] for row in cursor.fetchall()]
