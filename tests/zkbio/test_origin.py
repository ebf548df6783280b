"""Where requests come from, as proxies and browsers say."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from zkbio.api.origin import client_address, is_cross_site


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//[x]", "http://]", "http://[v1.x"])
def test_an_origin_that_is_no_address_is_another_site(origin: str) -> None:
    assert is_cross_site(RequestFactory().get("/", headers={"Origin": origin})) is True


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("9.9.9.9:1, 1.2.3.4:5678", "1.2.3.4"),
        ("[2001:db8::1]:5678", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("unknown", "unknown"),
        ("", "127.0.0.1"),
    ],
)
def test_behind_a_trusted_proxy_the_address_is_the_nearest_without_its_port(
    forwarded: str, address: str, settings: Any
) -> None:
    settings.TRUST_PROXY = True

    assert client_address(RequestFactory().get("/", headers={"X-Forwarded-For": forwarded})) == address


def test_without_a_trusted_proxy_nobody_names_an_address() -> None:
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "1.2.3.4"})

    assert client_address(request) == "127.0.0.1"
