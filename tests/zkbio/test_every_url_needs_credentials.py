"""Walks the URL resolver: every path with every method, without credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
OPEN = {
    tuple(line.split())
    for line in (Path(__file__).parent / "open_urls.txt").read_text().splitlines()
    if line and not line.startswith("#")
}
_ARGUMENT = re.compile(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)|<[^>]+>|\([^()]*\)")


def paths(resolver: Any, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        pattern = prefix + str(entry.pattern).lstrip("^")
        if isinstance(entry, URLResolver):
            yield from paths(entry, pattern)
        elif isinstance(entry, URLPattern):
            yield "/" + _ARGUMENT.sub("1", pattern).replace("\\Z", "").replace("/?", "/").replace("$", "")


PATHS = sorted(set(paths(get_resolver())))


def refused(response: HttpResponseBase) -> bool:
    leads_to_login = response.status_code == 302 and response.headers["Location"].startswith(reverse("admin:login"))
    return response.status_code in {401, 403, 404, 405} or leads_to_login


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_without_credentials_everything_is_refused_but_what_is_listed(path: str) -> None:
    client = Client(raise_request_exception=False)

    answers = [(path, method, client.generic(method, path)) for method in METHODS]

    open_doors = {(where, method, str(answer.status_code)) for where, method, answer in answers if not refused(answer)}
    assert open_doors == {entry for entry in OPEN if entry[0] == path}


def test_the_list_names_only_paths_that_exist() -> None:
    assert {path for path, _, _ in OPEN} - set(PATHS) == set()


def test_the_walk_reaches_the_nested_paths() -> None:
    expected = {"/iclock/api/transactions/", "/iclock/api/transactions/1/", "/iclock/api/terminals/1/"}

    assert expected - set(PATHS) == set()
