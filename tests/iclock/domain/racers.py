"""Writers that race and readers that follow them, for threads and, run as a script, for processes.

A reader reads on until it learns nothing more and the punch of ``LAST`` is there, which is written when all writers
are done: what it has missed by then it will never see.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.test import Client
from django.test.utils import override_settings

from iclock.domain.ingest import record_punches
from iclock.models import Terminal, Transaction
from iclock.punch import Punch, Source

LAST: Final = "THEEND"
PATH: Final = "/iclock/api/transactions/"
_PAGE: Final = 1_000
_PATIENCE: Final = 60.0

Rows = list[dict[str, Any]]
Ask = Callable[..., Rows]


class Writing(NamedTuple):
    """What one writer writes: ``batches`` times ``size`` punches of one terminal, all different."""

    serial: str
    batches: int
    size: int


def write(task: Writing) -> None:
    terminal = Terminal.objects.select_related("area").get(sn=task.serial)
    for batch in range(task.batches):
        start = datetime(2026, 3, 2) + timedelta(days=batch)
        punches = [Punch(str(1 + n % 97), start + timedelta(seconds=n), 0, 1) for n in range(task.size)]
        record_punches(terminal, punches, source=Source.PULL)


def write_last(serial: str) -> None:
    terminal = Terminal.objects.select_related("area").get(sn=serial)
    record_punches(terminal, [Punch(LAST, datetime(2026, 12, 31), 0, 1)], source=Source.PULL)


def client(token: str) -> Ask:
    """Rows of the API's list, [] where there is no such page (yet)."""
    http = Client(headers={"Authorization": f"Token {token}"})

    def ask(**parameters: Any) -> Rows:
        response = http.get(PATH, {"page_size": _PAGE, **parameters})
        if response.status_code == 404:
            return []
        assert response.status_code == 200, response.content
        rows: Rows = json.loads(response.content)["data"]
        return rows

    return ask


def by_page(ask: Ask) -> Iterator[Rows]:
    """``ordering=id``: the page on which the row after the last one seen stands; only higher ids count."""
    seen, last = 0, 0
    while True:
        new = [row for row in ask(ordering="id", page=seen // _PAGE + 1) if row["id"] > last]
        seen, last = seen + len(new), new[-1]["id"] if new else last
        yield new


def by_since_id(ask: Ask) -> Iterator[Rows]:
    last = 0
    while True:
        new = ask(since_id=last)
        last = new[-1]["id"] if new else last
        yield new


def by_upload_time(ask: Ask) -> Iterator[Rows]:
    """Newest first, down to the last second that was the newest before: ids at equal times come more than once."""
    until = ""
    while True:
        found: Rows = []
        while rows := ask(ordering="-upload_time", page=len(found) // _PAGE + 1):
            found += rows
            if len(rows) < _PAGE or rows[-1]["upload_time"] < until:
                break
        until = found[0]["upload_time"] if found else until
        yield found


def by_instant(_ask: Ask) -> Iterator[Rows]:
    """The same to the microsecond, which the API doesn't tell: rows at or after the latest ``upload_time``."""
    since = None
    while True:
        rows = Transaction.objects.live().order_by("upload_time", "id").values("id", "emp_code", "upload_time")
        new: Rows = [*map(dict, rows if since is None else rows.filter(upload_time__gte=since))]
        since = new[-1]["upload_time"] if new else since
        yield new


READERS: Final = {reader.__name__: reader for reader in (by_page, by_since_id, by_upload_time, by_instant)}


def read(kind: str, token: str) -> set[int]:
    """The ids that a reader of that kind meets."""
    found: set[int] = set()
    over = False
    deadline = time.monotonic() + _PATIENCE
    for rows in READERS[kind](client(token)):
        ids = {row["id"] for row in rows}
        if over and ids <= found:
            break
        found |= ids
        over = Transaction.objects.filter(emp_code=LAST).exists()
        if time.monotonic() > deadline:
            raise TimeoutError(f"the reader {kind} met {len(found)} rows before the writers were done")
    return found


def main(role: str, *arguments: str) -> None:
    """``write SERIAL BATCHES SIZE`` or ``read KIND TOKEN``, begun by a line on standard input."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        return
    if role == "write":
        serial, batches, size = arguments
        write(Writing(serial, int(batches), int(size)))
    else:
        with override_settings(ALLOWED_HOSTS=["testserver"]):
            sys.stdout.write(json.dumps(sorted(read(*arguments))))


if __name__ == "__main__":
    main(*sys.argv[1:])
