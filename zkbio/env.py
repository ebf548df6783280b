"""The environment, read loudly: a missing or malformed variable stops the start with a sentence that mends it."""

from __future__ import annotations

import base64
import binascii
import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

Network = IPv4Network | IPv6Network

_KEY_BYTES = 32
_HOST = re.compile(r"[A-Za-z0-9._-]*")
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str | None = None, *, min_length: int = 0) -> str:
    """The variable as it stands. Raises ImproperlyConfigured when it is missing without a default, or too short."""
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set; ./script/start sets it, elsewhere put it into the environment.")
    if len(value) < min_length:
        raise ImproperlyConfigured(f"{name} has {len(value)} characters; it needs at least {min_length} random ones.")
    return value


def ascii_text(name: str) -> str:
    """Without accents, which the protocol that it is for has no way to say; "" when it isn't given."""
    value = text(name, "")
    if not value.isascii():
        raise ImproperlyConfigured(f"{name} has characters other than ASCII's.")
    return value


def flag(name: str, *, default: bool = False) -> bool:
    """1/true/yes/on or 0/false/no/off, in any letter case."""
    value = os.environ.get(name, "1" if default else "0").strip().lower()
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false; write {name}=1 or {name}=0.")
    return value in _TRUE


def number(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``."""
    value = os.environ.get(name, str(default))
    if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number from {low} to {high}.")
    return int(value)


def choice(name: str, default: str, among: tuple[str, ...]) -> str:
    """One of these words, in any letter case."""
    value = os.environ.get(name, default).strip().lower()
    if value not in among:
        raise ImproperlyConfigured(f"{name}={value!r} is none of these: {', '.join(map(repr, among))}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list without its blanks."""
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def addresses(name: str, *, most: int = 50) -> list[str]:
    """A comma-separated list of mail addresses, without names."""
    found = words(name)
    if len(found) > most:
        raise ImproperlyConfigured(f"{name} names {len(found)} addresses; it may have {most}.")
    for each in found:
        try:
            validate_email(each)
        except ValidationError as error:
            raise ImproperlyConfigured(f"{name}: {each!r} is no mail address such as it@example.com.") from error
    return found


def host(name: str) -> str:
    """The name or the address of a server, without a port; "" when it isn't given."""
    value = os.environ.get(name, "").strip()
    if not _HOST.fullmatch(value) and not _is_address(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is neither a server's name nor its address; write no port with it."
        )
    return value


def require_with(name: str, *others: str) -> None:
    """Who sets ``name`` must set the others too."""
    missing = [other for other in others if not os.environ.get(other)]
    if os.environ.get(name) and missing:
        raise ImproperlyConfigured(f"{name} is set, so {' and '.join(missing)} must be set too.")


def key(name: str) -> bytes:
    """32 bytes of key material, written in base64."""
    return _decode_key(name, text(name))


def key_ring(name: str) -> dict[str, bytes]:
    """``id:base64,id:base64…``: the first key encrypts, every key decrypts."""
    ring: dict[str, bytes] = {}
    for entry in text(name).split(","):
        key_id, colon, encoded = entry.strip().partition(":")
        if not colon or not key_id.isalnum() or len(key_id) > 16:
            raise ImproperlyConfigured(f"{name} is written id:base64[,id:base64…], ids of up to 16 letters and digits.")
        ring[key_id] = _decode_key(f"{name} ({key_id})", encoded)
    return ring


def networks(name: str, default: str) -> list[Network]:
    """A comma-separated list of networks in CIDR notation."""
    try:
        return [ip_network(word) for word in words(name, default)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}; write networks as 10.0.0.0/8,192.168.1.0/24.") from error


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _decode_key(label: str, encoded: str) -> bytes:
    try:
        material = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ImproperlyConfigured(f"{label} is not base64.") from error
    if len(material) != _KEY_BYTES:
        raise ImproperlyConfigured(f"{label} has {len(material)} bytes; it needs {_KEY_BYTES} random ones.")
    return material
