"""Whether everything of a terminal's log is here: the unit counts, what is here is counted, and a gap is asked for.

A unit forgets what was acknowledged, so a punch that got lost anywhere would be missed by nobody. The unit is asked for
the number of its punches of the last days, from time to time of all of them; when the numbers differ it sends these
again, once for each comparison. One that doesn't know that question is compared by the count of all that it tells.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import BinaryField, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now, Substr
from django.utils import timezone

from iclock.domain import push_orders
from iclock.domain.completeness import complete_until, move_complete_until
from iclock.domain.push_feeding import listening
from iclock.domain.push_gathering import lines_of
from iclock.domain.push_span import EARLIEST, span, tomorrow, wall
from iclock.models import PushCommand, PushState, QuarantinedRecord, Terminal, TerminalPresence, Transaction
from iclock.orders import Kind
from iclock.punch import Source
from zkbio.clock import zone

State = PushCommand.State

_AT_ONCE: Final = 50
_WHOLE_EVERY: Final = timedelta(days=1)
_WHOLE_AGAIN: Final = timedelta(hours=23)
_BEFORE: Final = timedelta(days=1)
# Lines may come after the answer to the question for them.
_LATE: Final = timedelta(minutes=2)
_COMPARISON: Final = "compared"
_LIFE: Final = timedelta(hours=1)
# How lines begin that are no punches.
_HEAD: Final = 24
_OF_OTHERS: Final = re.compile(
    rb"\s*(?:(?:photo|user|userpic|biophoto|fp|face|fvein|biodata|oplog|idcard|errorlog)[ \t]|pin=)", re.IGNORECASE
)


def compare_due() -> int:
    """Take a step with the comparisons that are due; how many these were."""
    terminals = list(_due().select_related("push", "presence").order_by("push__verified_at")[:_AT_ONCE])
    for terminal in terminals:
        compare(terminal)
    return len(terminals)


def compare(terminal: Terminal) -> None:
    """One step: ask the unit, judge what it answered, or judge what it sent then."""
    with transaction.atomic():
        state = push_orders.hold_state(terminal)
        if state is None:
            return
        last = _orders(terminal).order_by("-id").first()
        if last is None or _is_judged(state, last):
            _ask(terminal)
        elif last.state in PushCommand.OPEN:
            return  # somebody else asked meanwhile
        elif last.kind == Kind.QUERY_ATTLOG:
            _judge_sent(terminal, last)
        else:
            _judge_count(terminal, last)


def _due() -> QuerySet[Terminal]:
    often = Q(push__verified_at=None) | Q(push__verified_at__lt=Now() - timedelta(minutes=settings.PUSH_VERIFY_MINUTES))
    under_way = PushCommand.objects.open().filter(terminal=OuterRef("pk"), arguments__has_key=_COMPARISON)
    return listening().filter(often, ~Exists(under_way))


def _orders(terminal: Terminal) -> QuerySet[PushCommand]:
    """Those of comparisons: the question how many there are, and that for the punches themselves."""
    return PushCommand.objects.filter(terminal=terminal, arguments__has_key=_COMPARISON)


def _is_judged(state: PushState, last: PushCommand) -> bool:
    if state.verified_at is not None and last.created_at <= state.verified_at:
        return True
    return last.state in {State.CANCELLED, State.EXPIRED}


def _ask(terminal: Terminal) -> None:
    """For all of its log at first and once a day, else for what came since a day before all was here."""
    known: TerminalPresence | None = getattr(terminal, "presence", None)
    until = None if known is None else known.complete_until
    lately = _orders(terminal).filter(created_at__gt=Now() - _WHOLE_EVERY)
    whole = until is None or not lately.filter(arguments__start=EARLIEST.isoformat()).exists()
    counted = lately.filter(kind=Kind.VERIFY_SUM, state=State.FAILED, returned__isnull=False).exists()
    start = EARLIEST if whole or counted or until is None else wall(terminal, until) - _BEFORE
    _queue(terminal, Kind.INFO if counted else Kind.VERIFY_SUM, start)


def _queue(terminal: Terminal, kind: Kind, start: datetime, **more: Any) -> None:
    end = tomorrow(terminal)
    PushCommand.objects.create(
        terminal=terminal,
        kind=kind,
        arguments={_COMPARISON: True, **span(max(EARLIEST, min(start, end)), end), **more},
        expires_at=Now() + _LIFE,
    )


def _judge_count(terminal: Terminal, asked: PushCommand) -> None:
    count = asked.sent.get("sum")
    if asked.state != State.DONE or count is None:
        if asked.kind == Kind.VERIFY_SUM and asked.returned is not None:
            _queue(terminal, Kind.INFO, EARLIEST)  # it doesn't know the question
        else:
            _note_compared(terminal)
        return
    # Of the punches made while it was asked it may have counted none, or all.
    if count in _counts(terminal, asked, until=asked.finished_at) | _counts(terminal, asked):
        _move(terminal, asked.sent_at)
        _note_compared(terminal)
        return
    start = datetime.fromisoformat(asked.arguments["start"])
    if start == EARLIEST and _sent_all_lately(terminal):
        _note_compared(terminal)
        return
    heard = asked.sent_at.isoformat() if asked.sent_at else ""
    _queue(terminal, Kind.QUERY_ATTLOG, start, count=count, heard_at=heard)


def _sent_all_lately(terminal: Terminal) -> bool:
    """A log that was cleared once is never again as long as what is here: it isn't sent each time."""
    lately = _orders(terminal).filter(created_at__gt=Now() - _WHOLE_AGAIN, arguments__start=EARLIEST.isoformat())
    return lately.filter(kind=Kind.QUERY_ATTLOG, state=State.DONE).exists()


def _judge_sent(terminal: Terminal, query: PushCommand) -> None:
    """It sent all of its punches again: then everything is here, whatever was counted."""
    if query.state != State.DONE or query.finished_at is None:
        _note_compared(terminal)
        return
    now = lines_of(terminal)
    came = now - query.sent.get("lines", now)
    if came >= query.arguments["count"]:
        _move(terminal, datetime.fromisoformat(query.arguments["heard_at"]))
    elif query.finished_at > timezone.now() - _LATE:
        return
    _note_compared(terminal)


def _note_compared(terminal: Terminal) -> None:
    PushState.objects.filter(terminal=terminal).update(verified_at=Now())


def _counts(terminal: Terminal, asked: PushCommand, *, until: datetime | None = None) -> set[int]:
    """What is here of these stamps, deleted ones too; without, and with, what could not be read, which may be none of
    its punches."""
    start, end = (datetime.fromisoformat(asked.arguments[name]) for name in ("start", "end"))
    rows = Transaction.objects.filter(terminal_sn=terminal.sn, punch_time__range=(start, end))
    kept = QuarantinedRecord.objects.filter(terminal_sn=terminal.sn, source=Source.PUSH, released_at=None)
    if start > EARLIEST:
        kept = kept.filter(first_seen_at__gte=start.replace(tzinfo=zone(terminal.time_zone)))
    if until is not None:
        rows, kept = rows.filter(upload_time__lte=until), kept.filter(first_seen_at__lte=until)
    punches = rows.order_by().count()
    return {punches, punches + _count_of_log(kept)}


def _count_of_log(kept: QuerySet[QuarantinedRecord]) -> int:
    """Without photos, people and operations that could not be read."""
    heads = kept.order_by().annotate(head=Substr("raw", 1, _HEAD, output_field=BinaryField()))
    return sum(_OF_OTHERS.match(bytes(head)) is None for head in heads.values_list("head", flat=True))


def _move(terminal: Terminal, heard_at: datetime | None) -> None:
    """Everything that the unit had when it was asked is here."""
    if heard_at is None:
        return
    known = TerminalPresence.objects.filter(terminal=terminal).first()
    drift = timedelta(seconds=known.clock_drift or 0) if known else timedelta(0)
    tolerance = timedelta(seconds=settings.CLOCK_ALARM_SECONDS)
    until = complete_until(heard_at, drift, tolerance=tolerance, where=zone(terminal.time_zone))
    if until is not None:
        move_complete_until(terminal, until)
