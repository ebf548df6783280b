"""The worker and beat roles: ``celery -A zkbio.celery worker`` and ``… beat``.

Celery wakes the work up and remembers none of it: what is due stands in PostgreSQL.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zkbio.settings")

app = Celery("zkbio")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.set_default()
