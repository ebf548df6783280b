"""The web role: ``gunicorn zkbio.wsgi:application``."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zkbio.settings")
django.setup(set_prefix=False)

from zkbio.api.handler import Utf8Handler  # noqa: E402 - reads the settings

application = Utf8Handler()
