"""Bodies. What is no UTF-8 is refused: Django's own readers put other characters in its place.

JSON is read by orjson: lone surrogates and bottomless nesting are a 400 and no defect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.http import QueryDict
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, FormParser


class ORJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return orjson.loads(stream.read())
        except orjson.JSONDecodeError as error:
            raise ParseError(f"JSON parse error - {error}") from error


class Utf8FormParser(FormParser):
    """``application/x-www-form-urlencoded``."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return QueryDict(stream.read().decode(), encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ParseError(_("The body is not UTF-8 text (byte %d).") % error.start) from error
