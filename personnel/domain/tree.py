"""Departments, areas and positions hang below a parent of their kind; no row may end up below itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db import connection

from personnel.models import Area, Department, Position

Node = Department | Area | Position

PARENT_FIELD: Final[Mapping[type[Node], str]] = {
    Department: "parent_dept",
    Area: "parent_area",
    Position: "parent_position",
}


def would_cycle(node: Node, parent: Node | None) -> bool:
    """Whether ``node`` would sit below itself under ``parent``.

    Within a transaction the tree stays locked until its end, so that two moves can't close a circle between them.
    """
    if parent is None or node.pk is None:
        return False
    return climbs_to(start=parent.pk, target=node.pk, parents=_parents(type(node)))


def climbs_to(*, start: int, target: int, parents: Mapping[int, int | None]) -> bool:
    """Whether the way up from ``start`` (itself included) passes ``target``; a circle on the way ends it."""
    here: int | None = start
    for _ in range(len(parents) + 1):
        if here is None or here == target:
            break
        here = parents.get(here)
    return here == target


def _parents(kind: type[Node]) -> dict[int, int | None]:
    rows = kind._default_manager.order_by("pk")
    if connection.in_atomic_block:
        rows = rows.select_for_update(no_key=True)
    return dict(rows.values_list("pk", PARENT_FIELD[kind]))
