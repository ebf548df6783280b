"""The WSGI application's requests: text is UTF-8, whatever ``Content-Type`` claims.

Django reads the query string in the charset that a request names, while it builds the request and so before any
middleware: ``charset=rot13`` would be a 500 on every path, ``charset=utf-7`` a way around the checks of text.
"""

from __future__ import annotations

from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters


class Utf8Request(WSGIRequest):
    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        """Leaves the encoding alone; a ``Content-Type`` that can't be read counts as none."""
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:  # a parameter in an encoding that is none
            meta["CONTENT_TYPE"] = self.content_type = ""
            self.content_params = {}


class Utf8Handler(WSGIHandler):
    request_class = Utf8Request
