import hashlib
import datetime
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import uuid
from django.conf import settings
from django.db import migrations, models

from zkbio import crypto


BATCH = 500


def digest_templates(apps, schema_editor):
    """Of what is stored already. Raises SealError where a key is missing: then the migration stops and changes nothing."""
    biodata = apps.get_model("iclock", "Biodata")
    rows = biodata.objects.select_related("employee").only(
        "uuid", "bio_type", "bio_no", "bio_index", "sealed", "employee__uuid"
    )
    changed = []
    for row in rows.iterator(chunk_size=BATCH):
        table = f"iclock_biodata {row.employee.uuid} {row.bio_type} {row.bio_no} {row.bio_index}"
        plain = crypto.unseal(row.sealed, table=table, row=row.uuid)
        row.digest = hashlib.sha256(plain.rstrip(b"\0")).hexdigest()
        changed.append(row)
        if len(changed) == BATCH:
            biodata.objects.bulk_update(changed, ["digest"])
            changed = []
    biodata.objects.bulk_update(changed, ["digest"])


class Migration(migrations.Migration):

    dependencies = [
        ('iclock', '0010_calendar_and_stores'),
        ('personnel', '0007_biometric_consent'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='biodata',
            name='digest',
            field=models.CharField(default='', editable=False, help_text='Of the template, to compare without opening.', max_length=64),
            preserve_default=False,
        ),
        migrations.RunPython(digest_templates, migrations.RunPython.noop, elidable=True),
        migrations.AddField(
            model_name='syncmark',
            name='carried_out',
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name='done of it'),
        ),
        migrations.AddField(
            model_name='syncmark',
            name='compared_at',
            field=models.DateTimeField(null=True, verbose_name='people compared'),
        ),
        migrations.AddField(
            model_name='syncmark',
            name='error',
            field=models.CharField(blank=True, db_default='', help_text='Why it was broken off.', max_length=300),
        ),
        migrations.AddField(
            model_name='syncmark',
            name='fingers_read_at',
            field=models.DateTimeField(null=True, verbose_name='fingerprints read'),
        ),
        migrations.AddField(
            model_name='syncmark',
            name='fingers_there',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='syncmark',
            name='people_there',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='syncmark',
            name='planned',
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name='to do'),
        ),
        migrations.AddField(
            model_name='terminal',
            name='direction',
            field=models.CharField(choices=[('import', 'Import: the terminal tells, nothing is written to it'), ('export', 'Export: the platform tells, nothing is taken from the terminal'), ('both', 'Both'), ('off', 'Off: its people are its own')], db_default='both', default='both', help_text='Between the platform and this terminal: people, cards, passwords and fingerprints.', max_length=6, verbose_name='people go'),
        ),
        migrations.AddField(
            model_name='terminal',
            name='fp_version',
            field=models.CharField(blank=True, db_default='', editable=False, max_length=5, verbose_name='fingerprint algorithm'),
        ),
        migrations.AddField(
            model_name='terminal',
            name='strangers',
            field=models.CharField(choices=[('kept', 'Kept, and listed'), ('queued', 'Kept and listed, with an alarm until somebody decides'), ('removed', 'Removed, but never at the first contact')], db_default='kept', default='kept', help_text="What becomes of people found on the unit who don't belong on it.", max_length=7, verbose_name='people nobody wants there'),
        ),
        migrations.AlterField(
            model_name='alarm',
            name='kind',
            field=models.CharField(choices=[('away', 'Away'), ('nearly_full', 'Nearly full'), ('clock', 'Clock is wrong'), ('wrong_unit', 'Another unit answers'), ('twin', 'Two units, one serial number'), ('locked', 'May be locked'), ('strangers', 'Unknown people'), ('log_cleared', 'Log was cleared elsewhere'), ('log_overrun', 'Log overran')], max_length=12),
        ),
        migrations.CreateModel(
            name='Enrolment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('finger', models.PositiveSmallIntegerField(help_text='0 to 9.', validators=[django.core.validators.MaxValueValidator(9)])),
                ('state', models.CharField(choices=[('queued', 'Waiting for the terminal'), ('running', 'The terminal asks for the finger'), ('done', 'Enrolled'), ('failed', 'Failed'), ('expired', 'Expired'), ('cancelled', 'Cancelled')], default='queued', max_length=9)),
                ('scans', models.PositiveSmallIntegerField(default=0, help_text='Of three.', verbose_name='good scans')),
                ('sentence', models.CharField(blank=True, help_text='How it stands, or what came of it.', max_length=300)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('expires_at', models.DateTimeField(db_default=django.db.models.expressions.CombinedExpression(django.db.models.functions.datetime.Now(), '+', models.Value(datetime.timedelta(seconds=300))), editable=False)),
                ('started_at', models.DateTimeField(editable=False, null=True)),
                ('finished_at', models.DateTimeField(editable=False, null=True)),
                ('created_by', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('employee', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='enrolments', to='personnel.employee')),
                ('terminal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='enrolments', to='iclock.terminal')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running'])), fields=('terminal',), name='iclock_enrolment_open')],
            },
        ),
        migrations.CreateModel(
            name='ForgottenTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('bio_type', models.SmallIntegerField()),
                ('digest', models.CharField(max_length=64)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('employee', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='forgotten_templates', to='personnel.employee')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('employee', 'digest'), name='iclock_forgottentemplate_identity')],
            },
        ),
        migrations.CreateModel(
            name='PersonIntent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('emp_code', models.CharField(max_length=24, verbose_name='user id')),
                ('kind', models.CharField(max_length=13)),
                ('columns', models.CharField(blank=True, max_length=60)),
                ('finger', models.SmallIntegerField(null=True)),
                ('done', models.BooleanField()),
                ('sentence', models.CharField(blank=True, help_text='Why it was not done.', max_length=300)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('terminal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='intents', to='iclock.terminal')),
            ],
            options={
                'verbose_name': 'change of a person on a terminal',
                'verbose_name_plural': 'changes of people on terminals',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['terminal', '-id'], name='iclock_personintent_terminal'), models.Index(fields=['emp_code', '-id'], name='iclock_personintent_code')],
            },
        ),
        migrations.CreateModel(
            name='TerminalPerson',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('emp_code', models.CharField(max_length=24, verbose_name='user id')),
                ('held', models.BooleanField(default=False, verbose_name='on the unit')),
                ('placed', models.BooleanField(default=False, verbose_name='belonged there')),
                ('uid', models.PositiveIntegerField(null=True, verbose_name='number on the unit')),
                ('employee_uuid', models.UUIDField(editable=False, help_text='Whom the code meant when they were placed.', null=True)),
                ('held_fields', models.JSONField(default=dict, editable=False)),
                ('held_fingers', models.JSONField(editable=False, null=True)),
                ('agreed_fields', models.JSONField(default=dict, editable=False)),
                ('agreed_fingers', models.JSONField(default=dict, editable=False)),
                ('refusal', models.CharField(blank=True, help_text="Why they aren't there as they should be.", max_length=300)),
                ('retry_at', models.DateTimeField(editable=False, null=True)),
                ('found_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('terminal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='people', to='iclock.terminal')),
            ],
            options={
                'verbose_name': 'person on a terminal',
                'verbose_name_plural': 'people on terminals',
                'ordering': ['id'],
                'indexes': [models.Index(fields=['emp_code'], name='iclock_terminalperson_code'), models.Index(condition=models.Q(models.Q(('held', True), ('placed', False)), models.Q(('refusal', ''), _negated=True), _connector='OR'), fields=['terminal', 'id'], name='iclock_terminalperson_open'), models.Index(condition=models.Q(('retry_at__isnull', False)), fields=['terminal'], name='iclock_terminalperson_retry')],
                'constraints': [models.UniqueConstraint(fields=('terminal', 'emp_code'), name='iclock_terminalperson_identity')],
            },
        ),
    ]
