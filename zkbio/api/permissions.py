"""Who may do what: Django's model permissions, reading included."""

from __future__ import annotations

from typing import Any, Final

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

_VERBS: Final = {
    "list": "view",
    "retrieve": "view",
    "metadata": "view",
    "create": "add",
    "update": "change",
    "partial_update": "change",
    "post_update": "change",
    "destroy": "delete",
}


class ModelPermissions(BasePermission):
    """A user without permissions reads nothing. Extra actions name what they ask for (``required_permissions``)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user: Any = request.user
        if not (user and user.is_authenticated):
            return False
        if view.action is None:
            raise MethodNotAllowed(str(request.method))
        return bool(user.has_perms(_required(view)))


def _required(view: Any) -> tuple[str, ...]:
    if named := getattr(view, "required_permissions", ()):
        return tuple(named)
    model = view.queryset.model._meta
    return (f"{model.app_label}.{_VERBS[view.action]}_{model.model_name}",)
