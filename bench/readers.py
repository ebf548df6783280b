"""Somebody who may read everything, and the plain views that ours are compared with."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from rest_framework import serializers, viewsets
from rest_framework.pagination import PageNumberPagination
from rest_framework.renderers import JSONRenderer

from iclock.models import Transaction
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.urls import urlpatterns as product_urls

PAGE = "/iclock/api/transactions/?page_size=100"
PLAIN = "/bench/plain/?page_size=100"
STATIC = "/bench/static/"


class PlainSerializer(serializers.ModelSerializer[Transaction]):
    class Meta:
        model = Transaction
        exclude = ("deleted_at",)


class PlainPages(PageNumberPagination):
    page_size_query_param = "page_size"


class PlainViewSet(viewsets.ReadOnlyModelViewSet[Transaction]):
    """What Django REST framework's tutorial would write for punches; the same authentication and permissions."""

    queryset = Transaction.objects.live().order_by("id").select_related("emp__department", "emp__position", "terminal")
    serializer_class = PlainSerializer
    pagination_class = PlainPages
    renderer_classes = (JSONRenderer,)


def static_view(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(b'{"status": "online"}', content_type="application/json")


urlpatterns = [
    *product_urls,
    path("bench/plain/", PlainViewSet.as_view({"get": "list"})),
    path("bench/static/", static_view),
]


def reader() -> tuple[Client, str]:
    """A test client with the token of a user who may read, and that token."""
    user, _ = User.objects.get_or_create(username="bench", defaults={"is_superuser": True})
    token = issue_token(user)
    return Client(SERVER_NAME="localhost", headers={"authorization": f"Token {token}"}), token


def fetch(client: Client, url: str) -> Any:
    """The answer; raises RuntimeError for anything but 200."""
    answer = client.get(url)
    if answer.status_code != 200:
        raise RuntimeError(f"{url}: {answer.status_code} {answer.content[:200]!r}")
    return answer.getvalue()
