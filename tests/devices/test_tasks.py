"""A task whose database is away says one sentence; the work stays due."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from devices.domain import schedule
from devices.models import Device
from devices.tasks import call_overlooked, claim_due, knock, purge_runs, sync_device

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "task",
    [claim_due, knock, call_overlooked, purge_runs, lambda: sync_device(device_id=1)],
    ids=["claim", "knock", "overlooked", "purge", "sync"],
)
def test_a_database_that_does_not_answer_is_one_sentence(
    task: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as theirs, connection.cursor() as ours:
            theirs.execute("LOCK TABLE devices_device, devices_syncrun")
            ours.execute("SET lock_timeout = '20ms'")
            task()
    finally:
        other.rollback()
        other.close()
        connection.close()

    (record,) = caplog.records
    assert record.getMessage() == "Not done, and still due: canceling statement due to lock timeout"
    assert record.exc_info is None


def test_the_tick_with_nothing_due_sends_nothing(db: None) -> None:
    Device.objects.create(key="off", name="Off", host="10.0.0.1", enabled=False)

    claim_due()

    assert schedule.claim_due() == []
