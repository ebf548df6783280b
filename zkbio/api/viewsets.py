"""What every resource of the API is made of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpResponseBase
from rest_framework import mixins, viewsets
from rest_framework.exceptions import NotFound
from rest_framework.filters import SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import Route, SimpleRouter
from rest_framework.serializers import BaseSerializer

from zkbio.api.fields import is_id
from zkbio.api.filters import ZKFilterBackend, ZKOrderingFilter
from zkbio.api.pagination import page_links, read_page
from zkbio.api.renderers import json_text
from zkbio.api.streams import BATCH_ROWS, list_answer

M = TypeVar("M", bound=Model)
# A long list gives others their turn after so many rows, which take some 20 ms.
_TURN_ROWS: Final = 250
_PAUSE_SECONDS: Final = 0.001
_READS = frozenset({"list", "retrieve", "metadata"})


class ZKReadOnlyViewSet(mixins.RetrieveModelMixin, mixins.ListModelMixin, viewsets.GenericViewSet[M]):
    """List and retrieve what the caller may see.

    ``queryset`` is one with ``visible_to(user)``. ``required_permissions`` is set by extra actions that ask for others
    than the verb's own (zkbio.api.permissions). ``visible_relations`` are shown as far as the caller may see them: a
    related row outside of their limits is null.
    """

    filter_backends = (ZKFilterBackend, SearchFilter, ZKOrderingFilter)
    # With dots: an id that is none is an unknown id, not an unknown path.
    lookup_value_regex = "[^/]+"
    required_permissions: tuple[str, ...] = ()
    visible_relations: tuple[str, ...] = ()

    def get_queryset(self) -> QuerySet[M]:
        queryset = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return queryset
        visible: QuerySet[M] = queryset.visible_to(self.request.user)  # type: ignore[attr-defined]
        return visible.prefetch_related(*map(self._visible_relation, self.visible_relations))

    def _visible_relation(self, name: str) -> Prefetch[Any]:
        serializer: Any = self.get_serializer_class()
        relation: Any = serializer.Meta.model._meta.get_field(name)
        return Prefetch(name, relation.related_model.objects.visible_to(self.request.user))

    def get_object(self) -> M:
        """An id is what this API gives out: "+1" and digits of other scripts, which int() reads, are unknown ones."""
        if not is_id(self.kwargs["pk"]):
            raise NotFound
        return super().get_object()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        if read_page(request).size <= BATCH_ROWS:
            return super().list(request, *args, **kwargs)
        return self._long_list(request)

    def _long_list(self, request: Request) -> HttpResponseBase:
        """The same in batches: neither all rows nor all of their JSON are ever in memory."""
        page, queryset = read_page(request), self.filter_queryset(self.get_queryset())
        count = queryset.count()
        if page.offset >= count:
            return super().list(request)
        rows = queryset[page.offset : page.offset + page.size].iterator(chunk_size=_TURN_ROWS)
        links = page_links(request, page, count=count)
        return list_answer(self._batches(rows), count=count, links=links, streamed=True)

    def _batches(self, rows: Iterator[M]) -> Iterator[Sequence[str]]:
        while batch := list(islice(rows, _TURN_ROWS)):
            yield [json_text(row) for row in self.get_serializer(batch, many=True).data]
            time.sleep(_PAUSE_SECONDS)  # under gevent: the others' turn


class ZKModelViewSet(mixins.CreateModelMixin, mixins.UpdateModelMixin, mixins.DestroyModelMixin, ZKReadOnlyViewSet[M]):
    """All verbs: read by ``serializer_class``, written and answered by ``write_serializer_class``.

    PUT is as lenient as PATCH: what isn't sent keeps its value.
    """

    write_serializer_class: type[BaseSerializer[M]]

    def get_serializer_class(self) -> type[BaseSerializer[M]]:
        return super().get_serializer_class() if self.action in _READS else self.write_serializer_class

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().update(request, *args, **{**kwargs, "partial": True})

    def post_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The manual updates areas by POST."""
        return self.update(request, *args, **kwargs)


class ZKRouter(SimpleRouter):
    """DRF's routes, and POST on an object as PATCH."""

    routes = [
        route._replace(mapping={**route.mapping, "post": "post_update"})
        if isinstance(route, Route) and route.detail
        else route
        for route in SimpleRouter.routes
    ]
