"""A task whose database is away says one sentence; the work stays due."""

from __future__ import annotations

import pytest
from django.db import connection

from devices.domain import schedule
from devices.models import Device
from devices.tasks import claim_due, purge_runs, sync_device

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "task", [claim_due, purge_runs, lambda: sync_device(device_id=1)], ids=["claim", "purge", "sync"]
)
def test_a_table_that_is_away_is_one_sentence(task: object, caplog: pytest.LogCaptureFixture) -> None:
    names = [("devices_device", "away_device"), ("devices_syncrun", "away_syncrun")]
    with connection.cursor() as cursor:
        for table, away in names:
            cursor.execute(f"ALTER TABLE {table} RENAME TO {away}")
        try:
            task()  # type: ignore[operator]
        finally:
            for table, away in names:
                cursor.execute(f"ALTER TABLE {away} RENAME TO {table}")

    (record,) = caplog.records
    assert record.getMessage().startswith("Not done, and still due: relation ")
    assert record.exc_info is None


def test_the_tick_with_nothing_due_sends_nothing(db: None) -> None:
    Device.objects.create(key="off", name="Off", host="10.0.0.1", enabled=False)

    claim_due()

    assert schedule.claim_due() == []
