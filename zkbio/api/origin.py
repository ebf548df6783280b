"""Where a request comes from."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The caller's address; behind a trusted proxy the one that the proxy saw."""
    if settings.TRUST_PROXY:
        nearest = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if nearest:
            return nearest
    return str(request.META.get("REMOTE_ADDR", ""))


def is_cross_site(request: HttpRequest) -> bool:
    """Whether a browser marks the request as caused by another site (by a sibling host or port as well)."""
    origin = request.headers.get("Origin")
    if origin is not None and origin in settings.CSRF_TRUSTED_ORIGINS:
        return False
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return True
    return origin is not None and urlsplit(origin).netloc != request.get_host()
