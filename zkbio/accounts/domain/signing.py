"""Signed tokens (JWT, HS256) of any owner: who holds the key can tell what was signed, and until when it counts.

Each kind of owner has a key of its own, so a token of one kind is no token of another. What a token's claims stand for
is looked up at every use: nothing but its life is decided by the token alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, TypeGuard
from uuid import uuid4

import jwt
from django.conf import settings
from django.utils import timezone

from zkbio import crypto
from zkbio.api.authentication import TokenExpiredError

Claims = dict[str, Any]

_ALGORITHM: Final = "HS256"
_TIMES: Final = ("exp", "iat", "orig_iat")


class LoginTooOldError(Exception):
    """A token can't be refreshed for ever; its owner has to log in again."""


class Signer:
    """Signs the claims of one kind of owner, adding when (``iat``, first ``orig_iat``), until when and a serial."""

    def __init__(self, kind: str) -> None:
        self._purpose = f"jwt {kind}"

    def sign(self, claims: Claims, *, now: datetime | None = None, first_login: int | None = None) -> str:
        """A token that lives for JWT_LIFE_HOURS; ``first_login`` is what a refreshed one keeps of the one before."""
        issued = now or timezone.now()
        second = int(issued.timestamp())
        own = {
            "exp": int((issued + timedelta(hours=settings.JWT_LIFE_HOURS)).timestamp()),
            "iat": second,
            "orig_iat": second if first_login is None else first_login,
            "jti": uuid4().hex,
        }
        return jwt.encode({**claims, **own}, crypto.purpose_key(self._purpose), algorithm=_ALGORITHM)

    def read(self, token: str) -> Claims | None:
        """The claims of a token of this kind that still lives, None for anything else. Raises TokenExpiredError."""
        try:
            claims: Claims = jwt.decode(
                token,
                crypto.purpose_key(self._purpose),
                algorithms=[_ALGORITHM],
                options={"require": ["exp", "iat", "orig_iat", "jti"], "verify_iat": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenExpiredError from error
        except jwt.InvalidTokenError:
            return None
        return claims if all(is_whole(claims[name]) for name in _TIMES) else None

    def renew(self, claims: Claims) -> str:
        """The same claims for another life. Raises LoginTooOldError when the first login is JWT_REFRESH_DAYS ago."""
        first_login: int = claims["orig_iat"]
        if timezone.now().timestamp() >= first_login + timedelta(days=settings.JWT_REFRESH_DAYS).total_seconds():
            raise LoginTooOldError
        return self.sign(claims, first_login=first_login)


def is_whole(claim: object, *, most: int = 2**63 - 1) -> TypeGuard[int]:
    """Whether a claim is a whole number that a column can hold."""
    return isinstance(claim, int) and not isinstance(claim, bool) and 0 <= claim <= most
