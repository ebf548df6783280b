"""Secrets at rest: AES-256-GCM under a ring of keys, each ciphertext bound to the row it belongs to.

Layout: ``<1: length of key id><key id><12: nonce><ciphertext and tag>``. The binding (table and the row's immutable
UUID) is authenticated, so a ciphertext copied into another row or table doesn't open.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealError(Exception):
    """A sealed value can't be opened: its key is gone from FIELD_KEYS, or it was altered or moved."""


def seal(plain: bytes, *, table: str, row: UUID) -> bytes:
    """Encrypt under the first key of the ring."""
    key_id, key = next(iter(settings.FIELD_KEYS.items()))
    nonce = os.urandom(_NONCE_BYTES)
    name = key_id.encode()
    return bytes([len(name)]) + name + nonce + AESGCM(key).encrypt(nonce, plain, _binding(table, row))


def unseal(sealed: bytes | memoryview, *, table: str, row: UUID) -> bytes:
    """Decrypt what :func:`seal` made for the same table and row. Raises SealError."""
    blob = bytes(sealed)
    name = key_id(blob)
    rest = blob[1 + len(name) :]
    key = settings.FIELD_KEYS.get(name)
    if key is None:
        raise SealError(f"{table} {row} is sealed under key {name!r}, which FIELD_KEYS doesn't hold.")
    try:
        return AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _binding(table, row))
    except (InvalidTag, ValueError) as error:
        raise SealError(f"{table} {row}: the sealed value was altered or belongs to another row.") from error


def key_id(sealed: bytes | memoryview) -> str:
    """The id of the key that opens ``sealed``; "" for what was never sealed."""
    length, *rest = bytes(sealed) or b"\0"
    return bytes(rest[:length]).decode("ascii", errors="replace")


def fingerprint(secret: str) -> str:
    """A keyed digest (64 hex digits) under which a secret is looked up without being stored."""
    return hmac.new(settings.TOKEN_KEY, secret.encode(), hashlib.sha256).hexdigest()


def purpose_key(purpose: str) -> bytes:
    """A key of its own for one purpose, derived from TOKEN_KEY: what is signed for one is nothing for another."""
    return _derive(settings.TOKEN_KEY, purpose)


@cache
def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(key)


def _binding(table: str, row: UUID) -> bytes:
    return table.encode() + b"\0" + row.bytes
