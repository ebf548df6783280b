"""Guessing passwords is slow: failed logins are counted in PostgreSQL, so in all processes together.

Four counters, asked in this order; a counter that refuses keeps the ones after it from rising:

* a user from one address (5 in 15 minutes): a program with a wrong password blocks itself and nobody else;
* an address (20 a minute, 100 in 15 minutes): one machine that tries many names;
* a user from anywhere (20 a minute): one name tried from many machines. Addresses from which that user came in during
  the last 30 days don't ask this one, so that strangers can't keep somebody out.

A window starts with its first attempt and isn't prolonged by refused ones. An attempt counts as failed until it has
succeeded: many at once don't get past a limit. Names are counted by realm: an employee's code is no user's name.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from django.db import connection

from zkbio import crypto
from zkbio.accounts.models import LoginFailure

_TRUSTED_DAYS: Final = 30
_PURGE_ROWS: Final = 200

_COUNT_ATTEMPT: Final = """
INSERT INTO accounts_loginfailure AS counter (key, failures, expires_at)
VALUES (%(key)s, 1, now() + %(seconds)s * interval '1 second')
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN counter.expires_at <= now() THEN 1 ELSE least(counter.failures, 1000000) + 1 END,
    expires_at = CASE WHEN counter.expires_at <= now() THEN excluded.expires_at ELSE counter.expires_at END
RETURNING failures, ceil(extract(epoch FROM expires_at - now()))::int, coalesce(trusted_until > now(), false)
"""
_FORGIVE: Final = """
UPDATE accounts_loginfailure SET
    failures = CASE WHEN key = %(pair)s THEN 0 ELSE greatest(failures - 1, 0) END,
    trusted_until = CASE WHEN key = %(pair)s THEN now() + %(days)s * interval '1 day' ELSE trusted_until END
WHERE key IN (SELECT key FROM accounts_loginfailure WHERE key = ANY(%(keys)s) ORDER BY key FOR UPDATE)
"""


class LoginThrottledError(Exception):
    """Too many failed logins; ``wait`` is in seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"too many failed logins, wait {wait} s")
        self.wait = wait


class Attempt(NamedTuple):
    """The counters that an attempt raised; the first is the one of the user from this address."""

    keys: tuple[str, ...]


class _Scope(NamedTuple):
    name: str
    limit: int
    seconds: int


_PAIR: Final = _Scope("pair", 5, 900)
_BURST: Final = _Scope("burst", 20, 60)
_ADDRESS: Final = _Scope("address", 100, 900)
_USER: Final = _Scope("user", 20, 60)


def count_attempt(username: str, address: str, *, realm: str = "") -> Attempt:
    """Count an attempt as failed before its password is looked at. Raises LoginThrottledError."""
    user, place = _as_looked_up(username), _place(address)
    if realm:
        user = f"{realm}\0{user}"  # names hold no NUL
    pair, trusted = _hit(_PAIR, f"{user}\0{place}")
    keys = (pair, _hit(_BURST, place)[0], _hit(_ADDRESS, place)[0])
    return Attempt(keys if trusted else (*keys, _hit(_USER, user)[0]))


def forgive_attempt(attempt: Attempt) -> None:
    """The attempt was good after all: take it back and remember the address as the user's."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGIVE, {"pair": attempt.keys[0], "keys": list(attempt.keys), "days": _TRUSTED_DAYS})


def withdraw_attempt(attempt: Attempt) -> None:
    """Nobody looked at the password: the attempt was neither good nor bad."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGIVE, {"pair": None, "keys": list(attempt.keys), "days": _TRUSTED_DAYS})


def purge_spent_counters() -> int:
    """Drop some counters that say nothing any more; every failed login does so, which keeps the table small."""
    spent = LoginFailure.objects.spent().values("pk")[:_PURGE_ROWS]
    return LoginFailure.objects.spent().filter(pk__in=spent).delete()[0]


def _hit(scope: _Scope, subject: str) -> tuple[str, bool]:
    key = crypto.fingerprint(f"login {scope.name}\0{subject}")
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_ATTEMPT, {"key": key, "seconds": scope.seconds})
        failures, wait, trusted = cursor.fetchone()
    if failures > scope.limit:
        raise LoginThrottledError(max(wait, 1))
    return key, trusted


def _as_looked_up(username: str) -> str:
    """All spellings that lead to one user are one, by the UPPER() of the look-up and of the constraint."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT upper(%s)", [username])
        return str(cursor.fetchone()[0])


def _place(address: str) -> str:
    """An IPv6 customer holds a whole /64: it is one place."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
    return str(parsed)
