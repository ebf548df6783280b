"""Posts of several units that share a COMMIT: each is answered for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.db import DataError, OperationalError, connection, transaction

from iclock.domain.ingest import TURN, Post
from iclock.domain.push_gathering import Gathering, Position, lines_of
from iclock.models import PushPosition, PushState, Terminal, Transaction
from iclock.punch import Punch
from zkbio.launcher.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MORNING = datetime(2026, 3, 2, 8)
UNITS = 8


@pytest.fixture
def units() -> list[Terminal]:
    terminals = [Terminal.objects.create(sn=f"GTH{number}", alias=f"Gate {number}") for number in range(UNITS)]
    for terminal in terminals:
        PushState.objects.create(terminal=terminal)
    return list(Terminal.objects.select_related("area", "push").order_by("sn"))


def post(terminal: Terminal, *codes: str, at: int = 0) -> tuple[Post, Position]:
    punches = [Punch(code, MORNING + timedelta(minutes=at), 0, 1) for code in codes]
    return Post(terminal, punches), Position(terminal, "ATTLOG", str(at), len(punches))


@contextmanager
def all_at_once(gathering: Gathering, posts: list[tuple[Post, Position]]) -> Iterator[Callable[[], list[object]]]:
    """While somebody else has the turn, so that all but the first one wait together; then their outcomes."""

    def store(one: tuple[Post, Position]) -> object:
        try:
            return gathering.store(*one)
        except (DataError, OperationalError) as error:
            return type(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(posts)) as pool:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURN])
            told = [pool.submit(store, one) for one in posts]
            assert wait_until(lambda: len(gathering._waiting) == len(posts) - 1, 10)
        yield lambda: [each.result(timeout=20) for each in told]


def test_posts_that_arrive_while_another_is_stored_share_its_successor(units: list[Terminal]) -> None:
    with all_at_once(Gathering(), [post(unit, "1", "2") for unit in units]) as outcomes:
        assert outcomes() == [2] * UNITS

    stored = Transaction.objects.values_list("terminal_sn", "terminal_alias", "emp_code", "source")
    wanted = [(unit.sn, unit.alias, code, 2) for unit in units for code in "12"]
    assert sorted(stored) == wanted
    assert len(set(Transaction.objects.values_list("upload_time", flat=True))) == 2
    assert set(PushPosition.objects.values_list("lines", "stamps__ATTLOG")) == {(2, "0")}


def test_a_punch_that_two_posts_brought_was_new_once(units: list[Terminal]) -> None:
    posts = [post(units[0], "9"), post(units[1], "1"), post(units[1], "1"), post(units[1], "1", "2")]
    with all_at_once(Gathering(), posts) as outcomes:
        new = outcomes()

    assert new[0] == 1
    assert sum(map(int, map(str, new[1:]))) == 2
    assert PushPosition.objects.get(terminal=units[1]).lines == 4


def test_a_later_post_of_a_unit_says_where_it_is(units: list[Terminal]) -> None:
    posts = [post(units[0], "9"), post(units[1], "1", at=1)]
    with all_at_once(Gathering(), posts) as outcomes:
        outcomes()
    Gathering().store(*post(units[1], "1", at=2))

    assert PushPosition.objects.get(terminal=units[1]).stamps == {"ATTLOG": "2"}


def test_a_post_that_no_table_takes_costs_its_neighbours_nothing(units: list[Terminal]) -> None:
    unfit = Post(units[2], [Punch("7", MORNING, 99_999, 1)]), Position(units[2], "ATTLOG", "1", 1)
    posts = [post(units[0], "9"), post(units[1], "1"), unfit, post(units[3], "1")]
    with all_at_once(Gathering(), posts) as outcomes:
        assert outcomes() == [1, 1, DataError, 1]

    assert not Transaction.objects.filter(terminal_sn=units[2].sn).exists()
    assert lines_of(units[2]) == 0


def test_who_comes_alone_waits_for_nobody(units: list[Terminal]) -> None:
    gathering = Gathering()

    assert [gathering.store(*post(units[0], "1", at=at)) for at in (1, 2, 2)] == [1, 1, 0]


def test_after_a_failure_the_next_post_is_stored(units: list[Terminal]) -> None:
    gathering = Gathering()
    with pytest.raises(DataError):
        gathering.store(Post(units[0], [Punch("7", MORNING, 99_999, 1)]), Position(units[0], "ATTLOG", "1", 1))

    assert gathering.store(*post(units[0], "7")) == 1
