"""Who is on a terminal that dials, as far as it tells: the list of all is asked for, and believed only as a whole.

Nobody is taken for gone because a unit didn't mention them, unless it counted its people after it was asked, and told
of at least that many.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models.functions import Now
from django.utils import timezone

from iclock import orders
from iclock.domain import placements, push_orders
from iclock.domain.push_room import room_of
from iclock.models import PushCommand, PushState, SyncMark, Terminal, TerminalPerson

State = PushCommand.State

LIST_EVERY: Final = timedelta(days=1)
LIST_AGAIN: Final = timedelta(minutes=10)
QUESTION_LIFE: Final = timedelta(hours=1)
# Lines of a list may come after the answer to the question for it.
_LATE: Final = timedelta(minutes=2)
_SOON: Final = timedelta(minutes=5)
_AN_HOUR: Final = timedelta(hours=1)

_NOT_LISTED: Final = "The unit didn't tell who is on it, so its people are compared by what it told by itself: {}"
_INCOMPLETE: Final = "The unit told of {} of its {} people; nobody is taken for gone because of that."
_UNCOUNTED: Final = "The unit told of {} people, not of how many it has; nobody is taken for gone because of that."


def note_list(terminal: Terminal, mark: SyncMark) -> str | None:
    """None until the unit told who is on it, lately enough: it is asked to, or its lines are waited for. Else what is
    to be said of that, "" for nothing."""
    state = terminal.push
    lists = PushCommand.objects.filter(terminal=terminal, kind=orders.Kind.QUERY_USERS, emp_code="")
    last = lists.order_by("-id").first()
    news = last is not None and (state.listed_at is None or last.created_at > state.listed_at)
    if last is not None and news:
        if last.state in PushCommand.OPEN:
            return None
        if last.state == State.DONE:
            return _conclude(terminal, last)
        if last.returned is not None:  # it doesn't know the question
            _note_listed(terminal, last.created_at)
            return _NOT_LISTED.format(last.result)
    if not _needs_list(terminal, mark):
        return ""
    pause = _AN_HOUR if last is not None and last.times_sent >= push_orders.MOST_TIMES else _SOON
    lately = news and last is not None and last.finished_at and last.finished_at > timezone.now() - pause
    if not lately:
        push_orders.queue(terminal, orders.Kind.QUERY_USERS, expires_at=Now() + QUESTION_LIFE)
        push_orders.queue(terminal, orders.Kind.INFO, expires_at=Now() + QUESTION_LIFE)  # how many there are
    return None


def _needs_list(terminal: Terminal, mark: SyncMark) -> bool:
    listed_at = terminal.push.listed_at
    if listed_at is None or listed_at < timezone.now() - LIST_EVERY or mark.fingers_read_at is None:
        return True
    if terminal.user_count == mark.people_there or listed_at > timezone.now() - LIST_AGAIN:
        return False
    held = TerminalPerson.objects.filter(terminal=terminal, held=True).count()
    if held == terminal.user_count:  # it told by itself who came or left
        SyncMark.objects.filter(terminal=terminal).update(people_there=held)
        return False
    return True


def _conclude(terminal: Terminal, listing: PushCommand) -> str | None:
    """The question for the list was answered; None while lines of it are waited for, or how many there are."""
    infos = PushCommand.objects.filter(terminal=terminal, kind=orders.Kind.INFO)
    if infos.open().exists():
        return None
    info = infos.filter(finished_at__gte=listing.created_at).order_by("-id").first()
    if info is None:
        push_orders.queue(terminal, orders.Kind.INFO, expires_at=Now() + QUESTION_LIFE)
        return None
    counted = info.sent.get("people") if info.state == State.DONE else None
    told = TerminalPerson.objects.filter(terminal=terminal, told_at__gte=listing.created_at).count()
    terminal.refresh_from_db(fields=["user_count", "fp_count"])
    remark = ""
    if counted is not None and told >= counted and (told or not listing.returned):
        placements.note_all_told(terminal, listing.created_at, room=room_of(terminal.push))
    elif listing.finished_at is not None and listing.finished_at > timezone.now() - _LATE:
        return None
    else:
        remark = _UNCOUNTED.format(told) if counted is None else _INCOMPLETE.format(told, counted)
    _note_listed(terminal, listing.created_at)
    return remark


def _note_listed(terminal: Terminal, at: datetime) -> None:
    """From now on only another number than that which the unit counts now says that something changed."""
    terminal.push.listed_at = at
    PushState.objects.filter(terminal=terminal).update(listed_at=at)
    SyncMark.objects.filter(terminal=terminal).update(
        people_there=terminal.user_count, fingers_there=terminal.fp_count, fingers_read_at=Now()
    )
