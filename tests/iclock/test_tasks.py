"""A task whose database is away says one sentence; the work stays due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings

from iclock.tasks import (
    check_away,
    compare_push,
    expire_enrolments,
    feed_push,
    forget_templates,
    mail_alarms,
    purge_alarms,
    purge_enrolments,
    purge_intents,
    purge_push_orders,
    purge_released,
    purge_terminal_events,
    purge_terminal_photos,
    reload_push,
    sweep_push,
)
from tests.post import Inbox, mail_server
from zkbio.celery import app


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "task",
    [
        check_away,
        compare_push,
        expire_enrolments,
        feed_push,
        forget_templates,
        mail_alarms,
        purge_alarms,
        purge_enrolments,
        purge_intents,
        purge_push_orders,
        purge_released,
        purge_terminal_events,
        purge_terminal_photos,
        reload_push,
        sweep_push,
    ],
)
@override_settings(TEMPLATE_RETENTION_DAYS=1)
def test_a_database_that_does_not_answer_is_one_sentence(
    task: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with mail_server(Inbox()), other.cursor() as theirs, connection.cursor() as ours:
            tables = "iclock_alarm, iclock_biodata, iclock_enrolment, iclock_personintent, iclock_quarantinedrecord"
            tables += ", iclock_terminalpresence, iclock_pushcommand, iclock_terminalevent, iclock_terminalphoto"
            theirs.execute(f"LOCK TABLE {tables}")
            ours.execute("SET lock_timeout = '20ms'")
            task()
    finally:
        other.rollback()
        other.close()
        connection.close()

    (record,) = [each for each in caplog.records if each.name == "iclock.tasks"]
    assert record.getMessage() == "Not done, and still due: canceling statement due to lock timeout"
    assert record.exc_info is None


@override_settings(ALARM_MAIL_TO=[])
@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    [
        "check-away",
        "expire-enrolments",
        "forget-templates",
        "mail-alarms",
        "purge-alarms",
        "purge-enrolments",
        "purge-intents",
        "purge-released",
    ],
)
def test_a_tick_finds_its_task_and_waits_no_longer_than_the_next(name: str) -> None:
    entry: Any = settings.CELERY_BEAT_SCHEDULE[name]
    app.loader.import_default_modules()

    app.tasks[entry["task"]]()

    assert entry["options"] == {"expires": entry["schedule"]}
