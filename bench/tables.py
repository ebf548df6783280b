"""Tables to measure on: the platform's own, a twin without our code, and ten million rows in either."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from iclock.models import Terminal
from iclock.models.transaction import BLOCK_IDS, SUPERBLOCK_IDS
from iclock.punch import Punch

TWIN = "bench_twin"
TRANSACTION = "iclock_transaction"
COUNTERS = {"iclock_transactionblock": BLOCK_IDS, "iclock_transactionsuperblock": SUPERBLOCK_IDS}
FIRST_DAY = datetime(2026, 1, 5)
_COLUMNS = (
    "terminal_sn, terminal_alias, area_alias, source, is_attendance, emp_code, punch_time, punch_state, verify_type,"
    " work_code, utc_offset, clock_note, punched_at, upload_time"
)


def execute(sql: str, *params: str | int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def a_terminal(sn: str = "BENCH1") -> Terminal:
    made, _ = Terminal.objects.select_related("area").get_or_create(
        sn=sn, defaults={"alias": sn, "time_zone": "Europe/Madrid"}
    )
    return made


def punches(number: int, *, first: datetime = FIRST_DAY) -> list[Punch]:
    """A log as terminals have it: 500 people, one punch after the other."""
    return [Punch(str(1000 + n % 500), first + timedelta(seconds=11 * n), n % 2, 1) for n in range(number)]


def copy_text(rows: list[Punch], sn: str) -> str:
    """The same rows as COPY takes them: what a program without a door would send."""
    line = "{sn}\t{sn}\tGate\t1\tt\t{code}\t{at}\t{state}\t{verify}\t\\N\t60\t0\t{at}+01\t2026-11-21 00:00:00+00\n"
    return "".join(
        line.format(sn=sn, code=row.emp_code, at=row.punch_time, state=row.punch_state, verify=row.verify_type)
        for row in rows
    )


def make_twin() -> None:
    """An equal table with the same indexes and constraints, but neither triggers nor a door."""
    execute(f"DROP TABLE IF EXISTS {TWIN}")
    execute(f"CREATE TABLE {TWIN} (LIKE {TRANSACTION} INCLUDING ALL)")


def copy_sql(table: str) -> str:
    return f"COPY {table} ({_COLUMNS}) FROM STDIN"


def fill(table: str, rows: int) -> None:
    """Make ``table`` hold at least ``rows``, of 5 000 people at 200 terminals; its indexes are built afterwards."""
    missing = rows - count(table)
    if missing <= 0:
        return
    indexes = _drop_indexes(table)
    execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    execute(
        f"INSERT INTO {table} ({_COLUMNS})"
        " SELECT 'FILL' || n %% 200, 'Fill ' || n %% 200, 'Area', 1, true, 'F' || n %% 5000,"
        " moment, n %% 2, 1, NULL, 60, 0, moment AT TIME ZONE 'UTC', timestamptz '2026-01-01' + n * interval '1 ms'"
        " FROM (SELECT n, timestamp '2024-01-01' + n * interval '6 seconds' AS moment FROM generate_series(1, %s) n) x",
        missing,
    )
    for statement in indexes:
        execute(statement)
    execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    execute(f"VACUUM ANALYZE {table}")


def recount() -> None:
    """The counters as the triggers would have left them."""
    for counter, ids in COUNTERS.items():
        execute(f"TRUNCATE {counter}")
        execute(
            f"INSERT INTO {counter} SELECT id / {ids}, count(*) FILTER (WHERE deleted_at IS NULL)"
            f" FROM {TRANSACTION} GROUP BY 1"
        )
        execute(f"VACUUM ANALYZE {counter}")


def _drop_indexes(table: str) -> list[str]:
    """Drop all indexes but the primary key; gives the statements that bring them back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT index.indexrelid::regclass::text, pg_get_indexdef(index.indexrelid), c.conname,"
            " pg_get_constraintdef(c.oid) FROM pg_index index"
            " LEFT JOIN pg_constraint c ON c.conindid = index.indexrelid"
            " WHERE index.indrelid = %s::regclass AND NOT index.indisprimary",
            [table],
        )
        found = cursor.fetchall()
    for name, _definition, constraint, _ in found:
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}" if constraint else f"DROP INDEX {name}")
    return [
        f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {rule}" if constraint else definition
        for _name, definition, constraint, rule in found
    ]
