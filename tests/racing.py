"""Requests that start together, each in a thread and on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

from django.db import connection


def statuses_at_once(*requests: Callable[[], Any]) -> list[int]:
    """The statuses of the answers, in the order of the requests."""
    start, statuses = Barrier(len(requests)), [0] * len(requests)

    def ask(place: int, request: Callable[[], Any]) -> None:
        try:
            start.wait(10)
            statuses[place] = request().status_code
        finally:
            connection.close()

    threads = [Thread(target=ask, args=pair) for pair in enumerate(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return statuses
