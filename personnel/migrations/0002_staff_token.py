"""Tokens of employees; a changed self-service password ends them, by whatever path it is written."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

_PASSWORD_CHANGED = """
CREATE FUNCTION personnel_employee_password_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE personnel_stafftoken SET revoked_at = now() WHERE employee_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER personnel_employee_password_changed AFTER UPDATE OF self_password ON personnel_employee
FOR EACH ROW WHEN (OLD.self_password IS DISTINCT FROM NEW.self_password)
EXECUTE FUNCTION personnel_employee_password_changed();
"""
_DROP = """
DROP TRIGGER personnel_employee_password_changed ON personnel_employee;
DROP FUNCTION personnel_employee_password_changed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('personnel', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='StaffToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('sealed', models.BinaryField()),
                ('prefix', models.CharField(editable=False, help_text='The first digits, to tell tokens apart.', max_length=8)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('employee', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='staff_tokens', to='personnel.employee')),
            ],
            options={
                'verbose_name': 'staff token',
                'ordering': ['-id'],
                'abstract': False,
                'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at', None)), fields=('employee',), name='personnel_stafftoken_one_live_per_employee')],
            },
        ),
        migrations.RunSQL(_PASSWORD_CHANGED, _DROP),
    ]
