"""One person a card; photos are found by their name; a resignation remembers what it took."""

import logging

import personnel.validators
from django.db import migrations, models

_UNIFORM = "UPDATE personnel_employee SET card_no = nullif(btrim(card_no), '') WHERE card_no <> btrim(card_no) OR card_no = ''"
_NO_CARD = "UPDATE personnel_employee SET card_no = NULL WHERE card_no ~ '^0+$'"
_SHARED = """
UPDATE personnel_employee SET card_no = NULL WHERE id IN (
    SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY card_no ORDER BY id) AS place
                    FROM personnel_employee WHERE card_no IS NOT NULL) AS holders WHERE place > 1
) RETURNING emp_code
"""


def one_person_a_card(apps, schema_editor):
    """Terminals took a shared card for one person's; now the first holder has it, and the log says who lost theirs."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(_UNIFORM)
        cursor.execute(_NO_CARD)
        cursor.execute(_SHARED)
        for (emp_code,) in cursor.fetchall():
            logging.getLogger(__name__).warning("The card of employee %s is another person's too: removed.", emp_code)


class Migration(migrations.Migration):

    dependencies = [
        ('personnel', '0003_resignations_and_limits'),
    ]

    operations = [
        migrations.RunPython(one_person_a_card, migrations.RunPython.noop, elidable=True),
        migrations.AddField(
            model_name='resignation',
            name='took_attendance',
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddField(
            model_name='resignation',
            name='took_card',
            field=models.CharField(editable=False, max_length=20, null=True),
        ),
        migrations.AlterField(
            model_name='employee',
            name='card_no',
            field=models.CharField(blank=True, max_length=20, null=True, unique=True, validators=[personnel.validators.validate_card], verbose_name='card'),
        ),
        migrations.AlterField(
            model_name='employee',
            name='emp_code',
            field=models.CharField(max_length=20, unique=True, validators=[personnel.validators.validate_emp_code], verbose_name='employee code'),
        ),
        migrations.AlterField(
            model_name='employee',
            name='photo',
            field=models.CharField(blank=True, db_index=True, editable=False, max_length=200),
        ),
    ]
