"""A change of people wakes the terminals of their areas, of those above and of those below, and no others."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from django.db import connection, transaction

from iclock.domain.marks import mark, mark_terminals
from iclock.models import SyncMark, Terminal
from personnel.models import Area
from personnel.signals import people_changed

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree(db: None) -> None:
    """Areas 1 > 2 > 3 > 4 and 1 > 5, each with a terminal that is named after it."""
    for number, parent in ((2, 1), (3, 2), (4, 3), (5, 1)):
        Area.objects.create(id=number, area_code=str(number), area_name=str(number), parent_area_id=parent)
    for number in range(1, 6):
        Terminal.objects.create(sn=str(number), alias=str(number), area_id=number)


def marked() -> dict[str, int]:
    return dict(SyncMark.objects.order_by("terminal__sn").values_list("terminal__sn", "wanted"))


@pytest.mark.parametrize(
    ("areas", "woken"),
    [
        ({3}, {"1", "2", "3", "4"}),
        ({4}, {"1", "2", "3", "4"}),
        ({5}, {"1", "5"}),
        ({1}, set()),
        ({1, 5}, {"1", "5"}),
        ({77}, set()),
        (set(), set()),
    ],
)
def test_whom_a_change_wakes(areas: set[int], woken: set[str], tree: None) -> None:
    assert mark_terminals(areas) == len(woken)
    assert marked() == dict.fromkeys(woken, 1)


def test_each_change_counts_once(tree: None) -> None:
    mark_terminals({5})
    SyncMark.objects.update(done=1)
    assert not SyncMark.objects.pending().exists()

    mark_terminals({5, 4})

    assert marked() == {"1": 2, "2": 1, "3": 1, "4": 1, "5": 2}
    assert SyncMark.objects.pending().count() == 5


def test_personnels_news_is_heard_in_its_transaction(tree: None) -> None:
    news = {"area_ids": frozenset({5}), "emp_codes": frozenset({"7"})}
    with transaction.atomic():
        people_changed.send(sender=Area, **news)
        assert marked() == {"1": 1, "5": 1}
        transaction.set_rollback(True)

    assert marked() == {}


def test_terminals_are_marked_themselves(tree: None) -> None:
    ids = list(Terminal.objects.filter(sn__in=["4", "5"]).values_list("id", flat=True))

    assert mark([*ids, 77_777]) == 2
    assert marked() == {"4": 1, "5": 1}


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_neither_deadlock_nor_lose_a_mark(tree: None) -> None:
    barrier, rounds = Barrier(4), 25

    def write(areas: set[int]) -> None:
        barrier.wait(timeout=10)
        for _ in range(rounds):
            with transaction.atomic():
                mark_terminals(areas)
        connection.close()

    threads = [Thread(target=write, args=(areas,)) for areas in ({3}, {4, 5}, {5, 2}, {2})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert marked() == {"1": 100, "2": 100, "3": 100, "4": 100, "5": 50}
