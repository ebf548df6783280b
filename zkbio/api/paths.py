"""Addresses as the vendor's clients write them, and query strings that can't be read at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

from django.http import HttpRequest, HttpResponseBase
from django.urls import is_valid_path
from django.utils.translation import gettext as _

from zkbio.api.errors import json_error

_SLASHES: Final = re.compile("/{2,}")
_WRITES: Final = {"POST", "PUT", "PATCH", "DELETE"}


class CollapseSlashesMiddleware:
    """``//personnel/api/areas/`` is ``/personnel/api/areas/``: no redirect, because clients drop the body of a POST."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "//" in request.path_info:
            request.path_info = _SLASHES.sub("/", request.path_info)
            request.path = _SLASHES.sub("/", request.path)
        return self.get_response(request)


class WritesWithoutSlashMiddleware:
    """A write to a path whose trailing slash was forgotten is carried out.

    Django would redirect, and clients repeat a redirected POST as a GET: they would see 200, and nothing was written.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if request.method in _WRITES and not is_valid_path(path) and is_valid_path(f"{path}/"):
            request.path_info, request.path = f"{path}/", f"{request.path}/"
        return self.get_response(request)


class ReadableQueryMiddleware:
    """A query parameter with a NUL byte or broken UTF-8 is a 400 that names it; no database could hold it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        query = request.META.get("QUERY_STRING", "")
        if "%" in query or not query.isascii() or "\0" in query:
            for part in query.split("&"):
                if not _is_readable(part):
                    return _refuse(request, part)
        return self.get_response(request)


def _is_readable(part: str) -> bool:
    # WSGI hands the query over as latin-1.
    raw = unquote_to_bytes(part.encode("latin-1", errors="replace"))
    try:
        return "\0" not in raw.decode()
    except UnicodeDecodeError:
        return False


def _refuse(request: HttpRequest, part: str) -> HttpResponseBase:
    name = re.sub(r"[^\w.\[\]-]", "?", part.partition("=")[0])[:60]
    message = _("This parameter is not UTF-8 text, or holds a NUL byte.")
    return json_error(request, {name: [message]}, status=400)
