"""Connections outlive a request, within a limit, and only sound ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import psycopg2
import pytest
from django.db import connection
from django.db.utils import OperationalError

from zkbio.pooled import base
from zkbio.pooled.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = 3


@pytest.fixture
def settings_dict(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setattr(DatabaseWrapper, "_pools", {})
    yield {**deepcopy(connection.settings_dict), "POOL_SIZE": SIZE}
    for pool in DatabaseWrapper._pools.values():
        while pool._idle:
            pool._idle.pop()[0].close()


def ask(wrapper: DatabaseWrapper, sql: str = "SELECT pg_backend_pid()") -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_the_next_request_gets_the_last_ones_connection(settings_dict: dict[str, Any]) -> None:
    first, second = DatabaseWrapper(settings_dict), DatabaseWrapper(settings_dict)

    backend = ask(first)
    first.close()

    assert ask(second) == backend
    second.close()


def test_who_finds_no_place_waits_and_is_told(settings_dict: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_WAIT_SECONDS", 0.05)
    busy = [DatabaseWrapper(settings_dict) for _ in range(SIZE)]
    for wrapper in busy:
        ask(wrapper)

    with pytest.raises(OperationalError, match="all 3 database connections of this process are busy"):
        ask(DatabaseWrapper(settings_dict))

    for wrapper in busy:
        wrapper.close()
    late = DatabaseWrapper(settings_dict)
    assert ask(late, "SELECT 1") == 1
    late.close()


def test_a_rested_connection_that_the_server_ended_is_replaced(
    settings_dict: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_FRESH_SECONDS", 0.0)
    wrapper = DatabaseWrapper(settings_dict)
    backend = ask(wrapper)
    wrapper.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])

    assert ask(wrapper) != backend
    wrapper.close()


def test_an_open_transaction_is_never_handed_on(settings_dict: dict[str, Any]) -> None:
    wrapper = DatabaseWrapper(settings_dict)
    backend = ask(wrapper)
    wrapper.set_autocommit(False)
    ask(wrapper)
    wrapper.close()

    assert ask(wrapper) != backend
    wrapper.close()


def test_a_connection_that_cannot_be_made_takes_no_place(settings_dict: dict[str, Any]) -> None:
    settings_dict["USER"] = "nobody-of-that-name"
    for _ in range(SIZE + 1):
        with pytest.raises(OperationalError, match="nobody-of-that-name"):
            ask(DatabaseWrapper(settings_dict))
        DatabaseWrapper(settings_dict).pool_of_process.pause(0)


def test_many_threads_share_few_connections(settings_dict: dict[str, Any]) -> None:
    start = threading.Barrier(12)

    def work(_: int) -> set[int]:
        start.wait(timeout=20)
        seen = set()
        for _turn in range(20):
            wrapper = DatabaseWrapper(settings_dict)
            wrapper.inc_thread_sharing()
            seen.add(ask(wrapper))
            wrapper.close()
        return seen

    with ThreadPoolExecutor(12) as pool:
        backends = set().union(*pool.map(work, range(12)))

    assert 1 <= len(backends) <= SIZE


def test_a_database_that_was_away_a_moment_ago_is_not_asked_again_at_once(settings_dict: dict[str, Any]) -> None:
    settings_dict["USER"] = "nobody-of-that-name"
    with pytest.raises(OperationalError, match="nobody-of-that-name"):
        ask(DatabaseWrapper(settings_dict))

    with pytest.raises(OperationalError, match="could not be reached a moment ago"):
        ask(DatabaseWrapper(settings_dict))


def test_a_server_that_ends_in_the_middle_of_a_statement_is_away_and_no_defect(settings_dict: dict[str, Any]) -> None:
    wrapper = DatabaseWrapper(settings_dict)
    with pytest.raises(OperationalError, match="server closed"), wrapper.wrap_database_errors:
        raise psycopg2.DatabaseError("server closed the connection unexpectedly")
    assert wrapper.errors_occurred
