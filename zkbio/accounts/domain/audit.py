"""The trail of deeds: deleted punches, templates read, people moved."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest
from rest_framework.request import Request

from zkbio.accounts.models import AuditEntry, User
from zkbio.api.origin import client_address

# What the columns hold: a name that is too long is no reason to lose the entry.
_ACTOR: Final = 200
_ADDRESS: Final = 64
_SUBJECT: Final = 200


def record(
    *, actor: object, action: str, subject: str, detail: dict[str, Any] | None = None, address: str = ""
) -> AuditEntry:
    """Note a deed in the current transaction: it stays if the deed does.

    ``actor`` is an account, an employee's login, the name of a command, or a request, which brings its address along.
    """
    if isinstance(actor, HttpRequest | Request):
        address = address or client_address(actor)
        actor = actor.user
    return AuditEntry.objects.create(
        actor=str(actor)[:_ACTOR],
        user=actor if isinstance(actor, User) else None,
        address=address[:_ADDRESS],
        action=action,
        subject=subject[:_SUBJECT],
        detail=detail or {},
    )
