"""How often a login failed lately. Keys are HMACs: the table names nobody and no address."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class LoginFailureQuerySet(models.QuerySet["LoginFailure"]):
    def spent(self) -> LoginFailureQuerySet:
        """Rows that say nothing any more."""
        return self.filter(Q(trusted_until=None) | Q(trusted_until__lt=Now()), expires_at__lt=Now())


class LoginFailure(models.Model):
    """One counter of one scope (a user from an address, an address, a user), in a window that starts at its first."""

    key = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(db_index=True)
    trusted_until = models.DateTimeField(null=True, help_text="A good login came this way lately.")

    objects = LoginFailureQuerySet.as_manager()

    class Meta:
        ordering = ["expires_at"]

    def __str__(self) -> str:
        return f"{self.key[:8]}…: {self.failures}"
