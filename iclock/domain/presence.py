"""Who is there: written at every contact, logged only when it changes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.db.models.functions import Now

from iclock.models import Terminal, TerminalPresence
from iclock.punch import Source

_log = logging.getLogger(__name__)


def mark_online(terminal: Terminal, *, source: Source = Source.PULL) -> None:
    """The terminal was heard of just now: it was dialled, or dialled itself, which is expected of it from now on."""
    heard: dict[str, Any] = {"last_activity": Now()}
    heard |= {"push_time": Now(), "expected": True} if source is Source.PUSH else {"pull_time": Now()}
    if TerminalPresence.objects.filter(terminal=terminal, online=True).update(**heard):
        return
    _, created = TerminalPresence.objects.get_or_create(
        terminal_id=terminal.pk, defaults={"online": True, "since": Now(), **heard}
    )
    returned = TerminalPresence.objects.filter(terminal=terminal, online=False).update(online=True, since=Now())
    if created or returned:
        _log.info("Terminal %s (%s) is online.", terminal.sn, terminal.alias)
    TerminalPresence.objects.filter(terminal=terminal).update(**heard)


def mark_offline(terminal: Terminal, *, reason: str) -> None:
    """The terminal could not be reached, or has not reported for too long."""
    if TerminalPresence.objects.filter(terminal=terminal, online=True).update(online=False, since=Now()):
        _log.warning("Terminal %s (%s) is offline: %s", terminal.sn, terminal.alias, reason)


def expect(terminal_ids: Iterable[int]) -> None:
    """They are polled again: from now on they may be away."""
    TerminalPresence.objects.filter(terminal__in=terminal_ids, expected=False).update(expected=True, since=Now())


def expect_no_more(terminal_ids: Iterable[int]) -> None:
    """They aren't polled any more, or another unit took their place: they aren't away, they just aren't there.

    One that dials as well is told by its own calls what it is to do, from now on.
    """
    mine = TerminalPresence.objects.filter(terminal__in=list(terminal_ids))
    mine.update(pull_time=None)
    mine.filter(expected=True).update(expected=False, online=False, since=Now())
