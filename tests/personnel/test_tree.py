"""No department, area or position ends up below itself."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from personnel.domain.tree import climbs_to, would_cycle
from personnel.models import Area, Department, Position


@pytest.mark.parametrize(
    ("start", "target", "answer"),
    [(3, 1, True), (3, 3, True), (2, 3, False), (4, 1, False), (9, 1, False)],
)
def test_the_way_up_is_followed_to_its_end(start, target, answer):
    assert climbs_to(start=start, target=target, parents={1: None, 2: 1, 3: 2, 4: None}) is answer


def test_a_circle_that_is_there_already_does_not_hang():
    assert climbs_to(start=1, target=3, parents={1: 2, 2: 1, 3: None}) is False


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "code", "name", "parent"),
    [
        (Department, "dept_code", "dept_name", "parent_dept"),
        (Area, "area_code", "area_name", "parent_area"),
        (Position, "position_code", "position_name", "parent_position"),
    ],
)
def test_a_row_may_not_hang_below_itself_or_its_children(kind, code, name, parent):
    top = kind.objects.create(**{code: "t", name: "top"})
    middle = kind.objects.create(**{code: "m", name: "middle", parent: top})
    leaf = kind.objects.create(**{code: "l", name: "leaf", parent: middle})
    assert [would_cycle(top, other) for other in (top, middle, leaf, None)] == [True, True, True, False]
    assert [would_cycle(leaf, other) for other in (top, middle)] == [False, False]
    assert would_cycle(kind(), leaf) is False


@pytest.mark.django_db(transaction=True)
def test_two_moves_at_once_cannot_close_a_circle_between_them():
    pair = [Department.objects.create(dept_code=code, dept_name=code) for code in "ab"]
    barrier, moved = threading.Barrier(2), []

    def move(child: Department, parent: Department) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            with transaction.atomic():
                if not would_cycle(child, parent):
                    Department.objects.filter(pk=child.pk).update(parent_dept=parent)
                    moved.append(child.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=move, args=order) for order in (pair, pair[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(moved) == 1
