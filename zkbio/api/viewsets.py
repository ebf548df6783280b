"""What every resource of the API is made of."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import viewsets
from rest_framework.filters import SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response

from zkbio.api.filters import ZKOrderingFilter

M = TypeVar("M", bound=Model)


class ZKReadOnlyViewSet(viewsets.ReadOnlyModelViewSet[M]):
    """List and retrieve."""

    filter_backends = (DjangoFilterBackend, SearchFilter, ZKOrderingFilter)


class ZKModelViewSet(viewsets.ModelViewSet[M]):
    """All verbs. PUT is as lenient as PATCH: what isn't sent keeps its value."""

    filter_backends = (DjangoFilterBackend, SearchFilter, ZKOrderingFilter)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().update(request, *args, **{**kwargs, "partial": True})
