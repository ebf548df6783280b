"""Up to when a terminal's punches are known to be here: as far as its log and its clock tell, and never back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from iclock.domain.completeness import complete_until, move_complete_until
from iclock.models import Terminal, TerminalPresence

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TWO_MINUTES = timedelta(minutes=2)


@pytest.mark.parametrize(
    ("drift", "until"),
    [
        (0, NOON),
        (90, NOON),
        (-90, NOON - timedelta(seconds=90)),
        (120, NOON),
        (121, None),
        (-121, None),
        (None, None),
    ],
)
def test_a_log_is_complete_as_far_as_its_stamps_are_certain(drift: int | None, until: datetime | None) -> None:
    ahead = None if drift is None else timedelta(seconds=drift)

    assert complete_until(NOON, ahead, tolerance=TWO_MINUTES) == until


@pytest.mark.django_db
def test_the_moment_moves_forward_only(terminal: Terminal) -> None:
    reached = []
    for minutes in (0, 5, 3, 5, 6):
        move_complete_until(terminal, NOON + timedelta(minutes=minutes))
        reached.append(TerminalPresence.objects.get().complete_until)

    assert reached == [NOON + timedelta(minutes=minutes) for minutes in (0, 5, 5, 5, 6)]
    assert not TerminalPresence.objects.get().online
