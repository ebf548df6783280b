"""Visits are forgotten after a while, those without news sooner."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from devices.domain import history
from devices.domain.history import purge_runs
from devices.models import Device, SyncRun

pytestmark = pytest.mark.django_db

OK, UNCHANGED, FAILED = SyncRun.Outcome.OK, SyncRun.Outcome.UNCHANGED, SyncRun.Outcome.FAILED


def runs(device: Device, outcome: str, *, days: float, count: int = 1) -> None:
    at = timezone.now() - timedelta(days=days)
    SyncRun.objects.bulk_create(
        SyncRun(device=device, trigger="schedule", started_at=at, finished_at=at, outcome=outcome) for _ in range(count)
    )


def test_news_is_kept_for_a_month_and_no_news_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_ROWS_PER_TURN", 2)
    device = Device.objects.create(key="gate", name="Gate", host="10.0.0.1")
    for outcome, days in ((OK, 29), (OK, 31), (FAILED, 29), (FAILED, 31), (UNCHANGED, 0.9)):
        runs(device, outcome, days=days)
    runs(device, UNCHANGED, days=1.1, count=5)

    assert purge_runs() == 7
    assert sorted(SyncRun.objects.values_list("outcome", flat=True)) == ["failed", "ok", "unchanged"]
    assert purge_runs() == 0
