"""API tokens: 160 random bits, the same at every login until they are revoked."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from zkbio import crypto
from zkbio.accounts.models import ApiToken, Token, User

T = TypeVar("T", bound=Token)

_BYTES: Final = 20
_SHAPE: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
_TOUCH_EVERY: Final = timedelta(minutes=1)
_TRIES: Final = 3

# Written out, because every request asks it: the ORM takes longer to compose it than PostgreSQL to answer it.
_USER_FIELDS: Final = [field.attname for field in User._meta.concrete_fields]
_LIVE: Final = f"""
SELECT token.id, token.last_used_at, {", ".join(f"owner.{field.column}" for field in User._meta.concrete_fields)}
FROM accounts_apitoken token JOIN accounts_user owner ON owner.id = token.user_id
WHERE token.digest = %s AND token.revoked_at IS NULL AND owner.is_active
"""  # noqa: S608 - made of the model's columns


class TokenBusyError(Exception):
    """A token was revoked as often as it was issued; nobody does that by hand."""


def issue_token(user: User) -> str:
    """The user's live token, made when there is none. Concurrent first logins get one and the same."""
    return read_token(live_token(ApiToken, user=user))


@transaction.atomic
def issue_token_after_check(user: User) -> str | None:
    """The token of a user whose password was just checked, None if it is another one by now.

    Checking takes long enough for a new password to come in between, which must not leave a token of the old one.
    """
    unchanged = User.objects.select_for_update(no_key=True).filter(pk=user.pk, password=user.password, is_active=True)
    return issue_token(user) if unchanged.exists() else None


def verify_token(token: str) -> User | None:
    """The active user behind a live token, by one indexed look-up."""
    if not is_token(token):
        return None
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, [crypto.fingerprint(token)])
        found = cursor.fetchone()
    if found is None:
        return None
    token_id, last_used_at, *columns = found
    note_use(ApiToken, token_id, last_used_at)
    return User.from_db(connection.alias, _USER_FIELDS, columns)


def revoke_tokens(user: User) -> int:
    """End the user's tokens, as a new password does too; the next login issues another. Gives how many."""
    return user.end_tokens()


def is_token(text: str) -> bool:
    return _SHAPE.fullmatch(text) is not None


def live_token(model: type[T], **owner: Any) -> T:
    """The owner's live token of that kind, made when there is none."""
    for _ in range(_TRIES):
        live = model._default_manager.filter(revoked_at=None, **owner).first()
        if live is not None:
            return live
        _insert_token(model, owner)
    raise TokenBusyError(f"{owner}: no live token after {_TRIES} tries.")


def read_token(token: Token) -> str:
    """What is handed out. Raises zkbio.crypto.SealError."""
    return crypto.unseal(token.sealed, table=_seal(type(token)), row=token.uuid).decode()


def note_use(model: type[Token], token_id: int, last_used_at: datetime | None) -> None:
    """Remember when a token was used, to the minute."""
    stale = timezone.now() - _TOUCH_EVERY
    if last_used_at is None or last_used_at < stale:
        unnoted = model._default_manager.filter(Q(last_used_at=None) | Q(last_used_at__lt=stale), pk=token_id)
        unnoted.update(last_used_at=timezone.now())


def _insert_token(model: type[Token], owner: dict[str, Any]) -> None:
    text, row = secrets.token_hex(_BYTES), uuid4()
    made = model(
        uuid=row,
        digest=crypto.fingerprint(text),
        sealed=crypto.seal(text.encode(), table=_seal(model), row=row),
        prefix=text[:8],
        **owner,
    )
    # Whoever comes second waits for the first one's commit and then adds nothing.
    model._default_manager.bulk_create([made], ignore_conflicts=True)


def _seal(model: type[Token]) -> str:
    return f"{model._meta.db_table}.sealed"
