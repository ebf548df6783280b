"""Requests of terminals that dial, served before everything that is for people and programs.

They bring no session, no language and no cookie, their host is whatever somebody entered on the unit, and there are a
hundred of them a second: sessions, redirects, CSRF and the rest cost them most of their time and protect nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotFound

from iclock.push.urls import PATH
from iclock.push.views import serve

# In ASCII: to Unicode a long s is an s, too, and no verb is written with it.
_PATH: Final = re.compile(PATH, re.IGNORECASE | re.ASCII)
# Where units ask for what doesn't exist here, with the secret of their path perhaps. The API's paths aren't theirs.
_THEIRS: Final = re.compile(r"p/+[^/]|iclock/+(?!/|api(?:/|$))", re.IGNORECASE | re.ASCII)


class PushMiddleware:
    """Where terminals have a listener of their own (SERVE=web) it serves none: there these paths don't exist."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info.lstrip("/")
        found = None if settings.SERVE == "web" else _PATH.match(path)
        if found is not None:
            return serve(request, **found.groupdict())
        return _nothing_here() if _THEIRS.match(path) else self.get_response(request)


def _nothing_here() -> HttpResponseBase:
    """Never 200, as other unknown paths may be (ZKBIO_SOFT_404): a unit would forget what it sent. Nor is it logged."""
    response = HttpResponseNotFound(b"Nothing is served here.", content_type="text/plain")
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
