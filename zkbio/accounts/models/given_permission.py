"""What the shipped groups were given once, so that what an administrator takes from them stays taken."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import models


class GivenPermission(models.Model):
    """A permission that a group was given by the platform itself."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="+")
    permission = models.ForeignKey(Permission, on_delete=models.CASCADE, related_name="+")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["group", "permission"], name="accounts_givenpermission_once")]

    def __str__(self) -> str:
        return f"{self.group}: {self.permission}"
