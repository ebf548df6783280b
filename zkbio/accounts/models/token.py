"""Tokens of the API. At rest there is a keyed digest to look them up and a ciphertext to hand them out again."""

from __future__ import annotations

from uuid import uuid4

from django.conf import settings
from django.db import models


class Token(models.Model):
    """What a token of any owner has; a concrete one adds its owner, and the constraint that one lives at a time."""

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    sealed = models.BinaryField(editable=False)
    prefix = models.CharField(max_length=8, editable=False, help_text="The first digits, to tell tokens apart.")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class ApiToken(Token):
    """One token of one user; the same one is handed out at every login until it is revoked."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")

    class Meta(Token.Meta):
        verbose_name = "API token"
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(revoked_at=None), name="accounts_apitoken_one_live_per_user"
            )
        ]
