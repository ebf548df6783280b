"""The two groups that come with the platform. Whoever runs it may change what they hold, and may add others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from zkbio.accounts.models import GivenPermission

READ: Final = "API read"
WRITE: Final = "API write"
_VERBS: Final = ("add", "change", "delete")


def create_groups_after_migrate(*, using: str = "default", **_signal: Any) -> None:
    """Both exist from the first start, and again after a flush."""
    for name in (READ, WRITE):
        Group.objects.using(using).get_or_create(name=name)


def share(
    app_label: str,
    *,
    read: Iterable[str] = (),
    write: Iterable[str] = (),
    actions: Iterable[str] = (),
    using: str = "default",
) -> None:
    """Let both groups view the models of ``read``, and "API write" change those of ``write`` and hold ``actions``.

    Called by each app after a migration, with the names of its models and the codenames of its own permissions. A group
    is given each permission once: what an administrator takes from it isn't given again. A deleted group comes back.
    """
    viewed = {f"view_{model.lower()}" for model in read}
    written = {f"{verb}_{model.lower()}" for model in write for verb in _VERBS}
    _give(READ, app_label, viewed, using=using)
    _give(WRITE, app_label, {*viewed, *written, *actions}, using=using)


def _give(name: str, app_label: str, codenames: set[str], *, using: str) -> None:
    with transaction.atomic(using=using):
        group, _ = Group.objects.using(using).get_or_create(name=name)
        given = GivenPermission.objects.using(using)
        wanted = Permission.objects.using(using).filter(content_type__app_label=app_label, codename__in=codenames)
        new = list(wanted.exclude(pk__in=given.filter(group=group).values("permission")))
        given.bulk_create([GivenPermission(group=group, permission=each) for each in new], ignore_conflicts=True)
        group.permissions.add(*new)
