"""What a terminal that dials brings: each of these returns when all of it is committed, or raises.

A unit that is told "OK" forgets, and one that is told anything else sends the same again. So whatever is stored here
is stored as often as it comes, once; and its position (``stamp``) moves with the last of it, never before.

In a process of gevent's all of it waits beside the loop: posts that can't be stored hold up nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

from django.conf import settings
from django.utils import timezone

from iclock.domain import push_contact
from iclock.domain.ingest import Counts, Post, WallRange, fault_of, record_punches
from iclock.domain.push_events import keep_events
from iclock.domain.push_gathering import MOST_ROWS, Gathering, Position, advance, beside_the_others
from iclock.domain.push_people import note_people
from iclock.domain.push_photos import keep_picture, refused_picture
from iclock.lines import Attendance, Line, OperationLine, PictureLine, TemplateLine, Uploaded, UserLine
from iclock.models import Terminal, TerminalPresence
from iclock.punch import Reject, Source
from zkbio.clock import zone
from zkbio.texts import in_print

T = TypeVar("T", bound=Line)
_MOST_STAMP: Final = 40
# Units tell a position of these; it is asked for of the first four.
_STAMPED: Final = frozenset((*push_contact.TABLES, "RTLOG", "TRANSACTION"))
# What is remembered of a clock is rounded, and so is what it shows.
_WHOLE_SECONDS: Final = timedelta(seconds=2)
# Of this process.
_gathering: Final = Gathering()


def store_attendance(terminal: Terminal, attendance: Attendance, *, table: str, stamp: str) -> Counts:
    """The punches of a post. Raises django.db.Error."""
    arrived = timezone.now()
    position = _position(terminal, table, stamp, attendance.count)
    if _is_ordinary(attendance):
        new = _gathering.store(Post(terminal, attendance.punches, _doubtful(terminal)), position)
        counts = Counts(new, len(attendance.punches) - new)
    else:
        counts = _store_alone(terminal, attendance, position)
    if counts.new:
        push_contact.note_clock(terminal, attendance.punches, arrived=arrived)
    return counts


def _is_ordinary(attendance: Attendance) -> bool:
    """A few punches and nothing else, each of which fits the table."""
    few = 0 < len(attendance.punches) <= MOST_ROWS
    return few and not attendance.rejects and not attendance.operations and not any(map(fault_of, attendance.punches))


def _store_alone(terminal: Terminal, attendance: Attendance, position: Position) -> Counts:
    with beside_the_others():
        keep_events(terminal, attendance.operations)
        return record_punches(
            terminal,
            attendance.punches,
            source=Source.PUSH,
            rejects=attendance.rejects,
            move_cursor=lambda: advance([position]),
            doubtful=_doubtful(terminal),
        )


def store_lines(terminal: Terminal, uploaded: Uploaded, *, table: str, stamp: str) -> None:
    """People, templates, photos and operations, and the punches among them. Raises django.db.Error and OSError.

    Punches come first: they are stored even where a photo can't be. The position moves when all else is.
    """
    lines = uploaded.lines
    with beside_the_others():
        if uploaded.punches:
            doubtful = _doubtful(terminal)
            record_punches(terminal, uploaded.punches, source=Source.PUSH, doubtful=doubtful)
        keep_events(terminal, _of(OperationLine, lines))
        note_people(terminal, _of(UserLine, lines), _of(TemplateLine, lines))
    pictures = [keep_picture(terminal, picture) for picture in _of(PictureLine, lines)]
    with beside_the_others():
        _finish(
            terminal,
            [*uploaded.rejects, *filter(None, pictures)],
            move_cursor=lambda: advance([_position(terminal, table, stamp, len(uploaded.punches))]),
        )


def store_photo(terminal: Terminal, picture: PictureLine) -> None:
    """Raises django.db.Error and OSError."""
    refused = keep_picture(terminal, picture)
    if refused:
        with beside_the_others():
            _finish(terminal, [refused])


def refuse_photo(terminal: Terminal, *, reason: str, size: int) -> None:
    """A post of a photo that can't be read. Raises django.db.Error."""
    with beside_the_others():
        _finish(terminal, [refused_picture("that can't be read", reason=reason, size=size)])


def store_events(terminal: Terminal, operations: Sequence[OperationLine]) -> None:
    """Raises django.db.Error."""
    with beside_the_others():
        keep_events(terminal, operations)


def _of(kind: type[T], lines: Iterable[Line]) -> list[T]:
    return [line for line in lines if isinstance(line, kind)]


def _finish(terminal: Terminal, rejects: Sequence[Reject], *, move_cursor: Callable[[], None] | None = None) -> None:
    record_punches(terminal, (), source=Source.PUSH, rejects=rejects, move_cursor=move_cursor)


def _position(terminal: Terminal, table: str, stamp: str, lines: int) -> Position:
    """The unit's own position, as it told it, in a table that there is: any name may stand in a request."""
    told = in_print(stamp)[:_MOST_STAMP] if table in _STAMPED else ""
    return Position(terminal, table, told, lines)


def _doubtful(terminal: Terminal) -> WallRange | None:
    """The stamps that its clock may have given since it was found wrong."""
    known: TerminalPresence | None = getattr(terminal, "presence", None)
    if known is None or known.clock_read_at is None:
        return None
    drift = timedelta(seconds=known.clock_drift or 0)
    if abs(drift) <= timedelta(seconds=settings.CLOCK_ALARM_SECONDS):
        return None
    since, until = (
        moment.astimezone(zone(terminal.time_zone)).replace(tzinfo=None) + drift
        for moment in (known.clock_read_at, timezone.now())
    )
    return min(since, until) - _WHOLE_SECONDS, until + _WHOLE_SECONDS
