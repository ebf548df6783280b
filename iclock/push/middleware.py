"""Requests of terminals that dial, served before everything that is for people and programs.

They bring no session, no language and no cookie, their host is whatever somebody entered on the unit, and there are a
hundred of them a second: sessions, redirects, CSRF and the rest cost them most of their time and protect nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase

from iclock.push.urls import PATH
from iclock.push.views import serve

_PATH: Final = re.compile(PATH, re.IGNORECASE)


class PushMiddleware:
    """Not used where terminals have a listener of their own (SERVE=web): there these paths don't exist."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if settings.SERVE == "web":
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        found = _PATH.match(request.path_info.lstrip("/"))
        return self.get_response(request) if found is None else serve(request, **found.groupdict())
