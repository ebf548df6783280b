"""Who may log in with which powers, and the tokens of programs. A token is never shown here: who needs it logs in."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from zkbio.accounts.domain import tokens
from zkbio.accounts.domain.audit import record
from zkbio.accounts.domain.backend import permissions_of
from zkbio.accounts.models import ApiToken, AuditEntry, User
from zkbio.admin import DeclaredFiltersAdmin, GrowingAdmin, ReadOnlyAdmin, TypedColumnsAdmin, second

_POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(User)
class PersonAdmin(TypedColumnsAdmin[User], UserAdmin[User]):
    """Only a superuser hands out powers, and nobody touches who may do more: "change user" would mean "become root"."""

    list_display = (
        "username",
        "first_name",
        "last_name",
        "email",
        "is_active",
        "is_staff",
        "is_superuser",
        "last_login",
    )
    list_per_page = 100
    fieldsets = (*(UserAdmin.fieldsets or ()), ("Preferences", {"fields": ("language", "time_zone")}))
    readonly_fields = ("last_login", "date_joined")
    actions = ("end_tokens",)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if _is_superuser(request) else (*fields, *_POWERS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Tokens go with their user, though nobody deletes one by itself."""
        listed, counts, missing, protected = super().get_deleted_objects(objs, request)
        return listed, counts, missing - {ApiToken._meta.verbose_name}, protected

    def has_end_tokens_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_apitoken")

    @admin.action(description="End all tokens of selected users, signed ones too", permissions=["end_tokens"])
    def end_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = [user for user in queryset if _may_touch(request, user)]
        for user in users:
            _end_tokens(request, user)
        self.message_user(request, f"Users whose tokens ended: {len(users)}.", messages.SUCCESS)


class PowersAdmin(DeclaredFiltersAdmin[Group], GroupAdmin):  # type: ignore[misc]  # stubs disagree
    """Whoever changes a group changes what its members may do, themselves perhaps included: superusers only."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return _is_superuser(request)


admin.site.unregister(Group)
admin.site.register(Group, PowersAdmin)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin[ApiToken]):
    list_display = ("__str__", "user", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_per_page = 100
    search_fields = ("user__username", "prefix__startswith")
    fields = ("prefix", "user", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_apitoken")

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        users = [token.user for token in queryset.filter(revoked_at=None).select_related("user")]
        ended = sum(_end_tokens(request, user) for user in users)
        self.message_user(request, f"Revoked: {ended}. Programs that used them have to log in again.", messages.SUCCESS)


@admin.register(AuditEntry)
class AuditEntryAdmin(GrowingAdmin[AuditEntry]):
    list_display = ("moment", "actor", "action", "subject", "address")
    list_display_links = ("moment", "action")
    list_filter = ("action", "at")
    search_fields = ("actor", "subject", "address")
    fields = ("at", "actor", "user", "address", "action", "subject", "detail")

    @admin.display(description="at", ordering="id")
    def moment(self, entry: AuditEntry) -> str:
        return second(entry.at)


@transaction.atomic
def _end_tokens(request: HttpRequest, user: User) -> int:
    record(actor=request, action="end tokens", subject=f"user {user}")
    return tokens.revoke_tokens(user)


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """A disabled user counts with all of their permissions: who may touch them may enable them."""
    if user is None or _is_superuser(request):
        return True
    return not user.is_superuser and permissions_of(user) <= request.user.get_all_permissions()
