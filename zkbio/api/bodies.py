"""No body is read before its length is known to be bearable: JSON is parsed in memory, uploads land on the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

from zkbio.api.errors import json_error

_MOST_DIGITS: Final = 15


class BodyLimitMiddleware:
    """Refuses by ``Content-Length``; without one there is nothing to read (chunked bodies are not accepted)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return _refuse(request) or self.get_response(request)


def body_limit(path: str) -> int:
    """The bytes that a body sent to this path may have: the first prefix that fits decides."""
    return next(limit for prefix, limit in settings.BODY_LIMITS if path.startswith(prefix))


def _refuse(request: HttpRequest) -> HttpResponseBase | None:
    if "HTTP_TRANSFER_ENCODING" in request.META:
        sentence = _("Send the body with its length; chunked bodies are not read.")
        return json_error(request, {"detail": sentence}, status=411)
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    if not (length.isascii() and length.isdigit()):
        return json_error(request, {"detail": _("The length of the body is not a number.")}, status=400)
    limit = body_limit(request.path_info)
    if len(length) > _MOST_DIGITS or int(length) > limit:
        sentence = _("The body is too large: %d bytes at most are read here.") % limit
        return json_error(request, {"detail": sentence}, status=413)
    return None
