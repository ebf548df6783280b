"""A second level of counters, one per hundred blocks: a deep page then sums and runs over tens of rows, not thousands.

A statement locks its superblocks before its blocks, both ascending: whoever holds a block holds its superblock too, so
that transactions of several statements meet in one order as well.
"""

from typing import Final

from django.db import migrations, models

_BLOCK: Final = ("iclock_transactionblock", "block", 2_000)
_SUPERBLOCK: Final = ("iclock_transactionsuperblock", "superblock", 200_000)

_ARRIVED: Final = "count(*) FILTER (WHERE deleted_at IS NULL) FROM arrived GROUP BY 1 ORDER BY 1"
_CHANGED: Final = """sum(step) FROM (
        SELECT id, 1 AS step FROM renewed WHERE deleted_at IS NULL
        UNION ALL
        SELECT id, -1 FROM former WHERE deleted_at IS NULL
    ) AS steps GROUP BY 1 HAVING sum(step) <> 0 ORDER BY 1"""
_GONE: Final = "-count(*) FROM former WHERE deleted_at IS NULL GROUP BY 1 ORDER BY 1"

# Between the lock and the fill nobody writes; readers read on.
_FILL = """
LOCK TABLE iclock_transaction IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO iclock_transactionsuperblock (superblock, live)
SELECT block / 100, sum(live) FROM iclock_transactionblock GROUP BY 1;
"""


def _function(event: str, *statements: str) -> str:
    """The trigger's function anew; the trigger itself stays."""
    body = "".join(f"    {statement};\n" for statement in statements)
    return f"""
CREATE OR REPLACE FUNCTION iclock_transaction_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{body}    RETURN NULL;
END $$;
"""


def _count(level: tuple[str, str, int], steps: str) -> str:
    table, key, ids = level
    return f"""INSERT INTO {table} AS counter ({key}, live)
    SELECT id / {ids}, {steps}
    ON CONFLICT ({key}) DO UPDATE SET live = counter.live + excluded.live"""  # noqa: S608 - made of constants


def _functions(*levels: tuple[str, str, int]) -> str:
    counted = {"inserted": _ARRIVED, "updated": _CHANGED, "deleted": _GONE}
    functions = [_function(event, *(_count(level, steps) for level in levels)) for event, steps in counted.items()]
    return "".join([*functions, _function("truncated", *(f"DELETE FROM {table}" for table, _, _ in levels))])


class Migration(migrations.Migration):
    dependencies = [("iclock", "0003_words_of_the_field")]

    operations = [
        migrations.CreateModel(
            name="TransactionSuperblock",
            fields=[
                ("superblock", models.BigIntegerField(primary_key=True, serialize=False)),
                ("live", models.IntegerField()),
            ],
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.RunSQL(_functions(_SUPERBLOCK, _BLOCK), _functions(_BLOCK)),
    ]
