"""Biometric templates that are enrolled."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from iclock.models import Biodata
from zkbio.admin import GrowingAdmin, second


@admin.register(Biodata)
class BiodataAdmin(GrowingAdmin[Biodata]):
    """What is enrolled. The template itself isn't shown to anybody here."""

    list_display = ("id", "employee", "bio_type", "bio_no", "major_ver", "sn", "updated")
    list_select_related = ("employee",)
    list_filter = ("bio_type",)
    search_fields = ("employee__emp_code__exact", "sn__exact")
    fields = ("employee", "bio_type", "bio_no", "bio_index", "major_ver", "minor_ver", "duress", "sn", "updated")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Biodata]:
        return super().get_queryset(request).defer("sealed")

    @admin.display(description="updated", ordering="update_time")
    def updated(self, biodata: Biodata) -> str:
        return second(biodata.update_time)
