"""Names and passwords. Neither the answer nor the time it takes tells whether a name exists."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

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

Owner = TypeVar("Owner")

_REMEMBER_SECONDS: Final = 60

log = logging.getLogger(__name__)


def log_in(username: str, password: str, *, address: str) -> User | None:
    """The active user of that name (in any letter case) and password. Raises LoginThrottledError and Unavailable."""

    def find(name: str) -> User | None:
        # ModelBackend hashes for unknown and disabled users too.
        user = ModelBackend().authenticate(None, username=name, password=password)
        return user if isinstance(user, User) else None

    return guard_login(find, User.normalize_username(username), address=address)


def guard_login(find: Callable[[str], Owner | None], name: str, *, address: str, realm: str = "") -> Owner | None:
    """What ``find`` gives for the name, held back where too many logins failed; each realm counts its own names.

    ``find`` looks at the password, at the same cost whether or not the name exists. Raises LoginThrottledError and
    Unavailable.
    """
    if not _storable(name):
        return None
    try:
        attempt = count_attempt(name, address, realm=realm)
    except LoginThrottledError:
        log.warning("Logins from %s are held back: too many failed.", address)
        raise
    try:
        owner = find(name)
    except Unavailable:
        withdraw_attempt(attempt)
        raise
    if owner is None:
        purge_spent_counters()
        return None
    forgive_attempt(attempt)
    return owner


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
