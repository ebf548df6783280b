"""The product with the views that it is compared with: ``gunicorn bench.wsgi:application``."""

from __future__ import annotations

from django.conf import settings

from zkbio.wsgi import application

settings.ROOT_URLCONF = "bench.readers"

__all__ = ["application"]
