"""Who may log in: administrators, HR officers and the programs that call the API."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models.functions import Lower

from zkbio.clock import validate_zone


class PersonalUserManager(UserManager["User"]):
    """User names match in any letter case: the vendor's clients log in as "Admin"."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username__iexact=username)


class User(AbstractUser):
    """A login. ``revocations`` is part of every signed token: raising it ends them all."""

    language = models.CharField(max_length=8, choices=settings.LANGUAGES, default="en")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_zone])
    revocations = models.PositiveIntegerField(default=0, editable=False)

    objects: ClassVar[PersonalUserManager] = PersonalUserManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Lower("username"),
                name="accounts_user_username_any_case",
                violation_error_message="A user with that username already exists.",
            )
        ]
