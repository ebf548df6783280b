"""Signed tokens of users. They carry the user's revocation counter: raising it ends them all at the next request."""

from __future__ import annotations

from typing import Final

from zkbio.accounts.domain.signing import Claims, Signer, is_whole
from zkbio.accounts.models import User

_SIGNER: Final = Signer("user")
_MOST_REVOCATIONS: Final = 2**31 - 1


def issue_signed_token(user: User) -> str:
    return _SIGNER.sign({"user_id": user.pk, "username": user.username, "revocations": user.revocations})


def verify_signed_token(token: str) -> User | None:
    """The active user behind a live token. Raises TokenExpiredError."""
    claims = _SIGNER.read(token)
    return None if claims is None else _owner(claims)


def refresh_signed_token(token: str) -> str | None:
    """Another token for a live one, None where it isn't live. Raises TokenExpiredError and LoginTooOldError."""
    claims = _SIGNER.read(token)
    return None if claims is None or _owner(claims) is None else _SIGNER.renew(claims)


def _owner(claims: Claims) -> User | None:
    user, revocations = claims.get("user_id"), claims.get("revocations")
    if not (is_whole(user) and is_whole(revocations, most=_MOST_REVOCATIONS)):
        return None
    return User.objects.filter(pk=user, revocations=revocations, is_active=True).first()
