"""The paths of the multi-device server, whose clients differ from all others: in what an error looks like to them, and
in the language of those who name none.
"""

from __future__ import annotations

import re
from typing import Any, Final

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.translation.trans_real import parse_accept_lang_header

_PATHS: Final = re.compile(r"/(?:(?:devices|attendance)(?:/.*)?)?", re.DOTALL)
_LANGUAGES: Final = frozenset({"es", "en"})
_USUAL: Final = "es"


def is_for_devices_clients(path: str) -> bool:
    """Whether a path, known or not, is one of those."""
    return _PATHS.fullmatch(path) is not None


def failure(said: Any) -> dict[str, Any]:
    """Their error: one sentence, of whatever was said."""
    return {"success": False, "error": _sentence(said)}


class DialectMiddleware(LocaleMiddleware):
    """Django's, but on those paths Spanish is what who doesn't prefer English gets."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if is_for_devices_clients(request.path_info):
            translation.activate(_language_of(request))
            request.LANGUAGE_CODE = translation.get_language()


def _language_of(request: HttpRequest) -> str:
    asked = parse_accept_lang_header(request.headers.get("Accept-Language", ""))
    # ``*`` is any language, and so the usual one.
    names = (_USUAL if name == "*" else name.partition("-")[0] for name, quality in asked if quality)
    return next((name for name in names if name in _LANGUAGES), _USUAL)


def _sentence(said: Any) -> str:
    """DRF's details, flattened."""
    if isinstance(said, dict):
        told = ((name, _sentence(value)) for name, value in said.items())
        return " ".join(text if name in {"detail", "non_field_errors"} else f"{name}: {text}" for name, text in told)
    if isinstance(said, list):
        return " ".join(_sentence(value) for value in said)
    return str(said)
