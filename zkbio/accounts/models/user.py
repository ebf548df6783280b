"""Who may log in: administrators, HR officers and the programs that call the API."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models, transaction
from django.db.models import F
from django.db.models.functions import Upper
from django.utils import timezone

from zkbio.clock import validate_zone


class PersonalUserManager(UserManager["User"]):
    """User names match in any letter case: the vendor's clients log in as "Admin".

    ``iexact`` compares PostgreSQL's UPPER() of both sides; the constraint and the throttle count by the same UPPER().
    """

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username__iexact=username)


class User(AbstractUser):
    """A login. ``revocations`` is part of every signed token: raising it ends them all."""

    language = models.CharField(max_length=8, choices=settings.LANGUAGES, default="en")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_zone])
    revocations = models.PositiveIntegerField(default=0, editable=False)

    objects: ClassVar[PersonalUserManager] = PersonalUserManager()

    _password: str | None  # Django's, which its stubs leave out
    _password_withdrawn = False

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Upper("username"),
                name="accounts_user_username_any_case",
                violation_error_message="A user with that username already exists.",
            )
        ]

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new password ends the tokens that were handed out for the old one."""
        replaced = self._has_new_password and not self._state.adding
        super().save(*args, **kwargs)
        self._password_withdrawn = False
        if replaced:
            self.end_tokens()

    @transaction.atomic
    def end_tokens(self) -> int:
        """End the live API token, and by the counter every signed one. Gives how many API tokens there were."""
        type(self).objects.filter(pk=self.pk).update(revocations=F("revocations") + 1)
        self.refresh_from_db(fields=["revocations"])
        return self.api_tokens.filter(revoked_at=None).update(revoked_at=timezone.now())

    def set_unusable_password(self) -> None:
        super().set_unusable_password()
        self._password_withdrawn = True

    @property
    def _has_new_password(self) -> bool:
        # Django keeps what was set until it is saved; it forgets it first where a login only renews an old hash.
        return self._password is not None or self._password_withdrawn
