"""The list envelope of ZKBio Time, and which page a request asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import NotFound
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

DEFAULT_PAGE_SIZE: Final = 10
_POSITIVE: Final = re.compile("0*[1-9][0-9]{0,15}", re.ASCII)


class InvalidPage(NotFound):
    """404: no such page."""

    default_detail = _("Invalid page.")


class Page(NamedTuple):
    """The page asked for: ``number`` counts from 1."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


class Links(NamedTuple):
    next: str | None
    previous: str | None


def read_page(request: Request) -> Page:
    """``page`` and ``page_size``, of which ``limit`` is a synonym. Raises InvalidPage."""
    number = _positive(request.query_params.get("page", "1"))
    if number is None:
        raise InvalidPage
    sizes = (_positive(request.query_params.get(name, "")) for name in ("page_size", "limit"))
    size = next((size for size in sizes if size is not None), DEFAULT_PAGE_SIZE)
    return Page(number, min(size, settings.MAX_PAGE_SIZE))


def page_links(request: Request, page: Page, *, count: int) -> Links:
    more = page.offset + page.size < count
    return Links(
        link(request, page=page.number + 1) if more else None,
        link(request, page=page.number - 1) if page.number > 1 else None,
    )


def link(request: Request, **changed: int) -> str:
    """This request's address with some parameters changed: sorted by name, and without ``page=1``."""
    parameters = {**dict(request.query_params.lists()), **{name: [str(value)] for name, value in changed.items()}}
    if parameters.get("page") == ["1"]:
        del parameters["page"]
    query = urlencode(sorted(parameters.items()), doseq=True)
    return request.build_absolute_uri(f"{request.path}?{query}" if query else request.path)


def envelope(data: Sequence[Any], *, count: int, links: Links) -> dict[str, Any]:
    """Keys in the vendor's order; ``results`` only beside an empty list, because clients read it first."""
    head = {"count": count, "next": links.next, "previous": links.previous, "msg": "", "code": 0}
    return {**head, "data": data} if data else {**head, "results": [], "data": data}


class ZKPagination(BasePagination):
    """Pages of a queryset by number."""

    page: Page
    count: int
    request: Request

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any]:  # type: ignore[override]
        self.request, self.page, self.count = request, read_page(request), queryset.count()
        if self.page.number > 1 and self.page.offset >= self.count:
            raise InvalidPage
        return list(queryset[self.page.offset : self.page.offset + self.page.size])

    def get_paginated_response(self, data: Any) -> Response:
        links = page_links(self.request, self.page, count=self.count)
        return Response(envelope(data, count=self.count, links=links))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        address = {"type": "string", "format": "uri", "nullable": True}
        properties = {
            "count": {"type": "integer"},
            "next": address,
            "previous": address,
            "msg": {"type": "string", "example": ""},
            "code": {"type": "integer", "example": 0},
            "results": {"type": "array", "items": {}, "description": "Only beside an empty list."},
            "data": schema,
        }
        required = [name for name in properties if name != "results"]
        return {"type": "object", "required": required, "properties": properties}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        described = {
            "page": "Page number, from 1.",
            "page_size": f"Rows per page, {DEFAULT_PAGE_SIZE} when not given.",
            "limit": "A synonym of page_size.",
        }
        return [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "integer"}}
            for name, text in described.items()
        ]


def _positive(text: str) -> int | None:
    return int(text) if _POSITIVE.fullmatch(text) else None
