"""Ids become visible in ascending order, so a reader that remembers where it was never misses a row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final, ParamSpec, TypeVar
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Sum

from iclock.domain.ingest import ARRAY_ROWS, record_punches
from iclock.models import Terminal, Transaction, TransactionBlock
from iclock.models.transaction import BLOCK_IDS
from iclock.punch import Punch, Source
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User

from .racers import READERS, Writing, client, read, write, write_last

P = ParamSpec("P")
T = TypeVar("T")

pytestmark = pytest.mark.django_db(transaction=True)

# A script that needs Django ready before it is read.
_RUN: Final = """
import django, runpy, sys

django.setup()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
_RACERS: Final = Path(__file__).with_name("racers.py")
_START: Final = datetime(2026, 3, 2)
_WAITING: Final = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"""


@pytest.fixture
def token(db: None) -> str:
    hr = User.objects.create_user("hr", password="open sesame 42")
    hr.user_permissions.set(Permission.objects.filter(codename="view_transaction"))
    return issue_token(hr)


@pytest.fixture
def terminals(db: None) -> list[Terminal]:
    return [Terminal.objects.create(sn=f"RACE{number}", alias=f"Door {number}") for number in range(1, 6)]


def test_whoever_follows_many_writers_meets_every_row(terminals: list[Terminal], token: str) -> None:
    """Pull-sized and single-row writers of five terminals, in threads and processes; readers of every kind."""
    pulls = [Writing("RACE1", 2, 5_000), Writing("RACE2", 3, 2_500)]
    singles = [Writing("RACE3", 150, 1), Writing("RACE4", 40, ARRAY_ROWS)]
    abroad = [Writing("RACE1", 4, 2_000), Writing("RACE5", 150, 1)]  # RACE1 is read by two at once
    with ExitStack() as running, ThreadPoolExecutor(12) as pool:
        processes = [running.enter_context(begin("write", *map(str, task))) for task in abroad]
        distant = running.enter_context(begin("read", "by_since_id", token))
        for process in (*processes, distant):
            go(process)
        readers = {kind: pool.submit(closing, read, kind, token) for kind in READERS}
        for writer in [pool.submit(closing, write, task) for task in (*pulls, *singles)]:
            writer.result(timeout=60)
        for process in processes:
            assert process.wait(timeout=60) == 0
        write_last("RACE3")

        found = {kind: reader.result(timeout=60) for kind, reader in readers.items()}
        found["by_since_id in another process"] = set(json.loads(distant.communicate(timeout=60)[0]))

    there = set(Transaction.objects.values_list("id", flat=True))
    assert len(there) == 10_000 + 7_500 + 150 + 8_000 + 4_000 + 150 + 1
    assert {kind: sorted(there - ids)[:5] for kind, ids in found.items() if ids != there} == {}
    assert TransactionBlock.objects.aggregate(total=Sum("live"))["total"] == len(there)
    times = list(Transaction.objects.order_by("id").values_list("upload_time", flat=True))
    assert times == sorted(times)


@pytest.mark.parametrize("held", [1, ARRAY_ROWS + 1], ids=["an array", "a COPY"])
@pytest.mark.parametrize("coming", [1, ARRAY_ROWS + 1], ids=["an array", "a COPY"])
def test_a_writer_with_lower_ids_is_waited_for(terminals: list[Terminal], token: str, held: int, coming: int) -> None:
    """The first has drawn its ids and not committed; the second must not be seen before it, nor draw between."""
    fill_a_block(but=held)
    drawn, let_go = Event(), Event()

    def hold_on() -> None:
        drawn.set()
        assert let_go.wait(timeout=30)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(closing, bring, terminals[0], held, hold_on)
        assert drawn.wait(timeout=30)
        second = pool.submit(closing, bring, terminals[1], coming)
        until(lambda: waiting() > 0 or second.done())
        seen_early = client(token)(since_id=0)
        let_go.set()
        first.result(timeout=30)
        second.result(timeout=30)

    assert seen_early == []
    ids = {sn: ids_of(sn) for sn in ("RACE1", "RACE2")}
    assert (len(ids["RACE1"]), len(ids["RACE2"])) == (held, coming)
    assert max(ids["RACE1"]) < min(ids["RACE2"])


@pytest.mark.parametrize("coming", [1, ARRAY_ROWS + 1], ids=["an array", "a COPY"])
def test_a_writer_that_gives_up_lets_the_next_one_on(terminals: list[Terminal], coming: int) -> None:
    """What it had drawn is never seen; nobody waits for it any longer."""
    drawn, let_go = Event(), Event()

    def give_up() -> None:
        drawn.set()
        assert let_go.wait(timeout=30)
        raise RuntimeError("the cursor can't be moved")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(closing, bring, terminals[0], 3, give_up)
        assert drawn.wait(timeout=30)
        second = pool.submit(closing, bring, terminals[1], coming)
        until(lambda: waiting() > 0 or second.done())
        let_go.set()
        with pytest.raises(RuntimeError, match="the cursor can't be moved"):
            first.result(timeout=30)
        second.result(timeout=30)

    assert (ids_of("RACE1"), len(ids_of("RACE2"))) == ([], coming)


def bring(terminal: Terminal, count: int, move_cursor: Callable[[], None] | None = None) -> None:
    punches = [Punch("7", _START + timedelta(seconds=n), 0, 1) for n in range(count)]
    record_punches(terminal, punches, source=Source.PULL, move_cursor=move_cursor)


def fill_a_block(*, but: int) -> None:
    """The next ``but`` ids are the last of a counter's block, so that no writer after them waits for the counter."""
    with connection.cursor() as cursor:
        last = 50 * BLOCK_IDS - 1 - but
        cursor.execute("SELECT setval(pg_get_serial_sequence('iclock_transaction', 'id'), %s)", [last])


def ids_of(serial: str) -> list[int]:
    return list(Transaction.objects.filter(terminal_sn=serial).values_list("id", flat=True))


def waiting() -> int:
    """How many wait for a lock in this database."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        count: int = cursor.fetchone()[0]
        return count


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if holds():
            return
    pytest.fail("what was waited for did not come")


def closing(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``work``, and its thread's connection closed."""
    try:
        return work(*args, **kwargs)
    finally:
        connection.close()


def begin(*arguments: str) -> subprocess.Popen[str]:
    """A racer in a process of its own, on the tests' database, ready to go."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    racer = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(_RACERS), *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": url, "PYTHONPATH": str(settings.BASE_DIR)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert racer.stdout is not None
    assert racer.stdout.readline() == "ready\n"
    return racer


def go(racer: subprocess.Popen[str]) -> None:
    assert racer.stdin is not None
    racer.stdin.write("go\n")
    racer.stdin.flush()
