"""What a terminal that dials can be asked to show besides its serial number: a path of its own, and a comm key."""

from __future__ import annotations

import secrets
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction

from iclock.domain.marks import hold_terminals
from iclock.models import PushState, Terminal
from zkbio.accounts.domain import audit
from zkbio.crypto import fingerprint

MOST_KEY: Final = 64
# It is typed on a unit's keypad: small letters and digits that nobody takes for each other.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_LENGTH: Final = 16


def give_path(terminal: Terminal, *, actor: object) -> str:
    """A new path, by which alone the terminal is let in from now on. It is told here and never again."""
    secret = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    _write(terminal, "iclock.give_path", actor, path_digest=fingerprint(secret))
    return secret


def take_path_back(terminal: Terminal, *, actor: object) -> bool:
    """The terminal is let in by the path of everybody again; False when it had none of its own."""
    if not PushState.objects.filter(terminal=terminal).exclude(path_digest="").exists():
        return False
    _write(terminal, "iclock.take_path_back", actor, path_digest="")
    return True


def check_key(key: str) -> None:
    """Raises ValidationError for what no unit can show."""
    if len(key) > MOST_KEY or not (key.isascii() and key.isprintable()):
        raise ValidationError(f"A comm key has at most {MOST_KEY} letters, digits and signs of ASCII.", code="comm_key")


def set_key(terminal: Terminal, key: str, *, actor: object) -> None:
    """What it has to show when it shakes hands; "" for what all have to show. Raises ValidationError."""
    check_key(key)
    digest = fingerprint(key) if key else ""
    _write(terminal, "iclock.set_push_key", actor, key_digest=digest)


def _write(terminal: Terminal, action: str, actor: object, **columns: Any) -> None:
    with transaction.atomic():
        if not hold_terminals([terminal.pk]):
            raise Terminal.DoesNotExist
        PushState.objects.update_or_create(terminal_id=terminal.pk, defaults=columns)
        audit.record(actor=actor, action=action, subject=str(terminal), detail={"sn": terminal.sn})
