"""How Django itself (the admin's login page, permission checks) sees accounts."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Permission
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest

from zkbio.accounts.domain.logins import log_in
from zkbio.accounts.domain.throttle import LoginThrottledError
from zkbio.accounts.models import User
from zkbio.api.origin import client_address


class AccountsBackend(ModelBackend):
    """Logins are throttled everywhere, and permissions of a user and their groups come in one query."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        try:
            return log_in(username, password, address=client_address(request) if request else "")
        except LoginThrottledError as error:
            raise PermissionDenied from error

    def get_all_permissions(self, user_obj: User | AnonymousUser, obj: Any = None) -> set[str]:
        if not isinstance(user_obj, User) or not user_obj.is_active or obj is not None:
            return set()
        if user_obj.is_superuser:
            return super().get_all_permissions(user_obj)
        held: set[str] | None = getattr(user_obj, "_held_permissions", None)
        if held is None:
            held = permissions_of(user_obj)
            user_obj._held_permissions = held  # type: ignore[attr-defined]
        return held


def permissions_of(user: User) -> set[str]:
    """What was given to a user and their groups, whether or not they are active; superusers need none of it."""
    granted = Permission.objects.filter(Q(user=user) | Q(group__user=user)).order_by()
    return {f"{app}.{codename}" for app, codename in granted.values_list("content_type__app_label", "codename")}
