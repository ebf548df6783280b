"""Every error an API caller can see: plain DRF bodies, no tracebacks, and one sentence when the database is away."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final

import orjson
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, TooManyFieldsSent, TooManyFilesSent
from django.core.exceptions import ValidationError as DomainError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from psycopg2.errors import DeadlockDetected, LockNotAvailable
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error

from zkbio.api.conflicts import conflict_refusal
from zkbio.api.dialect import failure, is_for_devices_clients

_RETRY_SECONDS = 5
_MOST_SAID = 500
# A lock that others kept for too long, or two requests that waited for each other.
_OCCUPIED = (LockNotAvailable, DeadlockDetected)

log = logging.getLogger(__name__)


class Unavailable(exceptions.APIException):
    """503: the same request may well succeed a little later."""

    status_code = 503
    default_code = "unavailable"
    wait = _RETRY_SECONDS

    def __init__(self, sentence: str | None = None) -> None:
        away = _("The database doesn't answer at the moment. Nothing was changed; please try again.")
        super().__init__(sentence or away)


class UnavailableMiddleware:
    """The same 503 for views that are not DRF's, without a traceback in the log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        error = _as_api_error(exception)
        return _unavailable(request, error) if isinstance(error, Unavailable) else None


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, with the texts of the contract. None means a defect: Django logs it and answers 500."""
    from rest_framework.views import exception_handler as drf_handler  # noqa: PLC0415 - DRF's views read the settings

    answer = drf_handler(_as_api_error(error), context)
    if answer is not None:
        answer.data = _bounded(answer.data)
    return answer


def _bounded(said: Any) -> Any:
    """Sentences that quote a value, with as much of it as anybody reads."""
    if isinstance(said, dict):
        return {name: _bounded(value) for name, value in said.items()}
    if isinstance(said, list):
        return [_bounded(value) for value in said]
    return f"{said[:_MOST_SAID]}…" if isinstance(said, str) and len(said) > _MOST_SAID else said


def _as_api_error(error: Exception) -> Exception:
    if isinstance(error.__cause__, _OCCUPIED):
        return Unavailable(_("Other requests hold what this one needs. Nothing was changed; please try again."))
    if isinstance(error, OperationalError | InterfaceError):
        log.error("The database doesn't answer: %s", str(error).strip().partition("\n")[0])
        return Unavailable()
    if refusal := conflict_refusal(error):
        return exceptions.ValidationError(refusal)
    return next((say(error) for kinds, say in _SAID.items() if isinstance(error, kinds)), error)


def _said_of_gone(error: ObjectDoesNotExist) -> exceptions.APIException:
    """A row that this request had found; another one deleted it meanwhile."""
    log.warning("Answered as not found, gone since the request began: %s", error)
    return exceptions.NotFound()


def _said_of_form(_error: Exception) -> exceptions.APIException:
    most = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    return exceptions.ParseError(_("A form has %d fields at most here. Send longer lists as JSON.") % most)


_SAID: Final[dict[tuple[type[Exception], ...], Callable[[Any], exceptions.APIException]]] = {
    (Http404,): lambda _error: exceptions.NotFound(),
    (ObjectDoesNotExist,): _said_of_gone,
    (PermissionDenied,): lambda error: exceptions.PermissionDenied(str(error) or None),
    (DomainError,): lambda error: exceptions.ValidationError(as_serializer_error(error)),
    (TooManyFieldsSent, TooManyFilesSent): _said_of_form,
}


def json_error(request: HttpRequest, said: dict[str, Any], *, status: int) -> HttpResponse:
    """An error outside of DRF's views, in the shape that the path's clients know."""
    body = failure(said) if is_for_devices_clients(request.path_info) else said
    return HttpResponse(orjson.dumps(body), content_type="application/json", status=status)


def unknown_path(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """404 for a path that doesn't exist: a page for browsers, JSON where ``Accept`` prefers it.

    The vendor's servers answer 200 with such a page; ZKBIO_SOFT_404 brings that back for clients that count on it.
    """
    ours = is_for_devices_clients(request.path_info)
    status = 200 if settings.ZKBIO_SOFT_404 and not ours else 404
    if ours or _prefers_json(request):
        return json_error(request, {"detail": _("Not found.")}, status=status)
    # The title in English in every language: that is what those clients look for.
    return _page("Page not found", _("There is nothing at this address."), status=status)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a defect. It stands in the log, not in the answer. A database that is away is 503 instead."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        return _unavailable(request, Unavailable())
    return _answer(request, _("Server error"), _("Something went wrong here; the server's log says what."), status=500)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """400 for what Django calls suspicious: thousands of parameters, a foreign host, a filter that no list offers."""
    sentence = _(
        "This request can't be served: too many or too large parameters, or a host, path or filter that is none."
    )
    return _answer(request, _("Bad request"), sentence, status=400)


def _unavailable(request: HttpRequest, error: Unavailable) -> HttpResponse:
    response = _answer(request, _("Not available"), str(error.detail), status=error.status_code)
    response["Retry-After"] = str(error.wait)
    return response


def _answer(request: HttpRequest, title: str, sentence: str, *, status: int) -> HttpResponse:
    """JSON on the API's paths and where it is preferred, a page elsewhere."""
    if _prefers_json(request) or _is_of_an_api(request.path_info):
        return json_error(request, {"detail": sentence}, status=status)
    return _page(title, sentence, status=status)


def _is_of_an_api(path: str) -> bool:
    return "/api/" in path or "api-token-" in path or is_for_devices_clients(path)


def _prefers_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def _page(title: str, sentence: str, *, status: int) -> HttpResponse:
    body = f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><p>{sentence}</p>'
    return HttpResponse(body, status=status)
