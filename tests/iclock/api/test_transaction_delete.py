"""A deleted punch is a tombstone: no list shows it and no reading of its terminal brings it back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Barrier, Thread
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client

from iclock.domain.ingest import Counts, record_punches
from iclock.models import Terminal, Transaction
from iclock.punch import Punch, Source
from zkbio.accounts.models import AuditEntry, User

from .conftest import Reader

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/iclock/api/transactions/"
LOG = [Punch(code, datetime(2026, 3, 2, 8), 0, 1) for code in ("7", "8", "9")]


@pytest.fixture
def log(terminal: Terminal) -> list[int]:
    """Three punches of the terminal, by id."""
    record_punches(terminal, LOG, source=Source.PULL)
    return list(Transaction.objects.values_list("id", flat=True))


@pytest.fixture
def hr(hr: User) -> User:
    hr.user_permissions.add(Permission.objects.get(codename="delete_transaction"))
    return hr


@pytest.fixture
def delete(token_client: Client) -> Callable[[Any], int]:
    return lambda punch_id: token_client.delete(f"{PATH}{punch_id}/").status_code


def test_the_answer_is_empty_and_the_punch_is_gone(log: list[int], delete: Any, get: Reader) -> None:
    assert delete(log[1]) == 204

    answer = get(PATH)
    assert (answer["count"], [row["emp_code"] for row in answer["data"]]) == (2, ["7", "9"])
    assert get(PATH, emp_code="8")["count"] == 0
    assert get(PATH, since_id=0)["count"] == 2
    assert get(PATH, page=2, page_size=1)["data"][0]["emp_code"] == "9"
    get(f"{PATH}{log[1]}/", status=404)


def test_a_second_deletion_finds_nothing(log: list[int], delete: Any) -> None:
    assert [delete(log[0]), delete(log[0])] == [204, 404]
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize("missing", ["77777", "abc", "99999999999999999999", "-1"])
def test_an_unknown_punch_is_not_found(missing: str, delete: Any, db: None) -> None:
    assert delete(missing) == 404


def test_the_next_full_read_doesnt_bring_it_back(log: list[int], terminal: Terminal, delete: Any, get: Reader) -> None:
    delete(log[0])

    assert record_punches(terminal, LOG, source=Source.PULL) == Counts(new=0, duplicate=3)
    assert [row["emp_code"] for row in get(PATH)["data"]] == ["8", "9"]


def test_the_trail_says_who_deleted_what(log: list[int], delete: Any, hr: User) -> None:
    delete(log[0])

    entry = AuditEntry.objects.get()
    assert (entry.user, entry.action, entry.subject) == (
        hr,
        "iclock.delete_transaction",
        "punch 7 2026-03-02 08:00:00",
    )
    assert entry.detail == {
        "id": log[0],
        "emp_code": "7",
        "terminal_sn": "CKJF201260077",
        "punch_time": "2026-03-02 08:00:00",
    }


def test_deleting_asks_for_its_own_permission(log: list[int], delete: Any, hr: User) -> None:
    hr.user_permissions.remove(Permission.objects.get(codename="delete_transaction"))

    assert delete(log[0]) == 403
    assert Transaction.objects.live().count() == 3


def test_punches_are_not_changed(log: list[int], token_client: Client) -> None:
    for method in ("PUT", "PATCH", "POST"):
        assert token_client.generic(method, f"{PATH}{log[0]}/", b"{}", "application/json").status_code == 405


def test_of_two_deletions_at_once_one_finds_nothing(log: list[int], delete: Any) -> None:
    barrier, statuses = Barrier(2), list[int]()

    def race() -> None:
        barrier.wait(timeout=10)
        statuses.append(delete(log[0]))
        connection.close()

    threads = [Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sorted(statuses) == [204, 404]
    assert AuditEntry.objects.count() == 1
