"""Departments, areas and positions hang below a parent of their kind; no row may end up below itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from personnel.models import Area, Department, Employee, Position
from personnel.models.scope import Scope
from personnel.signals import people_changed

Node = Department | Area | Position

PARENT_FIELD: Final[Mapping[type[Node], str]] = {
    Department: "parent_dept",
    Area: "parent_area",
    Position: "parent_position",
}

SEED_ID: Final = 1  # personnel.domain.seed: clients count on these rows
EVERYTHING: Final = Scope()


def save_node(node: Node, values: Mapping[str, Any], *, scope: Scope = EVERYTHING) -> Node:
    """Create or change a row. Raises ValidationError where its parent can't be its parent, and DoesNotExist."""
    with transaction.atomic():
        parent = PARENT_FIELD[type(node)]
        if node.pk is not None:
            node = _locked(node, with_tree=parent in values)
        moved, before = moves(node, values, scope=scope), getattr(node, f"{parent}_id")
        for name, value in values.items():
            setattr(node, name, value)
        if moved and would_cycle(node, values[parent]):
            raise ValidationError({parent: _("A row can't lie below itself.")})
        if node.pk is None:
            node.save(force_insert=True)
            return node
        kept = set() if moved else {parent}
        node.save(update_fields=values.keys() - kept)
        if moved and isinstance(node, Area):
            # Where it hung and where it hangs: what lies above and below is the receivers' business.
            people_changed.send(sender=Area, area_ids=frozenset({node.pk, before} - {None}), emp_codes=frozenset())
    return node


def delete_node(node: Node) -> None:
    """Raises ValidationError for a seed row, ProtectedError for one that is in use."""
    if node.pk == SEED_ID:
        raise ValidationError(_("This row belongs to the installation and can't be deleted."))
    with transaction.atomic():
        # Whoever is being put into this area at the same moment waits for the lock, and then finds it gone.
        type(node)._default_manager.select_for_update().filter(pk=node.pk).first()
        if people := people_in(node):
            raise ProtectedError("people are here", set(people))
        node.delete()


def people_in(node: Node) -> list[Employee]:
    """Those whom an area's deletion would take out of it: the table between both protects nobody."""
    return list(node.employees.all()) if isinstance(node, Area) else []


def moves(node: Node, values: Mapping[str, Any], *, scope: Scope) -> bool:
    """Whether ``values`` give the row another parent. Raises ValidationError for a place outside of ``scope``."""
    field = PARENT_FIELD[type(node)]
    limits = {Department: scope.departments, Area: scope.areas}.get(type(node))
    given = field in values or node.pk is None
    if not given:
        return False
    parent = values.get(field)
    if limits is None or (parent is not None and parent.pk in limits):
        return field in values and (parent.pk if parent else None) != getattr(node, f"{field}_id")
    # To whoever sees nothing above this row, it has no parent: saying so again is no move.
    if node.pk is not None and parent is None and getattr(node, f"{field}_id") not in limits:
        return False
    raise ValidationError({field: _("Choose a parent within your limits.")})


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
    for _step in range(len(parents) + 1):
        if here is None or here == target:
            break
        here = parents.get(here)
    return here == target


def _locked(node: Node, *, with_tree: bool) -> Node:
    """The row as it stands, held until the transaction ends; the whole tree, always in one order, before a move."""
    rows = type(node)._default_manager.order_by("pk").select_for_update(no_key=True)
    found = {row.pk: row for row in (rows if with_tree else rows.filter(pk=node.pk))}
    if node.pk not in found:
        raise type(node).DoesNotExist
    return found[node.pk]


def _parents(kind: type[Node]) -> dict[int, int | None]:
    rows = kind._default_manager.order_by("pk")
    if connection.in_atomic_block:
        rows = rows.select_for_update(no_key=True)
    return dict(rows.values_list("pk", PARENT_FIELD[kind]))
