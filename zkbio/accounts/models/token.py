"""Tokens of the API. At rest there is a keyed digest to look them up and a ciphertext to hand them out again."""

from __future__ import annotations

from uuid import uuid4

from django.conf import settings
from django.db import models


class ApiToken(models.Model):
    """One token of one user; the same one is handed out at every login until it is revoked."""

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    sealed = models.BinaryField(editable=False)
    prefix = models.CharField(max_length=8, editable=False, help_text="The first digits, to tell tokens apart.")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(revoked_at=None), name="accounts_apitoken_one_live_per_user"
            )
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"
