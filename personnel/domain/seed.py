"""The rows that a new installation of ZKBio Time has, and that its clients count on."""

from __future__ import annotations

from typing import Any

from django.db import connections

SEED = (
    ("personnel_department", "dept_code", "dept_name", "Department"),
    ("personnel_area", "area_code", "area_name", "Not Authorized"),
    ("personnel_position", "position_code", "position_name", "Position"),
)


def seed_after_migrate(*, using: str = "default", **_signal: Any) -> None:
    """Create department 1, area 1 and position 1 where missing, and lead the id sequences past them."""
    with connections[using].cursor() as cursor:
        for table, code, name, label in SEED:
            cursor.execute(
                f"INSERT INTO {table} (id, {code}, {name}) VALUES (1, '1', %s) ON CONFLICT DO NOTHING",  # noqa: S608
                [label],
            )
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"  # noqa: S608
            )
