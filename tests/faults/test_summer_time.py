"""Row 26 for a unit whose clock knows no summer time: the first visit after the change sets it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from devices.simulator import SimulatedTerminal
from iclock.models import Terminal

from .compressed import compressed_time
from .visits import a_device, a_spec, visit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("change", "off"),
    [
        (datetime(2026, 3, 29, 1, tzinfo=UTC), -timedelta(hours=1)),
        (datetime(2026, 10, 25, 1, tzinfo=UTC), timedelta(hours=1)),
    ],
    ids=["in spring", "in autumn"],
)
def test_row_26_a_clock_that_knows_no_summer_time_is_set_at_the_visit_after_the_change(
    change: datetime, off: timedelta
) -> None:
    before = change - timedelta(minutes=10)
    there = ZoneInfo("Europe/Madrid")
    with compressed_time(before) as passing:
        clock_of_unit = (before.astimezone(there)).utcoffset()
        assert clock_of_unit is not None
        spec = a_spec(utc_offset=clock_of_unit)
        with SimulatedTerminal(spec, clock=lambda: passing.now().replace(tzinfo=None)) as unit:
            device = a_device(unit, time_zone="Europe/Madrid")
            assert abs(visit(device).drift or 0) < 5
            Terminal.objects.update(corrects_clock=True)
            passing.pass_by(timedelta(minutes=20))

            run = visit(device)

            assert abs((run.drift or 0) - off.total_seconds()) < 5
            right = passing.now().astimezone(there).replace(tzinfo=None)
            assert abs(unit.now() - right) < timedelta(seconds=5)
            assert abs(visit(device).drift or 0) < 5
