"""Tokens of employees, listed and revoked. A token is never shown here: who needs it logs in."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from personnel.domain.staff import revoke_staff_tokens
from personnel.models import Employee, StaffToken
from zkbio.accounts.domain.audit import record
from zkbio.admin import ReadOnlyAdmin


@admin.register(StaffToken)
class StaffTokenAdmin(ReadOnlyAdmin[StaffToken]):
    list_display = ("__str__", "employee", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("employee",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_per_page = 100
    search_fields = ("employee__emp_code", "prefix__startswith")
    fields = ("prefix", "employee", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("personnel.change_stafftoken")

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[StaffToken]) -> None:
        live = queryset.filter(revoked_at=None).select_related("employee")
        ended = sum(_end_tokens(request, token.employee) for token in live)
        self.message_user(request, f"Revoked: {ended}. Who used them has to log in again.", messages.SUCCESS)


@transaction.atomic
def _end_tokens(request: HttpRequest, employee: Employee) -> int:
    record(actor=request, action="end tokens", subject=f"employee {employee.emp_code}")
    return revoke_staff_tokens([employee.pk])
