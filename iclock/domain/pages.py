"""Which punches stand on a page, and how many there are: one statement, so one snapshot.

A table of ten million rows is neither counted nor skipped through. Its total is the sum of the block counters
(TransactionBlock); a page's first row is found by running sums over the blocks and an offset inside one block. A
filtered list is read from the filter's index once, for its count and for its page.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from django.db.models import Q

from iclock.models import Transaction
from iclock.models.transaction import BLOCK_IDS

_BY_ID: Final = (("id",), ("-id",))


class Selection(NamedTuple):
    """What a reader asked for. ``wanted`` is empty when nothing was filtered; ``order`` ends with the id."""

    wanted: Q
    order: tuple[str, ...] = ("id",)
    since_id: int | None = None


class PageSQL(NamedTuple):
    """SQL that ends in a WITH list: ``total(n)`` and ``page`` (whole rows of iclock_transaction)."""

    ctes: str
    order_by: str
    params: dict[str, Any]


def page_sql(selection: Selection, *, offset: int, limit: int) -> PageSQL:
    """The page of ``limit`` rows after ``offset``, and the total."""
    order_by = ", ".join(_column(name) for name in selection.order)
    params = {"offset": offset, "limit": limit, "since": selection.since_id}
    if selection.wanted:
        ctes, extra = _filtered(selection, order_by)
        return PageSQL(ctes, order_by, params | extra)
    if offset and selection.since_id is None and selection.order in _BY_ID:
        return PageSQL(_located(selection.order), order_by, params)
    return PageSQL(_plain(selection, order_by), order_by, params)


def _plain(selection: Selection, order_by: str) -> str:
    """Everything, or everything after an id, from its beginning."""
    if selection.since_id is None:
        total, after = "SELECT coalesce(sum(live), 0) AS n FROM iclock_transactionblock", ""
    else:
        total, after = _TOTAL_SINCE, "AND id > %(since)s"
    return f"""
    total AS ({total}),
    page AS (
        SELECT * FROM iclock_transaction WHERE deleted_at IS NULL {after}
        ORDER BY {order_by} OFFSET %(offset)s LIMIT %(limit)s
    )"""  # noqa: S608 - made of constants


_TOTAL_SINCE: Final = f"""
    SELECT coalesce((SELECT sum(live) FROM iclock_transactionblock WHERE block > %(since)s / {BLOCK_IDS}), 0)
        + (SELECT count(*) FROM iclock_transaction WHERE deleted_at IS NULL
           AND id > %(since)s AND id < (%(since)s / {BLOCK_IDS} + 1) * {BLOCK_IDS}) AS n"""  # noqa: S608


def _located(order: tuple[str, ...]) -> str:
    """Page number, block, offset inside the block; from the other end when the order descends."""
    if order == ("id",):
        way, start = "ASC", f"id >= {BLOCK_IDS} * (SELECT block FROM located)"  # noqa: S608
    else:
        way, start = "DESC", f"id < {BLOCK_IDS} * (SELECT block + 1 FROM located)"  # noqa: S608
    return f"""
    counters AS MATERIALIZED (
        SELECT block, live, sum(live) OVER (ORDER BY block {way}) AS upto FROM iclock_transactionblock
    ),
    total AS (SELECT coalesce(max(upto), 0) AS n FROM counters),
    located AS MATERIALIZED (
        SELECT block, %(offset)s - (upto - live) AS skip FROM counters
        WHERE upto > %(offset)s ORDER BY block {way} LIMIT 1
    ),
    page AS (
        SELECT * FROM iclock_transaction WHERE deleted_at IS NULL AND {start}
        ORDER BY id {way} OFFSET (SELECT skip FROM located) LIMIT %(limit)s
    )"""  # noqa: S608


def _filtered(selection: Selection, order_by: str) -> tuple[str, dict[str, Any]]:
    """Through the filter's index and no other: a planner that hopes to meet ten matches soon reads the whole table."""
    rows = Transaction.objects.live().filter(selection.wanted).order_by()
    if selection.since_id is not None:
        rows = rows.filter(id__gt=selection.since_id)
    columns = {name.lstrip("-") for name in selection.order}
    sql, values = rows.values("id", *sorted(columns - {"id"})).query.sql_with_params()
    named = {f"value{number}": value for number, value in enumerate(values)}
    ctes = f"""
    matching AS MATERIALIZED ({sql % tuple(f"%({name})s" for name in named)}),
    total AS (SELECT count(*) AS n FROM matching),
    page AS (
        SELECT * FROM iclock_transaction WHERE id IN (
            SELECT id FROM matching ORDER BY {order_by} OFFSET %(offset)s LIMIT %(limit)s)
    )"""  # noqa: S608
    return ctes, named


def _column(name: str) -> str:
    field = Transaction._meta.get_field(name.lstrip("-"))
    return f"{field.column} {'DESC' if name.startswith('-') else 'ASC'}"  # type: ignore[union-attr]
