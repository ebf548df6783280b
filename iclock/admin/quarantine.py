"""Records that could not become punches."""

from __future__ import annotations

from typing import Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from iclock.models import QuarantinedRecord
from zkbio.admin import BoundedPaginator, ReadOnlyAdmin, second

SHOWN_BYTES: Final = 256
_PER_PAGE: Final = 100


@admin.register(QuarantinedRecord)
class QuarantinedRecordAdmin(ReadOnlyAdmin[QuarantinedRecord]):
    list_display = ("id", "terminal_sn", "reason", "source", "times", "first_seen", "last_seen")
    list_display_links = ("id", "terminal_sn")
    list_filter = ("source",)
    list_per_page = _PER_PAGE
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    search_fields = ("terminal_sn__exact", "reason")
    fields = (
        "terminal_sn",
        "reason",
        "source",
        "times",
        "first_seen",
        "last_seen",
        "bytes_in_hex",
        "digest_in_hex",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuarantinedRecord]:
        return super().get_queryset(request).defer("raw", "digest")

    @admin.display(description="first seen", ordering="first_seen_at")
    def first_seen(self, record: QuarantinedRecord) -> str:
        return second(record.first_seen_at)

    @admin.display(description="last seen", ordering="last_seen_at")
    def last_seen(self, record: QuarantinedRecord) -> str:
        return second(record.last_seen_at)

    @admin.display(description="bytes")
    def bytes_in_hex(self, record: QuarantinedRecord) -> str:
        raw = bytes(record.raw)
        more = f" … ({len(raw)} bytes)" if len(raw) > SHOWN_BYTES else ""
        return raw[:SHOWN_BYTES].hex(" ") + more

    @admin.display(description="sha256")
    def digest_in_hex(self, record: QuarantinedRecord) -> str:
        return bytes(record.digest).hex()
