"""Storing in a process of gevent's: beside its loop, few at a time, patient with locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from devices.domain import storing
from devices.domain.dialling import Bounds
from zkbio.pooled import storing as aside
from zkbio.pooled.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def in_gevent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in the web's processes, with one pooled connection."""
    monkeypatch.setattr(aside, "is_module_patched", lambda _name: True)
    monkeypatch.setattr(aside, "_places", threading.BoundedSemaphore(1))
    monkeypatch.setattr(DatabaseWrapper, "_pools", {})
    usual = connections["default"]
    pooled = connections["default"] = DatabaseWrapper({**deepcopy(usual.settings_dict), "POOL_SIZE": 1})
    yield
    pooled.close()
    connections["default"] = usual
    for kept, _since in pooled.pool_of_process._idle:
        kept.close()


def timeouts() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        return list(cursor.fetchone())


def fail() -> None:
    raise ValueError("handled by whoever asked")


def test_an_error_beside_the_loop_comes_back_and_is_printed_by_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="handled by whoever asked"):
        aside._beside(fail)

    assert capfd.readouterr().err == ""


def test_transactions_in_it_wait_for_locks_for_as_long_as_somebody_waits_and_half_a_minute_at_most(
    in_gevent: None, settings: Any
) -> None:
    settings.DATABASE_LOCK_SECONDS, settings.DATABASE_STATEMENT_SECONDS = 2, 15
    usual = timeouts()

    with storing.storing(), transaction.atomic():
        assert timeouts() == ["30s", "45s"]
    with storing.storing(Bounds(9, until=time.monotonic())), transaction.atomic():
        assert timeouts() == ["2s", "17s"]
    assert timeouts() == usual


def test_who_waits_for_a_place_waits_no_longer_than_who_waits_for_them(in_gevent: None) -> None:
    with storing.storing(), pytest.raises(OperationalError), storing.storing(Bounds(9, until=time.monotonic() + 0.1)):
        pytest.fail("there were two in one place")
