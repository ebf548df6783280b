"""The web role: ``gunicorn zkbio.wsgi:application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zkbio.settings")
application = get_wsgi_application()
