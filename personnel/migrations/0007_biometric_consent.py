
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('personnel', '0006_names_on_one_line'),
    ]

    operations = [
        migrations.AddField(
            model_name='employee',
            name='biometric_consent',
            field=models.BooleanField(db_default=False, default=False, help_text='That fingerprints are stored here; it counts where the installation asks for it.', verbose_name='agreed to biometrics'),
        ),
    ]
