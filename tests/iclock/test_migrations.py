"""Migrations that write what is stored already."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from iclock.models import Biodata
from personnel.models import Employee

pytestmark = pytest.mark.django_db(transaction=True)

Migrate = Callable[[list[tuple[str, str]]], None]


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    """Whatever comes of it, the other tests find the newest tables."""

    def to(targets: list[tuple[str, str]]) -> None:
        MigrationExecutor(connection).migrate(targets)

    yield to
    to(MigrationExecutor(connection).loader.graph.leaf_nodes())


def test_templates_that_were_stored_before_they_had_digests_get_them(migrate: Migrate) -> None:
    """More than are written at once."""
    people = Employee.objects.bulk_create(Employee(emp_code=str(1 + n), department_id=1) for n in range(501))
    rows = [Biodata(employee=person, bio_type=1, bio_no=3, major_ver="10") for person in people]
    for row in rows:
        row.template = row.employee.emp_code.encode() * 50 + b"\0\0"
    Biodata.objects.bulk_create(rows)
    stored = set(Biodata.objects.values_list("pk", "sealed", "digest"))
    assert len({digest for _, _, digest in stored}) == 501

    migrate([("iclock", "0010_calendar_and_stores")])
    with connection.cursor() as cursor:
        columns = {column.name for column in connection.introspection.get_table_description(cursor, "iclock_biodata")}
    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())

    assert "digest" not in columns
    assert set(Biodata.objects.values_list("pk", "sealed", "digest")) == stored
