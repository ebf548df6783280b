"""Records that could not become punches: read again after a fix, given to a person by hand, forgotten in the end.

Whoever brings records registers how their bytes are read, because this app knows neither tables nor protocols.
A record is released in the transaction that stores its punch: it is either still kept, or it is a punch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from iclock.domain.ingest import fault_of, record_punches
from iclock.models import QuarantinedRecord
from iclock.punch import Decoded, Source, punch_from_bytes
from zkbio.accounts.domain import audit

Decode = Callable[[bytes], Decoded]

_AT_ONCE: Final = 1_000
_MOST_REASON: Final = 200
_ROWS_PER_TURN: Final = 10_000
_TURNS: Final = 200
_PURGE: Final = """
DELETE FROM iclock_quarantinedrecord WHERE id IN (
    SELECT id FROM iclock_quarantinedrecord
    WHERE greatest(released_at, last_seen_at) < now() - make_interval(days => %s) AND released_at IS NOT NULL
    ORDER BY id LIMIT %s
)"""

# Called in the transaction that releases these.
Note = Callable[[Sequence[QuarantinedRecord]], None]

_decoders: Final[dict[int, Decode]] = {}


class Retried(NamedTuple):
    """How many records became punches, and how many stay."""

    released: int = 0
    kept: int = 0


class _TakenError(Exception):
    """Somebody else has just released one of them."""


class Found(NamedTuple):
    """A record and what its bytes say now."""

    record: QuarantinedRecord
    decoded: Decoded


def register_decoder(source: Source, decode: Decode) -> None:
    """Say how the kept bytes of this source are read; ``decode`` never raises, whatever they are."""
    _decoders[source.value] = decode


def decode(record: QuarantinedRecord) -> Decoded:
    """What the record's bytes say by the decoders and the rules of now."""
    raw = bytes(record.raw)
    decoder = _decoders.get(record.source)
    if punch := punch_from_bytes(raw):
        found = Decoded(punch)
    else:
        found = (
            decoder(raw) if decoder else Decoded(None, f"nothing here reads records of {record.get_source_display()}")
        )
    if found.punch and not found.fault:
        return found._replace(fault=fault_of(found.punch))
    return found


def retry(records: QuerySet[QuarantinedRecord], *, actor: object) -> Retried:
    """Read the open ones of ``records`` again: those that are punches by now go through the door and are released.

    The trail keeps which these were.
    """
    released = kept = 0
    note = partial(_note, action="iclock.retry_quarantined", actor=actor)
    for batch in _batches(records):
        found = [Found(record, _with_terminal(record, decode(record))) for record in batch]
        good = [one for one in found if not one.decoded.fault]
        bad = [one for one in found if one.decoded.fault]
        released += _release(good, note=note)
        _keep(bad)
        kept += len(bad)
    return Retried(released, kept)


def is_assignable(decoded: Decoded) -> bool:
    """Whether only the person is missing."""
    if decoded.punch is None or not decoded.fault:
        return False
    return not fault_of(decoded.punch._replace(emp_code="1"))


def assign(records: QuerySet[QuarantinedRecord], emp_code: str, *, actor: object) -> Retried:
    """Give the open ones of ``records`` to a person, as somebody decided who knows whose they were.

    Only the person may be missing: a record whose time or state can't be read stays, and so does one that tells whose
    it is. The trail keeps which records became whose punches.
    """
    released = tried = 0
    note = partial(_note, action="iclock.assign_quarantined", actor=actor, emp_code=emp_code)
    for batch in _batches(records):
        tried += len(batch)
        found = [Found(record, decode(record)) for record in batch if record.terminal]
        theirs = [
            Found(record, Decoded(decoded.punch._replace(emp_code=emp_code)))
            for record, decoded in found
            if decoded.punch and is_assignable(decoded)
        ]
        released += _release(theirs, note=note)
    return Retried(released, tried - released)


def purge_released() -> int:
    """Forget the released ones RUN_HISTORY_DAYS after they were released or seen again; open ones are kept for ever."""
    purged = 0
    for _ in range(_TURNS):
        with connection.cursor() as cursor:
            cursor.execute(_PURGE, [settings.RUN_HISTORY_DAYS, _ROWS_PER_TURN])
            purged += cursor.rowcount
            if cursor.rowcount < _ROWS_PER_TURN:
                break
    return purged


def _batches(records: QuerySet[QuarantinedRecord]) -> Iterator[list[QuarantinedRecord]]:
    """The open ones, with their bytes, terminals and areas; each once, whatever becomes of it meanwhile."""
    rows = records.filter(released_at=None).defer(None).select_related("terminal__area").order_by("pk")
    last = 0
    while batch := list(rows.filter(pk__gt=last)[:_AT_ONCE]):
        yield batch
        last = batch[-1].pk


def _with_terminal(record: QuarantinedRecord, decoded: Decoded) -> Decoded:
    if record.terminal or decoded.fault:
        return decoded
    return decoded._replace(fault="it can be read now, but its terminal is gone: add it again, then try again")


def _release(found: Sequence[Found], *, note: Note) -> int:
    """Store the punches and release their records, terminal by terminal; says how many records that were."""
    released = 0
    for _, group in groupby(sorted(found, key=_origin), key=_origin):
        of_one = list(group)
        try:
            released += _release_of_one(of_one, note=note)
        except _TakenError:
            continue
    return released


def _origin(found: Found) -> tuple[str, int]:
    return found.record.terminal_sn, found.record.source


def _release_of_one(found: Sequence[Found], *, note: Note) -> int:
    records = [one.record for one in found]
    terminal = records[0].terminal
    punches = [one.decoded.punch for one in found if one.decoded.punch]
    if terminal is None:
        raise ValueError("a record whose terminal is gone can't be released")

    def mark() -> None:
        _mark_released(records)
        note(records)

    record_punches(terminal, punches, source=Source(records[0].source), move_cursor=mark)
    return len(records)


def _mark_released(records: Sequence[QuarantinedRecord]) -> None:
    """All or none: whoever gave one of them to somebody else a moment ago was first. In the order of the door."""
    chosen = QuarantinedRecord.objects.filter(pk__in=[record.pk for record in records], released_at=None)
    locked = list(chosen.order_by("digest").select_for_update().values_list("pk", flat=True))
    if len(locked) < len(records):
        raise _TakenError
    QuarantinedRecord.objects.filter(pk__in=locked).update(released_at=Now())


def _note(records: Sequence[QuarantinedRecord], *, action: str, actor: object, **detail: str) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject=f"terminal {records[0].terminal_sn}",
        detail={**detail, "records": [record.pk for record in records]},
    )


def _keep(found: Sequence[Found]) -> None:
    """Bring the reasons up to date."""
    for record, decoded in found:
        reason = decoded.fault[:_MOST_REASON]
        if reason != record.reason:
            QuarantinedRecord.objects.filter(pk=record.pk).update(reason=reason)
