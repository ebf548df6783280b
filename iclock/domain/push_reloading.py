"""Having terminals that dial ask for their options again: they are told others by now, or their clock is wrong.

At the handshake a unit is told its zone's offset and takes the time of the answer: after the clocks changed, or when
its own went wrong, it has to shake hands once more.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from iclock.domain import push_orders
from iclock.domain.push_contact import digest_of, options_for
from iclock.domain.push_feeding import listening
from iclock.models import PushCommand, Terminal
from iclock.orders import Kind

# A unit that doesn't do what it says it did isn't asked all the time.
_AGAIN: Final = timedelta(minutes=30)


def reload_due() -> int:
    """How many were told to ask again."""
    there = listening().filter(push__shook_hands_at__isnull=False).select_related("push", "presence")
    now = timezone.now()
    due = [
        terminal
        for terminal in there
        if (_has_old(terminal, now) or _is_off(terminal)) and not _was_told_lately(terminal)
    ]
    for terminal in due:
        push_orders.queue(terminal, Kind.RELOAD_OPTIONS)
    return len(due)


def _was_told_lately(terminal: Terminal) -> bool:
    """Asked of few: orders of a month are many."""
    told = PushCommand.objects.filter(terminal=terminal, kind=Kind.RELOAD_OPTIONS)
    return told.filter(created_at__gt=Now() - _AGAIN).exists()


def _has_old(terminal: Terminal, now: datetime) -> bool:
    block = options_for(terminal, terminal.sn, terminal.push_ver, now=now)
    return bool(terminal.push.told_digest) and digest_of(block) != terminal.push.told_digest


def _is_off(terminal: Terminal) -> bool:
    """Since it shook hands last its clock was heard, and was wrong."""
    presence, shaken = terminal.presence, terminal.push.shook_hands_at
    if not terminal.corrects_clock or presence.clock_drift is None or presence.clock_read_at is None:
        return False
    return abs(presence.clock_drift) > settings.CLOCK_TOLERANCE_SECONDS and (
        shaken is None or presence.clock_read_at > shaken
    )
