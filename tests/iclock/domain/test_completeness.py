"""Up to when a terminal's punches are known to be here: as far as its log and its clock tell, and never back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from iclock.domain.completeness import complete_until, move_complete_until
from iclock.models import Terminal, TerminalPresence
from zkbio.clock import read_wall

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TWO_MINUTES = timedelta(minutes=2)
MADRID = ZoneInfo("Europe/Madrid")


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

    assert complete_until(NOON, ahead, tolerance=TWO_MINUTES, where=MADRID) == until


def stored_as(real: datetime, where: ZoneInfo) -> datetime:
    """The instant of a punch that is made at ``real`` on a clock that is right."""
    wall = real.astimezone(where).replace(tzinfo=None)
    return read_wall(wall, where).instant(wall)


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(seconds=90)])
@pytest.mark.parametrize(
    ("name", "again", "length"),
    [
        ("Europe/Madrid", datetime(2026, 10, 25, 1, tzinfo=UTC), timedelta(hours=1)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC), timedelta(minutes=30)),
    ],
)
def test_no_punch_to_come_lies_before_it_while_an_hour_happens_twice(
    name: str, again: datetime, length: timedelta, behind: timedelta
) -> None:
    """``again`` is when the stretch begins for the second time."""
    where = ZoneInfo(name)
    moments = [again - 2 * length + timedelta(minutes=n) for n in range(240)]
    untils = {at: complete_until(at, -behind, tolerance=TWO_MINUTES, where=where) for at in moments}

    ahead = [
        (heard, made)
        for heard, until in untils.items()
        for made in moments
        if made >= heard and until is not None and until > stored_as(made - behind, where)
    ]
    assert ahead == []
    assert untils[again - length - timedelta(minutes=1)] == again - length - timedelta(minutes=1) - behind
    assert untils[again + length + TWO_MINUTES] == again + length + TWO_MINUTES - behind


@pytest.mark.django_db
def test_the_moment_moves_forward_only(terminal: Terminal) -> None:
    reached = []
    for minutes in (0, 5, 3, 5, 6):
        move_complete_until(terminal, NOON + timedelta(minutes=minutes))
        reached.append(TerminalPresence.objects.get().complete_until)

    assert reached == [NOON + timedelta(minutes=minutes) for minutes in (0, 5, 5, 5, 6)]
    assert not TerminalPresence.objects.get().online
