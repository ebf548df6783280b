"""Statements that a connection keeps prepared."""

from __future__ import annotations

import pytest
from django.db import NotSupportedError, connection, transaction

from zkbio.api.streams import Row, Statement, read_batches

pytestmark = pytest.mark.django_db


def read(number: int) -> list[Row]:
    statement = Statement("SELECT word FROM changing WHERE number = %(number)s", {"number": number})
    return next(read_batches(statement, most=1), [])


def test_a_statement_whose_columns_a_migration_changed_is_prepared_anew() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE changing (number integer, word varchar(5)) ON COMMIT DROP")
        cursor.execute("INSERT INTO changing VALUES (7, 'seven')")
        assert [read(7) for _ in range(3)] == [[("seven",)]] * 3

        cursor.execute("ALTER TABLE changing ALTER word TYPE varchar(9)")
        with pytest.raises(NotSupportedError), transaction.atomic():
            read(7)

    assert [read(number) for number in (7, 7, 8, 7)] == [[("seven",)], [("seven",)], [], [("seven",)]]
