"""Having terminals that dial ask for their options again: they are told others by now, or their clock is wrong.

At the handshake a unit is told its zone's offset and takes the time of the answer: after the clocks changed, or when
its own went wrong, it has to shake hands once more.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Max, Q
from django.utils import timezone

from iclock.domain import push_orders
from iclock.domain.push_contact import digest_of, options_for
from iclock.domain.push_feeding import listening
from iclock.models import Terminal
from iclock.orders import Kind

# A unit that doesn't do what it says it did isn't asked all the time.
_AGAIN: Final = timedelta(minutes=30)


def reload_due() -> int:
    """How many were told to ask again."""
    told = Max("push_commands__created_at", filter=Q(push_commands__kind=Kind.RELOAD_OPTIONS))
    there = listening().filter(push__shook_hands_at__isnull=False).annotate(told_at=told)
    now = timezone.now()
    due = [
        terminal
        for terminal in there.select_related("push", "presence")
        if (terminal.told_at is None or terminal.told_at < now - _AGAIN)
        and (_has_old(terminal, now) or _is_off(terminal))
    ]
    for terminal in due:
        push_orders.queue(terminal, Kind.RELOAD_OPTIONS)
    return len(due)


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
