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
# No id and no page lies here; sums with it still fit into a bigint.
_BEYOND: Final = 2**62


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
    since = None if selection.since_id is None else min(selection.since_id, _BEYOND)
    params = {"offset": min(offset, _BEYOND), "limit": limit, "since": since}
    if selection.wanted:
        ctes, extra = _filtered(selection, order_by)
        return PageSQL(ctes, order_by, params | extra)
    if since is not None:
        return PageSQL(_since(selection, order_by), order_by, params)
    if offset and selection.order in _BY_ID:
        return PageSQL(_located(selection.order), order_by, params)
    return PageSQL(_from_the_start(order_by), order_by, params)


def _from_the_start(order_by: str) -> str:
    return f"""
    total AS (SELECT coalesce(sum(live), 0) AS n FROM iclock_transactionblock),
    page AS (
        SELECT * FROM iclock_transaction WHERE deleted_at IS NULL
        ORDER BY {order_by} OFFSET %(offset)s LIMIT %(limit)s
    )"""  # noqa: S608 - made of constants, here and below


def _located(order: tuple[str, ...]) -> str:
    """Page number, block, offset inside the block; from the other end when the order descends.

    The page's last block is named too, though LIMIT says enough: without it, a planner that has no statistics yet
    (the first hours of a new installation) reads and sorts the table.
    """
    if order == ("id",):
        way, start, end = "ASC", f"id >= {BLOCK_IDS} * (SELECT block", f"id < {BLOCK_IDS} * (SELECT block + 1"
    else:
        way, start, end = "DESC", f"id < {BLOCK_IDS} * (SELECT block + 1", f"id >= {BLOCK_IDS} * (SELECT block"
    return f"""
    counters AS MATERIALIZED (
        SELECT block, live, sum(live) OVER (ORDER BY block {way}) AS upto FROM iclock_transactionblock
    ),
    total AS (SELECT coalesce(max(upto), 0) AS n FROM counters),
    located AS MATERIALIZED (
        SELECT block, %(offset)s - (upto - live) AS skip FROM counters
        WHERE upto > %(offset)s ORDER BY block {way} LIMIT 1
    ),
    ending AS MATERIALIZED (
        SELECT block FROM counters
        WHERE upto >= least(%(offset)s + %(limit)s, (SELECT n FROM total)) ORDER BY block {way} LIMIT 1
    ),
    page AS (
        SELECT * FROM iclock_transaction
        WHERE deleted_at IS NULL AND {start} FROM located) AND {end} FROM ending)
        ORDER BY id {way} OFFSET (SELECT skip FROM located) LIMIT %(limit)s
    )"""  # noqa: S608


def _since(selection: Selection, order_by: str) -> str:
    """After an id: the sum of the blocks behind it, and what is left of its own."""
    ahead = selection.order == ("id",)
    end = f"AND id < {BLOCK_IDS} * (SELECT block + 1 FROM ending)" if ahead else ""  # noqa: S608
    return f"""
    ending AS MATERIALIZED (
        SELECT coalesce(
            (SELECT block FROM (
                SELECT block, sum(live) OVER (ORDER BY block) AS upto
                FROM iclock_transactionblock WHERE block > %(since)s / {BLOCK_IDS}
            ) AS following WHERE upto >= %(offset)s + %(limit)s ORDER BY block LIMIT 1),
            (SELECT max(block) FROM iclock_transactionblock), 0) AS block
    ),
    total AS (
        SELECT coalesce((SELECT sum(live) FROM iclock_transactionblock WHERE block > %(since)s / {BLOCK_IDS}), 0)
            + (SELECT count(*) FROM iclock_transaction WHERE deleted_at IS NULL
               AND id > %(since)s AND id < (%(since)s / {BLOCK_IDS} + 1) * {BLOCK_IDS}) AS n
    ),
    page AS (
        SELECT * FROM iclock_transaction WHERE deleted_at IS NULL AND id > %(since)s {end}
        ORDER BY {order_by} OFFSET %(offset)s LIMIT %(limit)s
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
