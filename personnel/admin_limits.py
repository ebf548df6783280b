"""Which departments and areas a user sees, on the user's own page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from personnel.models import AreaLimit, DepartmentLimit
from zkbio.accounts.admin import PersonAdmin


class LimitInline(admin.TabularInline[Any, Any]):
    """Superusers only: who could change limits could remove their own. A new user is saved without limits first."""

    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and bool(getattr(request.user, "is_superuser", False))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)


class DepartmentLimitInline(LimitInline):
    model = DepartmentLimit
    verbose_name_plural = "Sees these departments only (none: all of them)"
    autocomplete_fields = ("department",)


class AreaLimitInline(LimitInline):
    model = AreaLimit
    verbose_name_plural = "Sees these areas only (none: all of them)"
    autocomplete_fields = ("area",)


PersonAdmin.inlines = (*PersonAdmin.inlines, DepartmentLimitInline, AreaLimitInline)
