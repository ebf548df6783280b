"""Which punches stand on a page, and how many there are: one statement, so one snapshot.

A table of ten million rows is neither counted nor skipped through. Its total is the sum of the superblock counters
(TransactionSuperblock); a page's first row is found by running sums over the superblocks, over the blocks of one of
them, and an offset inside one block. A filtered list is read from the filter's index once, for its count and its page.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from django.db import connection
from django.db.models import Q
from django.db.models.sql import Query

from iclock.models import Transaction
from iclock.models.transaction import BLOCK_IDS, SUPERBLOCK_IDS

_BLOCKS: Final = SUPERBLOCK_IDS // BLOCK_IDS
_BY_ID: Final = (("id",), ("-id",))
# No id and no page lies here; sums with it still fit into a bigint.
_BEYOND: Final = 2**62
# The greatest subscript of an array; none is that long.
_ARRAY_END: Final = 2**31 - 1


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
    total AS (SELECT coalesce(sum(live), 0) AS n FROM iclock_transactionsuperblock),
    page AS (
        SELECT * FROM iclock_transaction WHERE deleted_at IS NULL
        ORDER BY {order_by} OFFSET %(offset)s LIMIT %(limit)s
    )"""  # noqa: S608 - made of constants, here and below


def _located(order: tuple[str, ...]) -> str:
    """Page number, superblock, block, offset inside the block; from the other end when the order descends.

    Where the page ends is said too, though LIMIT says enough: without it, a planner that has no statistics yet (the
    first hours of a new installation) reads and sorts the table. By the block when that is known, else the superblock.
    """
    way, start, end = ("ASC", ">=", "<") if order == ("id",) else ("DESC", "<", ">=")
    first, behind = ("", " + 1") if order == ("id",) else (" + 1", "")
    return f"""
    superblocks AS MATERIALIZED (
        SELECT superblock, live, sum(live) OVER (ORDER BY superblock {way}) AS upto FROM iclock_transactionsuperblock
    ),
    total AS (SELECT coalesce(max(upto), 0) AS n FROM superblocks),
    around AS MATERIALIZED (
        SELECT superblock, upto - live AS before FROM superblocks
        WHERE upto > %(offset)s ORDER BY superblock {way} LIMIT 1
    ),
    blocks AS MATERIALIZED (
        SELECT block, live, (SELECT before FROM around) + sum(live) OVER (ORDER BY block {way}) AS upto
        FROM iclock_transactionblock
        WHERE block >= {_BLOCKS} * (SELECT superblock FROM around)
            AND block < {_BLOCKS} * (SELECT superblock + 1 FROM around)
    ),
    located AS MATERIALIZED (
        SELECT block, %(offset)s - (upto - live) AS skip FROM blocks
        WHERE upto > %(offset)s ORDER BY block {way} LIMIT 1
    ),
    reached AS MATERIALIZED (SELECT least(%(offset)s + %(limit)s, (SELECT n FROM total)) AS upto),
    ending AS MATERIALIZED (
        SELECT coalesce(
            (SELECT {BLOCK_IDS} * (block{behind}) FROM blocks
             WHERE upto >= (SELECT upto FROM reached) ORDER BY block {way} LIMIT 1),
            (SELECT {SUPERBLOCK_IDS} * (superblock{behind}) FROM superblocks
             WHERE upto >= (SELECT upto FROM reached) ORDER BY superblock {way} LIMIT 1)) AS id
    ),
    page AS (
        SELECT * FROM iclock_transaction
        WHERE deleted_at IS NULL AND id {start} {BLOCK_IDS} * (SELECT block{first} FROM located)
            AND id {end} (SELECT id FROM ending)
        ORDER BY id {way} OFFSET (SELECT skip FROM located) LIMIT %(limit)s
    )"""  # noqa: S608


def _since(selection: Selection, order_by: str) -> str:
    """After an id: the sum of the superblocks behind it, of the blocks behind it in its own, and the rest of its block.

    ORDER BY and LIMIT beside that rest keep the planner on the primary key. Where the page ends is said for the same
    reason as above: by the block if it is one of these, else by the superblock.
    """
    ahead = selection.order == ("id",)
    end = "AND id < (SELECT id FROM ending)" if ahead else ""
    return f"""
    superblocks AS MATERIALIZED (
        SELECT superblock, sum(live) OVER (ORDER BY superblock) AS upto
        FROM iclock_transactionsuperblock WHERE superblock > %(since)s / {SUPERBLOCK_IDS}
    ),
    blocks AS MATERIALIZED (
        SELECT block, sum(live) OVER (ORDER BY block) AS upto FROM iclock_transactionblock
        WHERE block > %(since)s / {BLOCK_IDS} AND block < (%(since)s / {SUPERBLOCK_IDS} + 1) * {_BLOCKS}
    ),
    total AS (
        SELECT coalesce((SELECT max(upto) FROM superblocks), 0) + coalesce((SELECT max(upto) FROM blocks), 0)
            + (SELECT count(*) FROM (
                SELECT FROM iclock_transaction WHERE deleted_at IS NULL
                    AND id > %(since)s AND id < (%(since)s / {BLOCK_IDS} + 1) * {BLOCK_IDS}
                ORDER BY id LIMIT {BLOCK_IDS}
            ) AS rest) AS n
    ),
    ending AS MATERIALIZED (
        SELECT coalesce(
            (SELECT {BLOCK_IDS} * (block + 1) FROM blocks
             WHERE upto >= %(offset)s + %(limit)s ORDER BY block LIMIT 1),
            (SELECT {SUPERBLOCK_IDS} * (superblock + 1) FROM superblocks
             WHERE upto >= %(offset)s + %(limit)s ORDER BY superblock LIMIT 1),
            {_BEYOND}) AS id
    ),
    page AS (
        SELECT * FROM iclock_transaction WHERE deleted_at IS NULL AND id > %(since)s {end}
        ORDER BY {order_by} OFFSET %(offset)s LIMIT %(limit)s
    )"""  # noqa: S608


def _filtered(selection: Selection, order_by: str) -> tuple[str, dict[str, Any]]:
    """The matching ids as one array, for the count and for the page, read through the filter's index and no other.

    A planner that hopes to meet ten matches soon reads the whole table. OFFSET 0 keeps the order, and the array keeps
    the page, from it: it guesses that a third of the table is later than a time that it does not know yet.
    """
    condition, values = _condition(selection.wanted)
    after = "" if selection.since_id is None else "AND id > %(since)s"
    columns = sorted({_column_name(name) for name in selection.order} | {"id"})
    ctes = f"""
    found AS MATERIALIZED (
        SELECT count(*) AS n, (array_agg(id ORDER BY {order_by}))[
            least(%(offset)s + 1, {_ARRAY_END})::int : least(%(offset)s + %(limit)s, {_ARRAY_END})::int
        ] AS ids
        FROM (
            SELECT {", ".join(columns)} FROM iclock_transaction
            WHERE deleted_at IS NULL AND {condition} {after} OFFSET 0
        ) AS matching
    ),
    total AS (SELECT n FROM found),
    page AS (SELECT * FROM iclock_transaction WHERE id = ANY((SELECT ids FROM found)::bigint[]))"""  # noqa: S608
    return ctes, values


def _condition(wanted: Q) -> tuple[str, dict[str, Any]]:
    """As Django writes the condition of a constraint: a queryset around it takes five times as long to make."""
    query = Query(Transaction, alias_cols=False)
    sql, values = query.build_where(wanted).as_sql(query.get_compiler(connection=connection), connection)
    named = {f"value{number}": value for number, value in enumerate(values)}
    return sql % tuple(f"%({name})s" for name in named), named


def _column(name: str) -> str:
    return f"{_column_name(name)} {'DESC' if name.startswith('-') else 'ASC'}"


def _column_name(name: str) -> str:
    field = Transaction._meta.get_field(name.lstrip("-"))
    return str(field.column)  # type: ignore[union-attr]
