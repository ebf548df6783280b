"""Count and rows of a page belong together while others write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection

from iclock.models import Transaction

from .conftest import Punches, Reader

PATH = "/iclock/api/transactions/"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parameters", [{}, {"emp_code": "100001"}, {"since_id": 0}, {"ordering": "-id"}])
def test_count_and_rows_agree_under_a_writer(parameters: dict[str, str], punches: Punches, get: Reader) -> None:
    done = Event()

    def write() -> int:
        try:
            for start in range(1, 200_000, 7):
                if done.is_set():
                    break
                punches(*range(start, start + 7))
            return Transaction.objects.count()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        seen = []
        while len({count for count, _ in seen}) < 15 and not written.done():
            answer = get(PATH, page_size=50_000, **parameters)
            seen.append((answer["count"], len(answer["data"])))
        done.set()
        assert written.result(timeout=30) >= seen[-1][0]

    assert [pair for pair in seen if pair[0] != pair[1]] == []
