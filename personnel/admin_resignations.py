"""Who left, in the administration."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from personnel.domain.resignations import change_resignation, reinstate, resign
from personnel.models import Resignation
from personnel.models.scope import scope_of
from zkbio.admin import DeclaredFiltersAdmin


@admin.register(Resignation)
class ResignationAdmin(DeclaredFiltersAdmin[Resignation]):
    """Deleting a resignation reinstates the person."""

    list_display = ("employee", "resign_date", "resign_type", "disableatt", "reason")
    list_select_related = ("employee",)
    list_filter = ("resign_type", "resign_date")
    list_per_page = 100
    search_fields = ("employee__emp_code", "employee__first_name", "employee__last_name")
    fields = ("employee", "resign_date", "resign_type", "disableatt", "reason")
    autocomplete_fields = ("employee",)

    def get_readonly_fields(self, request: HttpRequest, obj: Resignation | None = None) -> Any:
        return ("employee",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Resignation, form: Any, change: bool) -> None:
        typed = dict(form.cleaned_data)
        if change:
            change_resignation(obj.pk, typed, scope=scope_of(request.user))
            return
        [made] = resign([typed.pop("employee").pk], **typed, scope=scope_of(request.user))
        obj.pk = made.pk

    def delete_model(self, request: HttpRequest, obj: Resignation) -> None:
        reinstate([obj.employee_id], scope=scope_of(request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Resignation]) -> None:
        reinstate(list(queryset.values_list("employee", flat=True)), scope=scope_of(request.user))
