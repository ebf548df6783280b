# The tables of terminals that dial.

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
import zkbio.wallclock
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('iclock', '0011_people'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PushPosition',
            fields=[
                ('terminal', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='push_position', serialize=False, to='iclock.terminal')),
                ('lines', models.BigIntegerField(db_default=0, default=0, help_text='Of its log, that were acknowledged so far.')),
                ('stamps', models.JSONField(db_default={}, default=dict, help_text='Where the unit says that it is, by table.')),
            ],
        ),
        migrations.AddField(
            model_name='terminalperson',
            name='told_at',
            field=models.DateTimeField(editable=False, help_text='When a unit that dials told of them last.', null=True),
        ),
        migrations.AddField(
            model_name='terminalpresence',
            name='pull_time',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='alarm',
            name='kind',
            field=models.CharField(choices=[('away', 'Away'), ('nearly_full', 'Nearly full'), ('clock', 'Clock is wrong'), ('wrong_unit', 'Another unit answers'), ('twin', 'Two units, one serial number'), ('locked', 'May be locked'), ('strangers', 'Unknown people'), ('two_places', 'Dials from two networks'), ('future', 'Punches from the future'), ('log_cleared', 'Log was cleared elsewhere'), ('log_overrun', 'Log overran')], max_length=12),
        ),
        migrations.CreateModel(
            name='PushState',
            fields=[
                ('terminal', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='push', serialize=False, to='iclock.terminal')),
                ('path_digest', models.CharField(blank=True, db_default='', editable=False, max_length=64)),
                ('key_digest', models.CharField(blank=True, db_default='', editable=False, max_length=64)),
                ('key_address', models.GenericIPAddressField(editable=False, help_text='From where it showed its key.', null=True)),
                ('shown_digest', models.CharField(blank=True, db_default='', editable=False, max_length=64)),
                ('address', models.GenericIPAddressField(editable=False, null=True)),
                ('former_address', models.GenericIPAddressField(editable=False, null=True)),
                ('moved_at', models.DateTimeField(editable=False, null=True)),
                ('future_at', models.DateTimeField(editable=False, null=True)),
                ('shook_hands_at', models.DateTimeField(editable=False, null=True, verbose_name='last handshake')),
                ('told_digest', models.CharField(blank=True, db_default='', editable=False, max_length=64)),
                ('options', models.JSONField(db_default={}, default=dict, editable=False, verbose_name='what it told of itself')),
                ('registry_code', models.CharField(blank=True, db_default='', editable=False, max_length=32)),
                ('encoding', models.CharField(db_default='utf-8', default='utf-8', help_text='In which the unit writes names; what is UTF-8 is read as that anyway.', max_length=20, verbose_name='code page')),
                ('listed_at', models.DateTimeField(editable=False, null=True)),
                ('planned_for', models.BigIntegerField(editable=False, null=True)),
                ('due_at', models.DateTimeField(editable=False, null=True)),
                ('verified_at', models.DateTimeField(editable=False, null=True, verbose_name='log compared')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='iclock_pushstate_due')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('path_digest', ''), _negated=True), fields=('path_digest',), name='iclock_pushstate_path')],
            },
        ),
        migrations.CreateModel(
            name='PushCommand',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(help_text='As iclock.orders names them.', max_length=20)),
                ('emp_code', models.CharField(blank=True, db_default='', max_length=24, verbose_name='user id')),
                ('finger', models.SmallIntegerField(null=True)),
                ('intent', models.CharField(blank=True, db_default='', editable=False, max_length=13)),
                ('columns', models.CharField(blank=True, db_default='', editable=False, max_length=60)),
                ('arguments', models.JSONField(db_default={}, default=dict, editable=False)),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('sent', 'Sent'), ('done', 'Done'), ('failed', 'Failed'), ('expired', 'Expired'), ('cancelled', 'Cancelled')], default='queued', max_length=9)),
                ('sent', models.JSONField(db_default={}, default=dict, editable=False)),
                ('times_sent', models.PositiveSmallIntegerField(db_default=0, default=0)),
                ('returned', models.IntegerField(null=True, verbose_name='return code')),
                ('result', models.CharField(blank=True, db_default='', help_text='What came of it, in a sentence.', max_length=300)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('expires_at', models.DateTimeField(editable=False, null=True)),
                ('sent_at', models.DateTimeField(editable=False, null=True)),
                ('lease_until', models.DateTimeField(editable=False, null=True)),
                ('finished_at', models.DateTimeField(editable=False, null=True)),
                ('command', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='orders', to='iclock.terminalcommand')),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('enrolment', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='orders', to='iclock.enrolment')),
                ('terminal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='push_commands', to='iclock.terminal')),
            ],
            options={
                'verbose_name': 'order to a PUSH terminal',
                'verbose_name_plural': 'orders to PUSH terminals',
                'ordering': ['id'],
                'indexes': [models.Index(condition=models.Q(('state__in', ['queued', 'sent'])), fields=['terminal', 'id'], name='iclock_pushcommand_open'), models.Index(fields=['finished_at'], name='iclock_pushcommand_finished')],
            },
        ),
        migrations.CreateModel(
            name='TerminalEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(choices=[('menu', 'Menu'), ('door', 'Door')], max_length=4)),
                ('code', models.IntegerField()),
                ('person', models.CharField(blank=True, max_length=24, verbose_name='user id')),
                ('moment', zkbio.wallclock.WallClockField(help_text="The terminal's wall clock, as it said it.", null=True)),
                ('values', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=list, size=None)),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('terminal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='iclock.terminal')),
            ],
            options={
                'verbose_name': 'event at a terminal',
                'verbose_name_plural': 'events at terminals',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['received_at'], name='iclock_terminalevent_received')],
                'constraints': [models.UniqueConstraint(fields=('terminal', 'source', 'code', 'person', 'moment', 'values'), name='iclock_terminalevent_identity', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='TerminalPhoto',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('emp_code', models.CharField(blank=True, max_length=24, verbose_name='user id')),
                ('kind', models.CharField(choices=[('capture', 'Taken at a punch'), ('user', 'Portrait on the unit'), ('bio', 'For comparing faces')], max_length=7)),
                ('taken', zkbio.wallclock.WallClockField(help_text="The terminal's wall clock, as it said it.", null=True)),
                ('file', models.CharField(editable=False, max_length=80)),
                ('digest', models.CharField(editable=False, help_text='Keyed, of what was sent: sent twice, kept once.', max_length=64)),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('terminal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='photos', to='iclock.terminal')),
            ],
            options={
                'verbose_name': 'photo of a terminal',
                'verbose_name_plural': 'photos of terminals',
                'ordering': ['-id'],
                'permissions': [('see_photo', 'Can see the photos that terminals took')],
                'indexes': [models.Index(fields=['received_at'], name='iclock_terminalphoto_received')],
                'constraints': [models.UniqueConstraint(fields=('terminal', 'digest'), name='iclock_terminalphoto_identity')],
            },
        ),
    ]
