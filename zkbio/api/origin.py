"""Where a request comes from."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

# What some proxies write: 1.2.3.4:5678, [2001:db8::1]:5678, [2001:db8::1].
_WITH_PORT: Final = re.compile(r"(?:\[(?P<v6>[^]]+)\]|(?P<v4>[0-9.]+))(?::\d+)?", re.ASCII)


def client_address(request: HttpRequest) -> str:
    """The caller's address; behind a trusted proxy the one that the proxy saw."""
    if settings.TRUST_PROXY:
        nearest = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if nearest:
            return _without_port(nearest)
    return str(request.META.get("REMOTE_ADDR", ""))


def is_cross_site(request: HttpRequest) -> bool:
    """Whether a browser marks the request as caused by another site (by a sibling host or port as well)."""
    origin = request.headers.get("Origin")
    if origin is not None and origin in settings.CSRF_TRUSTED_ORIGINS:
        return False
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return True
    return origin is not None and _host_of(origin) != request.get_host()


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # "http://[": nobody's address, so another site's
        return None


def _without_port(address: str) -> str:
    found = _WITH_PORT.fullmatch(address)
    return address if found is None else found["v6"] or found["v4"]
