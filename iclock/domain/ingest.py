"""The door: one punch becomes one row, whoever brings it, however often, in whatever order.

Rows are brought to the server first (COPY into a temporary table, or an array for a handful), then writers take turns
for one ordered INSERT and its COMMIT. A reader that remembers the last id therefore never misses a row: an id is
drawn only by the writer whose turn it is, and it is visible before the next one draws.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from math import isfinite
from typing import Any, Final, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from iclock.models import Terminal
from iclock.models.transaction import EARLIEST, LATEST
from iclock.punch import Punch, Reject, Source, punch_to_bytes
from iclock.signals import punches_recorded
from zkbio.clock import ClockNote, DayOffsets, zone

# Rows per turn: long enough to be fast, short enough that a single punch never waits long.
ROWS_PER_TURN: Final = 5_000
# Up to here an array parameter beats a temporary table.
ARRAY_ROWS: Final = 200
# The advisory lock that is the turn. Any constant does; this one spells "punch".
TURN: Final = 0x70756E6368
MAX_EMP_CODE: Final = 24
MAX_WORK_CODE: Final = 20
# A stamp that is later than its arrival by more than this is no punch of a clock that is a little fast.
FUTURE: Final = timedelta(minutes=5)
# A naive range of a terminal's own wall clock, both ends included.
WallRange = tuple[datetime, datetime]

_PUNCH: Final = ", ".join(Punch._fields)
_COLUMNS: Final = f"{_PUNCH}, utc_offset, clock_note"
_TYPES: Final = (
    *("text", "timestamp", "smallint", "smallint", "text", "smallint", "double precision"),
    *("smallint", "smallint"),
)
_CREATE: Final = "CREATE TEMPORARY TABLE arriving ({}) ON COMMIT DROP".format(
    ", ".join(f"{name} {kind}" for name, kind in zip(_COLUMNS.split(", "), _TYPES, strict=True))
)
_UNNEST: Final = "unnest({}) AS arriving ({})".format(", ".join(f"%s::{kind}[]" for kind in _TYPES), _COLUMNS)
# upload_time is taken inside the turn and never falls with the id, not even when the server's clock is set back.
# Of what is odd about a stamp the gravest is noted; `doubtful` is null where the terminal's clock is trusted.
_NOTE: Final = f"""CASE
        WHEN placed.punched_at > turn.now + interval '{FUTURE.total_seconds():.0f} seconds' THEN {ClockNote.FUTURE:d}
        WHEN punch_time >= '2000-01-01' AND punch_time < '2001-01-01' THEN {ClockNote.RESET:d}
        WHEN clock_note <> {ClockNote.PLAIN:d} THEN clock_note
        WHEN punch_time BETWEEN {{since}} AND {{until}} THEN {ClockNote.OFF:d}
        ELSE {ClockNote.PLAIN:d} END"""
_INSERT: Final = f"""
INSERT INTO iclock_transaction (
    terminal_sn, terminal_alias, area_alias, source, is_attendance,
    {_PUNCH}, utc_offset, clock_note, punched_at, upload_time
)
SELECT {{sn}}, {{alias}}, {{area}}, %s, {{attends}},
    {_PUNCH}, utc_offset, {_NOTE}, placed.punched_at, turn.now
FROM {{source}}, (
    SELECT greatest(
        clock_timestamp(), (SELECT upload_time FROM iclock_transaction ORDER BY id DESC LIMIT 1)
    ) AS now
) AS turn, LATERAL (
    SELECT (punch_time - make_interval(mins => utc_offset)) AT TIME ZONE 'UTC' AS punched_at
) AS placed
ORDER BY punch_time, emp_code
ON CONFLICT ON CONSTRAINT iclock_transaction_identity DO NOTHING
"""  # noqa: S608 - constants; everything else is a parameter
# Of one terminal: what is the same for all rows are parameters. Of several: columns beside the punch's.
_INSERT_OF_ONE: Final = partial(
    _INSERT.format, sn="%s", alias="%s", area="%s", attends="%s", since="%s::timestamp", until="%s::timestamp"
)
_OWN: Final = {
    **dict.fromkeys(("sn", "alias", "area"), "text"),
    "attends": "boolean",
    **dict.fromkeys(("since", "until"), "timestamp"),
}
_INSERT_OF_MANY: Final = _INSERT.format(
    source="unnest({}) AS arriving ({}, {})".format(
        ", ".join(f"%s::{kind}[]" for kind in (*_OWN.values(), *_TYPES)), ", ".join(_OWN), _COLUMNS
    ),
    **{name: name for name in _OWN},
)
_QUARANTINE: Final = """
INSERT INTO iclock_quarantinedrecord AS known
    (terminal_sn, source, raw, digest, reason, first_seen_at, last_seen_at, times)
SELECT %s, %s, raw, digest, reason, now(), now(), 1
FROM unnest(%s::bytea[], %s::bytea[], %s::text[]) AS arriving (raw, digest, reason)
ORDER BY digest
ON CONFLICT ON CONSTRAINT iclock_quarantinedrecord_identity
DO UPDATE SET last_seen_at = now(), times = known.times + 1
"""


class Post(NamedTuple):
    """A few punches of one terminal, to be stored with those of others."""

    terminal: Terminal
    punches: Sequence[Punch]
    doubtful: WallRange | None = None


class Counts(NamedTuple):
    """What became of a batch: ``new + duplicate + quarantined`` is the number of records handed in."""

    new: int = 0
    duplicate: int = 0
    quarantined: int = 0


def record_punches(
    terminal: Terminal,
    punches: Sequence[Punch],
    *,
    source: Source,
    rejects: Sequence[Reject] = (),
    move_cursor: Callable[[], None] | None = None,
    doubtful: WallRange | None = None,
) -> Counts:
    """Store the punches of one terminal and say how many were new, already here, or undecodable.

    Each turn is a transaction of its own of at most ``ROWS_PER_TURN`` rows; on an error the turns before it stay and
    the caller brings everything again. ``move_cursor`` runs in the transaction of the last turn: what it remembers
    (a digest, a stamp) is stored if and only if all rows are. New punches stamped within ``doubtful`` are noted as
    made while the clock was wrong. Raises RuntimeError inside a transaction, because the turn would then be held until
    somebody else's COMMIT, and django.db.Error from the database.
    """
    if connection.in_atomic_block:
        raise RuntimeError("record_punches takes its own transactions; call it outside of atomic()")
    fitting, unfit = _separate(punches)
    refused = [*rejects, *unfit]
    if refused:
        _quarantine(terminal, refused, source=source)
    new = sum(
        _take_turn(terminal, chunk, source=source, doubtful=doubtful, move_cursor=move_cursor if last else None)
        for chunk, last in _turns(fitting)
    )
    if new:
        punches_recorded.send_robust(sender=Terminal, terminal_sn=terminal.sn, new=new)
    return Counts(new=new, duplicate=len(fitting) - new, quarantined=len(refused))


def record_together(posts: Sequence[Post], *, source: Source, move_cursor: Callable[[], None]) -> list[int]:
    """Store the few punches of each of several terminals in one turn, all or nothing; how many of each were new.

    Each fits the table (`fault_of`), and all of them are no more than ``ROWS_PER_TURN``. Everything else is as in
    `record_punches`.
    """
    if connection.in_atomic_block:
        raise RuntimeError("record_together takes its own transaction; call it outside of atomic()")
    rows = [row for post in posts for row in _rows_of(post)]
    new: set[tuple[str, str, datetime]] = set()
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        if rows:
            _wait_for_turn(cursor)
            arrays = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(f"{_INSERT_OF_MANY} RETURNING terminal_sn, emp_code, punch_time", [source.value, *arrays])
            new.update(cursor.fetchall())
        move_cursor()
    counts = [_take(new, post) for post in posts]
    for post, count in zip(posts, counts, strict=True):
        if count:
            punches_recorded.send_robust(sender=Terminal, terminal_sn=post.terminal.sn, new=count)
    return counts


def _rows_of(post: Post) -> Iterator[tuple[Any, ...]]:
    since, until = post.doubtful or (None, None)
    own = (*_own(post.terminal), since, until)
    return ((*own, *row) for row in _rows(post.punches, post.terminal.time_zone))


def _take(new: set[tuple[str, str, datetime]], post: Post) -> int:
    """A punch that two posts brought was new in the first one."""
    identities = {(post.terminal.sn, punch.emp_code, punch.punch_time) for punch in post.punches}
    mine = new & identities
    new -= mine
    return len(mine)


def _own(terminal: Terminal) -> tuple[str, str, str, bool]:
    """What the rows of a terminal have of it."""
    return terminal.sn, terminal.alias, terminal.area.area_name, terminal.is_attendance


def _turns(punches: Sequence[Punch]) -> Iterator[tuple[Sequence[Punch], bool]]:
    """Slices of at most ``ROWS_PER_TURN`` and whether it is the last; one empty slice for nothing at all."""
    starts = range(0, max(len(punches), 1), ROWS_PER_TURN)
    for start in starts:
        yield punches[start : start + ROWS_PER_TURN], start == starts[-1]


def _take_turn(
    terminal: Terminal,
    chunk: Sequence[Punch],
    *,
    source: Source,
    doubtful: WallRange | None,
    move_cursor: Callable[[], None] | None,
) -> int:
    with transaction.atomic(durable=True):
        new = _insert(terminal, chunk, source=source, doubtful=doubtful) if chunk else 0
        if move_cursor is not None:
            move_cursor()
    return new


def _insert(terminal: Terminal, chunk: Sequence[Punch], *, source: Source, doubtful: WallRange | None) -> int:
    since, until = doubtful or (None, None)
    sn, alias, area, attends = _own(terminal)
    known = [sn, alias, area, source.value, attends, since, until]
    with connection.cursor() as cursor:
        if len(chunk) <= ARRAY_ROWS:
            arrays = [list(column) for column in zip(*_rows(chunk, terminal.time_zone), strict=True)]
            _wait_for_turn(cursor)
            cursor.execute(_INSERT_OF_ONE(source=_UNNEST), [*known, *arrays])
        else:
            _copy(cursor, chunk, terminal.time_zone)
            _wait_for_turn(cursor)
            cursor.execute(_INSERT_OF_ONE(source="arriving"), known)
        inserted: int = cursor.rowcount
        return inserted


def _wait_for_turn(cursor: CursorWrapper) -> None:
    """Bounded by the connection's lock_timeout; released by the COMMIT, after the rows are visible."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURN])


def _copy(cursor: CursorWrapper, chunk: Sequence[Punch], time_zone: str) -> None:
    cursor.execute(_CREATE)
    cursor.copy_expert(f"COPY arriving ({_COLUMNS}) FROM STDIN", io.StringIO(_copy_text(chunk, time_zone)))


def _copy_text(chunk: Sequence[Punch], time_zone: str) -> str:
    """The chunk in COPY's text format. A hot loop: 100 000 rows in about a tenth of a second."""
    offsets, words = DayOffsets(zone(time_zone)), _CopyWords()
    lines = []
    for code, wall, state, verify, work, mask, warmth in chunk:
        offset, note = offsets.read(wall)
        seen = "\\N\t\\N" if mask is None is warmth else f"{_or_null(mask)}\t{_or_null(warmth)}"
        lines.append(
            f"{words[code]}\t{wall.isoformat(' ')}\t{state}\t{verify}\t{words[work]}\t{seen}\t{offset}\t{note:d}\n"
        )
    return "".join(lines)


def _or_null(number: float | None) -> str:
    return r"\N" if number is None else str(number)


def _rows(chunk: Sequence[Punch], time_zone: str) -> Iterator[tuple[Any, ...]]:
    offsets = DayOffsets(zone(time_zone))
    for punch in chunk:
        offset, note = offsets.read(punch.punch_time)
        yield *punch, offset, int(note)


class _CopyWords(dict[str | None, str]):
    """Texts as COPY wants them, each escaped once: a log names few people many times."""

    _ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

    def __missing__(self, word: str | None) -> str:
        self[word] = r"\N" if word is None else word.translate(self._ESCAPES)
        return self[word]


def _separate(punches: Sequence[Punch]) -> tuple[list[Punch], list[Reject]]:
    """The punches that fit the table, and the others as rejects: one bad record never costs its neighbours."""
    fitting: list[Punch] = []
    unfit: list[Reject] = []
    sound: set[str] = set()
    for punch in punches:
        code = punch.emp_code
        if code not in sound:
            if reason := _fault_of_code(code):
                unfit.append(Reject(punch_to_bytes(punch), reason))
                continue
            sound.add(code)
        if reason := _fault_of_rest(punch):
            unfit.append(Reject(punch_to_bytes(punch), reason))
        else:
            fitting.append(punch)
    return fitting, unfit


def fault_of(punch: Punch) -> str:
    """Why the table has no row for this punch; "" when it has one."""
    return _fault_of_code(punch.emp_code) or _fault_of_rest(punch)


def _fault_of_code(code: str) -> str:
    if not code or len(code) > MAX_EMP_CODE:
        return f"the user id has {len(code)} characters; 1 to {MAX_EMP_CODE} are possible"
    return "" if code.isprintable() else "the user id holds characters that can't be printed"


def _fault_of_rest(punch: Punch) -> str:
    if not (-1 <= punch.punch_state <= 32_767 and -1 <= punch.verify_type <= 32_767):
        return f"state {punch.punch_state} or verification {punch.verify_type} is out of range"
    if punch.work_code is not None and (len(punch.work_code) > MAX_WORK_CODE or not punch.work_code.isprintable()):
        return f"the work code is longer than {MAX_WORK_CODE} characters or can't be printed"
    if punch.is_mask is not None and not -1 <= punch.is_mask <= 32_767:
        return f"mask {punch.is_mask} is out of range"
    if punch.temperature is not None and not isfinite(punch.temperature):
        return "the temperature is no number"
    if punch.punch_time.tzinfo is not None:
        return "the time carries an offset; a wall clock has none"
    return (
        "" if EARLIEST <= punch.punch_time < LATEST else f"no terminal's clock shows the year {punch.punch_time.year}"
    )


def _quarantine(terminal: Terminal, rejects: Sequence[Reject], *, source: Source) -> None:
    """Keep the records with their reasons; the same bytes again are counted, not added."""
    distinct = {hashlib.sha256(reject.raw).digest(): reject for reject in rejects}
    columns = [list(column) for column in zip(*((r.raw, d, r.reason) for d, r in distinct.items()), strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_QUARANTINE, [terminal.sn, source.value, *columns])
