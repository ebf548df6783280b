"""What terminals that dial are told to do, and what they tell besides punches and people."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from iclock.domain import push_orders, push_photos
from iclock.models import PushCommand, TerminalEvent, TerminalPhoto
from zkbio.accounts.domain import audit
from zkbio.admin import GrowingAdmin, second
from zkbio.crypto import SealError

SEE_PHOTO: Final = "iclock.see_photo"


@admin.register(PushCommand)
class PushCommandAdmin(GrowingAdmin[PushCommand]):
    list_display = ("id", "terminal", "what", "emp_code", "state", "said", "asked_by", "asked", "sent_last", "finished")
    list_display_links = ("id",)
    list_select_related = ("terminal", "created_by")
    list_filter = ("state", "kind")
    ordering = ("-id",)
    search_fields = ("terminal__sn__exact", "terminal__alias", "emp_code__exact")
    search_help_text = "A terminal's serial number or name, or a user id."
    actions = ("cancel",)
    fields = (
        *("terminal", "what", "emp_code", "finger", "state", "said", "returned", "times_sent"),
        *("asked_by", "asked", "sent_last", "finished"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PushCommand]:
        return super().get_queryset(request).defer("sent", "arguments")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("iclock.change_terminal")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[PushCommand]) -> None:
        cancelled = push_orders.cancel(PushCommand.objects.filter(pk__in=[row.pk for row in queryset]))
        self.message_user(request, f"Cancelled: {cancelled}. What was sent already can't be.", messages.SUCCESS)

    @admin.display(description="what", ordering="kind")
    def what(self, command: PushCommand) -> str:
        return command.kind.replace("_", " ").capitalize()

    @admin.display(description="result")
    def said(self, command: PushCommand) -> str:
        return command.result or "-"

    @admin.display(description="asked by")
    def asked_by(self, command: PushCommand) -> str:
        return str(command.created_by or "-")

    @admin.display(description="asked", ordering="created_at")
    def asked(self, command: PushCommand) -> str:
        return second(command.created_at)

    @admin.display(description="sent", ordering="sent_at")
    def sent_last(self, command: PushCommand) -> str:
        return second(command.sent_at)

    @admin.display(description="finished", ordering="finished_at")
    def finished(self, command: PushCommand) -> str:
        return second(command.finished_at)


@admin.register(TerminalEvent)
class TerminalEventAdmin(GrowingAdmin[TerminalEvent]):
    list_display = ("id", "terminal", "source", "code", "person", "happened", "told", "received")
    list_display_links = ("id",)
    list_select_related = ("terminal",)
    list_filter = ("source",)
    ordering = ("-id",)
    search_fields = ("terminal__sn__exact", "terminal__alias", "person__exact")
    fields = ("terminal", "source", "code", "person", "happened", "told", "received")

    @admin.display(description="by its clock")
    def happened(self, event: TerminalEvent) -> str:
        return second(event.moment)

    @admin.display(description="values")
    def told(self, event: TerminalEvent) -> str:
        return ", ".join(event.values) or "-"

    @admin.display(description="received", ordering="received_at")
    def received(self, event: TerminalEvent) -> str:
        return second(event.received_at)


@admin.register(TerminalPhoto)
class TerminalPhotoAdmin(GrowingAdmin[TerminalPhoto]):
    """The pictures themselves are opened one at a time, by who may see them, and that is written down."""

    list_display = ("id", "terminal", "kind", "emp_code", "by_its_clock", "received")
    list_display_links = ("id",)
    list_select_related = ("terminal",)
    list_filter = ("kind",)
    ordering = ("-id",)
    search_fields = ("terminal__sn__exact", "terminal__alias", "emp_code__exact")
    fields = ("terminal", "kind", "emp_code", "by_its_clock", "received", "picture")
    readonly_fields = ("picture",)

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view(require_safe(self.show))
        return [path("<int:pk>/photo.jpg", view, name="iclock_terminalphoto_show"), *super().get_urls()]

    def show(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The JPEG, kept by no browser. What lies outside of a user's limits doesn't exist for them."""
        if not (self.has_view_permission(request) and request.user.has_perm(SEE_PHOTO)):
            raise PermissionDenied
        photo = self.get_queryset(request).select_related("terminal").filter(pk=pk).first()
        if photo is None:
            raise Http404
        try:
            picture = push_photos.open_photo(photo)
        except (OSError, SealError) as error:
            raise Http404 from error
        audit.record(
            actor=request,
            action="iclock.see_photo",
            subject=f"photo {photo.pk} of {photo.terminal}",
            detail={"id": photo.pk, "emp_code": photo.emp_code, "terminal_sn": photo.terminal.sn},
        )
        return HttpResponse(picture, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    def get_fields(self, request: HttpRequest, obj: TerminalPhoto | None = None) -> Any:
        return self.fields if request.user.has_perm(SEE_PHOTO) else self.fields[:-1]

    @admin.display(description="photo")
    def picture(self, photo: TerminalPhoto) -> SafeString:
        """A link: who only looks at the page hasn't seen it yet."""
        address = reverse("admin:iclock_terminalphoto_show", args=[photo.pk])
        return format_html('<a href="{}" target="_blank" rel="noopener">Show it; that is written down</a>', address)

    @admin.display(description="by its clock")
    def by_its_clock(self, photo: TerminalPhoto) -> str:
        return second(photo.taken)

    @admin.display(description="received", ordering="received_at")
    def received(self, photo: TerminalPhoto) -> str:
        return second(photo.received_at)
