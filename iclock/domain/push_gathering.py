"""Posts of a few punches share a COMMIT with those that arrive while another is under way in the same process.

Whoever finds nobody storing stores what waits, itself first among it, and then hands that on to the first who waits:
nobody waits for company, and a post that comes alone is stored alone. Each is answered once what it brought is
committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Final, NamedTuple

import orjson
from django.db import Error, OperationalError, connection

from iclock.domain.ingest import ROWS_PER_TURN, Post, record_together
from iclock.models import PushPosition, Terminal
from iclock.punch import Source
from zkbio.api.streams import let_connection_go
from zkbio.pooled.storing import storing

# Posts of more rows are stored alone.
MOST_ROWS: Final = 20
MOST_POSTS: Final = ROWS_PER_TURN // MOST_ROWS
# Units wait for an answer for ten seconds at least: then they send again, whatever became of it here.
PATIENCE_SECONDS: Final = 8.0
# No writer's turn takes so long; who holds a lock for longer would have all units of the process wait for each other.
LOCK_SECONDS: Final = 3.0
# Whoever is being stored is stored within the database's own limits, or not at all.
_OUTCOME_SECONDS: Final = 60.0
_ADVANCE: Final = """
INSERT INTO iclock_pushposition AS known (terminal_id, lines, stamps)
SELECT id, lines, stamps FROM unnest(%s::bigint[], %s::bigint[], %s::jsonb[]) AS told (id, lines, stamps) ORDER BY id
ON CONFLICT (terminal_id) DO UPDATE
SET lines = known.lines + excluded.lines, stamps = known.stamps || excluded.stamps"""


class Position(NamedTuple):
    """Where a unit says that it is in one of its tables ("" for nowhere), and how many lines of its log it brought."""

    terminal: Terminal
    table: str
    stamp: str
    lines: int


@dataclass(eq=False)
class _Parcel:
    """What one post brought. Once ``ready``, how many of it were new, or an ``error``; neither: it is to store."""

    post: Post
    position: Position
    ready: Event = field(default_factory=Event)
    new: int | None = None
    error: Error | None = None

    @property
    def is_over(self) -> bool:
        return self.new is not None or self.error is not None

    def end(self, *, new: int | None = None, error: Error | None = None) -> None:
        self.new, self.error = new, error
        self.ready.set()


class Gathering:
    """Who waits to be stored, in the order in which they came."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: list[_Parcel] = []
        self._storing = False

    def store(self, post: Post, position: Position) -> int:
        """How many of the punches, which all fit the table, were new. Raises django.db.Error."""
        parcel = _Parcel(post, position)
        if not self._join(parcel):
            try:
                let_connection_go()  # who waits holds none
                if not parcel.ready.wait(PATIENCE_SECONDS):
                    self._give_up(parcel)
            except BaseException:
                self._leave(parcel)
                raise
        if not parcel.is_over:
            self._store_waiting()
        if parcel.error is not None:
            raise parcel.error
        return parcel.new or 0

    def _join(self, parcel: _Parcel) -> bool:
        """Whether the caller is to store."""
        with self._lock:
            self._waiting.append(parcel)
            first, self._storing = not self._storing, True
            return first

    def _give_up(self, parcel: _Parcel) -> None:
        """Raises OperationalError. But one that is being stored right now is waited for, one whose turn came stores."""
        with self._lock:
            waits = parcel in self._waiting
            if waits and not parcel.ready.is_set():
                self._waiting.remove(parcel)
                raise OperationalError("others were stored for as long as a unit waits")
        if not waits and not parcel.ready.wait(_OUTCOME_SECONDS):
            raise OperationalError("what came of storing it isn't known")

    def _leave(self, parcel: _Parcel) -> None:
        """Nobody is there any more who would store when the turn comes."""
        with self._lock:
            if parcel not in self._waiting:
                return
            self._waiting.remove(parcel)
        if parcel.ready.is_set():
            self._hand_on()

    def _store_waiting(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:MOST_POSTS], self._waiting[MOST_POSTS:]
        try:
            _store(batch)
        finally:
            for parcel in batch:
                if not parcel.is_over:
                    parcel.end(error=OperationalError("storing it was broken off"))
            self._hand_on()

    def _hand_on(self) -> None:
        with self._lock:
            self._storing = bool(self._waiting)
            if self._waiting:
                self._waiting[0].ready.set()


@contextmanager
def beside_the_others() -> Iterator[None]:
    """What may have to wait for somebody's lock holds up no other request of the process.

    Raises OperationalError when too many wait already.
    """
    with storing(time.monotonic() + PATIENCE_SECONDS, locks=LOCK_SECONDS):
        yield


def advance(positions: Iterable[Position]) -> None:
    """To be called in the transaction that stores what they brought."""
    lines: dict[int, int] = {}
    stamps: dict[int, dict[str, str]] = {}
    for position in positions:
        pk = position.terminal.pk
        lines[pk] = lines.get(pk, 0) + position.lines
        stamps.setdefault(pk, {}).update({position.table: position.stamp} if position.stamp else {})
    documents = [orjson.dumps(told).decode() for told in stamps.values()]
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE, [[*lines], [*lines.values()], documents])


def lines_of(terminal: Terminal) -> int:
    """How many lines of its log were acknowledged so far."""
    return PushPosition.objects.filter(terminal=terminal).values_list("lines", flat=True).first() or 0


def _store(batch: Sequence[_Parcel]) -> None:
    """Each parcel's end is that of all, unless one of them is to blame: then each has its own."""
    try:
        counts = _record(batch)
    except OperationalError as error:
        for parcel in batch:
            parcel.end(error=OperationalError(str(error)))
    except Error as error:
        if len(batch) == 1:
            batch[0].end(error=error)
        else:
            for parcel in batch:
                _store([parcel])
    else:
        for parcel, new in zip(batch, counts, strict=True):
            parcel.end(new=new)


def _record(batch: Sequence[_Parcel]) -> list[int]:
    with beside_the_others():
        return record_together(
            [parcel.post for parcel in batch],
            source=Source.PUSH,
            move_cursor=lambda: advance(parcel.position for parcel in batch),
        )
