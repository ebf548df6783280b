"""Names and passwords. Neither the answer nor the time it takes tells whether a name exists."""

from __future__ import annotations

import logging
from typing import Final

from django.contrib.auth.backends import ModelBackend
from django.core.cache import cache

from zkbio import crypto
from zkbio.accounts.domain.throttle import (
    LoginThrottledError,
    count_attempt,
    forgive_attempt,
    purge_spent_counters,
    withdraw_attempt,
)
from zkbio.accounts.models import User
from zkbio.api.errors import Unavailable

_REMEMBER_SECONDS: Final = 60

log = logging.getLogger(__name__)


def log_in(username: str, password: str, *, address: str) -> User | None:
    """The active user of that name (in any letter case) and password. Raises LoginThrottledError and Unavailable."""
    username = User.normalize_username(username)
    if not _storable(username):
        return None
    try:
        attempt = count_attempt(username, address)
    except LoginThrottledError:
        log.warning("Logins from %s are held back: too many failed.", address)
        raise
    # ModelBackend hashes for unknown and disabled users too.
    try:
        user = ModelBackend().authenticate(None, username=username, password=password)
    except Unavailable:
        withdraw_attempt(attempt)
        raise
    if not isinstance(user, User):
        purge_spent_counters()
        return None
    forgive_attempt(attempt)
    return user


def verify_basic(username: str, password: str, *, address: str) -> User | None:
    """As :func:`log_in`, for credentials that come with every request: a good pair isn't hashed again for a minute.

    What is remembered is an HMAC over the pair and the stored hash, and the user is read each time: a new password or
    a disabled user counts at once. Raises LoginThrottledError and Unavailable.
    """
    username = User.normalize_username(username)
    if not _storable(username):
        return None
    known = User.objects.filter(username__iexact=username, is_active=True).first()
    if known is not None and cache.get(_memory(known, password)):
        return known
    user = log_in(username, password, address=address)
    if user is not None:
        cache.set(_memory(user, password), True, _REMEMBER_SECONDS)
    return user


def _memory(user: User, password: str) -> str:
    return "basic:" + crypto.fingerprint(f"basic\0{user.pk}\0{user.password}\0{password}")


def _storable(username: str) -> bool:
    return bool(username) and "\0" not in username and len(username) <= 254
