"""A missing or malformed variable stops the start with a sentence that says what to set."""

from __future__ import annotations

import base64
from collections.abc import Callable
from ipaddress import ip_network

import pytest
from django.core.exceptions import ImproperlyConfigured

from zkbio import env

KEY = base64.b64encode(b"k" * 32).decode()
SHORT = base64.b64encode(b"k" * 16).decode()


@pytest.mark.parametrize(
    ("value", "read", "words"),
    [
        (None, lambda: env.text("VARIABLE"), "VARIABLE is not set"),
        ("short", lambda: env.text("VARIABLE", min_length=50), "has 5 characters; it needs at least 50"),
        ("perhaps", lambda: env.flag("VARIABLE"), "is neither true nor false"),
        ("0", lambda: env.number("VARIABLE", 5, low=1, high=9), "is not a whole number from 1 to 9"),
        ("٣", lambda: env.number("VARIABLE", 5, low=1, high=9), "is not a whole number from 1 to 9"),
        ("-1", lambda: env.number("VARIABLE", 5, low=1, high=9), "is not a whole number from 1 to 9"),
        ("???", lambda: env.key("VARIABLE"), "is not base64"),
        (SHORT, lambda: env.key("VARIABLE"), "has 16 bytes; it needs 32"),
        (KEY, lambda: env.key_ring("VARIABLE"), "is written id:base64"),
        (f"k1:{SHORT}", lambda: env.key_ring("VARIABLE"), "has 16 bytes; it needs 32"),
        ("tls", lambda: env.choice("VARIABLE", "none", ("none", "ssl")), "is none of these: 'none', 'ssl'"),
        ("clé", lambda: env.ascii_text("VARIABLE"), "has characters other than ASCII's"),
        ("a@example.com,b", lambda: env.addresses("VARIABLE"), "'b' is no mail address"),
        ("Bob <a@example.com>", lambda: env.addresses("VARIABLE"), "is no mail address"),
        ("a@example.com,b@example.com", lambda: env.addresses("VARIABLE", most=1), "names 2 addresses; it may have 1"),
        ("mail:25", lambda: env.host("VARIABLE"), "is neither a server's name nor its address"),
        ("smtp://mail", lambda: env.host("VARIABLE"), "is neither a server's name nor its address"),
        ("x", lambda: env.require_with("VARIABLE", "ABSENT", "MISSING"), "so ABSENT and MISSING must be set too"),
        ("10.0.0.1/8", lambda: env.networks("VARIABLE", ""), "write networks as 10.0.0.0/8"),
    ],
)
def test_a_bad_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str | None, read: Callable[[], object], words: str
) -> None:
    monkeypatch.delenv("VARIABLE", raising=False)
    if value is not None:
        monkeypatch.setenv("VARIABLE", value)

    with pytest.raises(ImproperlyConfigured, match=words):
        read()


def test_good_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIST", " a, b ,,c ")
    monkeypatch.setenv("RING", f"k2:{KEY},k1:{KEY}")
    monkeypatch.setenv("NETS", "10.0.0.0/8, fc00::/7")
    monkeypatch.setenv("FLAG", "Yes")

    monkeypatch.setenv("CHOICE", "SSL")
    monkeypatch.setenv("TO", "a@example.com, b@example.com")
    monkeypatch.setenv("HOST6", "fd00::25")
    monkeypatch.setenv("HOST", "mail.example.com")

    assert env.choice("CHOICE", "none", ("none", "ssl")) == "ssl"
    assert env.addresses("TO") == ["a@example.com", "b@example.com"]
    assert [env.host(name) for name in ("HOST6", "HOST", "ABSENT")] == ["fd00::25", "mail.example.com", ""]
    env.require_with("HOST", "CHOICE")
    env.require_with("ABSENT", "MISSING")
    assert env.words("LIST") == ["a", "b", "c"]
    assert list(env.key_ring("RING")) == ["k2", "k1"]
    assert env.networks("NETS", "") == [ip_network("10.0.0.0/8"), ip_network("fc00::/7")]
    assert env.flag("FLAG") is True
    assert env.number("ABSENT", 7, low=1, high=9) == 7
