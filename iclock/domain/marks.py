"""Which terminals wait to be brought up to date: a mark wakes whoever reconciles them, and decides nothing.

Rows are locked in the order employees, terminals, people on terminals.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction

from iclock.models import Terminal
from iclock.signals import terminals_marked
from personnel.models.organisation import UNAUTHORIZED_AREA_ID

# In the order of the terminals: two writers that mark the same ones wait for each other and never deadlock.
_MARK: Final = """
INSERT INTO iclock_syncmark AS mark (terminal_id, wanted, done, wanted_at)
SELECT id, 1, 0, now() FROM unnest(%s::bigint[]) AS there (id) ORDER BY id
ON CONFLICT (terminal_id) DO UPDATE SET wanted = mark.wanted + 1, wanted_at = excluded.wanted_at"""
# People of an area belong on its terminals; where areas include those below, on theirs too, but not through area 1.
_OF_AREAS: Final = """
WITH RECURSIVE below (id) AS (
    SELECT unnest(%s::bigint[])
    UNION SELECT area.id FROM personnel_area area JOIN below ON area.parent_area_id = below.id
    WHERE %s AND area.id <> %s
)
SELECT terminal.id FROM iclock_terminal terminal JOIN below ON terminal.area_id = below.id"""
# In the order in which whoever reconciles a terminal writes them.
_TRY_AGAIN: Final = """
WITH concerned AS (
    SELECT id FROM iclock_terminalperson
    WHERE emp_code = ANY(%(codes)s) AND (retry_at IS NOT NULL OR %(anew)s AND held_fingers IS NOT NULL)
    ORDER BY terminal_id, emp_code COLLATE "C" FOR NO KEY UPDATE
)
UPDATE iclock_terminalperson AS person
SET retry_at = NULL, held_fingers = CASE WHEN %(anew)s THEN NULL ELSE held_fingers END
FROM concerned WHERE person.id = concerned.id"""


class _Wake:
    """Left once for each mark of a transaction, all with the same terminals: the first one that runs tells of them all.

    A mark that a savepoint took back is told of too, which does no harm; the others aren't lost with it.
    """

    def __init__(self, terminal_ids: set[int]) -> None:
        self.terminal_ids = terminal_ids

    def __call__(self) -> None:
        woken = frozenset(self.terminal_ids)
        self.terminal_ids.clear()
        if woken:
            terminals_marked.send_robust(sender=Terminal, terminal_ids=woken)


def mark_terminals(area_ids: Iterable[int]) -> int:
    """The people of these areas changed: mark the terminals on which they belong; how many there are.

    Area 1 puts nobody on a terminal, so who comes to it or leaves it changes nothing there.
    """
    changed = sorted(set(area_ids) - {UNAUTHORIZED_AREA_ID})
    return mark(_terminals_of(changed)) if changed else 0


def mark(terminal_ids: Iterable[int]) -> int:
    """These terminals themselves changed; how many there still are. Whoever dials them hears of it after the COMMIT."""
    with transaction.atomic(), connection.cursor() as cursor:
        there = hold_terminals(terminal_ids)
        cursor.execute(_MARK, [there])
        _wake_after_commit(there)
    return len(there)


def mark_after_people_changed(
    *, area_ids: frozenset[int], emp_codes: frozenset[str], anew: bool = False, **_news: Any
) -> None:
    """For ``people_changed``, inside its transaction: the mark stays if the change does.

    What terminals refused of these people is worth another try; ``anew``, their fingers there are read again.
    """
    mark_terminals(area_ids)
    if emp_codes:
        with connection.cursor() as cursor:
            cursor.execute(_TRY_AGAIN, {"codes": [*emp_codes], "anew": anew})


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
        cursor.execute(_OF_AREAS, [area_ids, settings.AREAS_INCLUDE_SUBAREAS, UNAUTHORIZED_AREA_ID])
        return [row[0] for row in cursor.fetchall()]


def _wake_after_commit(terminal_ids: list[int]) -> None:
    """A transaction that marks a thousand times tells of it once."""
    deeds = (waiting[1] for waiting in reversed(connection.run_on_commit))
    latest = next((deed for deed in deeds if isinstance(deed, _Wake)), None)
    woken = latest.terminal_ids if latest else set()
    woken.update(terminal_ids)
    if woken:
        transaction.on_commit(_Wake(woken))
