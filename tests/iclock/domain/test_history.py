"""What was done with people is told for a while, and then forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from iclock.domain import history
from iclock.domain.history import purge_intents
from iclock.models import PersonIntent, Terminal

pytestmark = pytest.mark.django_db


def left() -> list[str]:
    return sorted(PersonIntent.objects.values_list("emp_code", flat=True))


@override_settings(RUN_HISTORY_DAYS=3)
def test_what_was_done_long_ago_is_forgotten_a_batch_at_a_time(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_BATCH", 2)
    for code, hours in (("1", 80), ("2", 73), ("3", 71), ("4", 90)):
        row = PersonIntent.objects.create(terminal=terminal, emp_code=code, kind="add", done=True)
        PersonIntent.objects.filter(pk=row.pk).update(at=timezone.now() - timedelta(hours=hours))

    assert (purge_intents(), left()) == (2, ["3", "4"])
    assert (purge_intents(), left()) == (1, ["3"])
    assert (purge_intents(), left()) == (0, ["3"])
