"""Enrolling a finger from here: a form that asks for it, a page that follows it, and the list of all."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import BooleanField, QuerySet, Value
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from iclock.domain.enrolments import FINGERS, SCANS, ask, cancel
from iclock.models import Enrolment
from zkbio.admin import GrowingAdmin, second

# The permission of whoever has a unit enrol somebody over HTTP (`devices`), which this app knows by name only.
PERMISSION: Final = "devices.operate_device"
SEE_PEOPLE: Final = "personnel.view_employee"
_ASKED: Final = ("terminal", "employee", "finger")
_OF_A_HAND: Final = ("thumb", "index finger", "middle finger", "ring finger", "little finger")


def finger_in_words(finger: int) -> str:
    """Named as over HTTP (`devices.api.people`)."""
    hand, which = divmod(finger, len(_OF_A_HAND))
    return f"{finger}: {('right', 'left')[hand]} {_OF_A_HAND[which]}"


class EnrolmentForm(forms.ModelForm[Enrolment]):
    finger = forms.TypedChoiceField(
        choices=[("", "---------"), *((finger, finger_in_words(finger)) for finger in FINGERS)], coerce=int
    )


@admin.register(Enrolment)
class EnrolmentAdmin(GrowingAdmin[Enrolment]):
    """Adding one asks for it; then its page follows it, and loads itself anew until it is over."""

    form = EnrolmentForm
    list_display = (
        "id",
        "terminal",
        "whom",
        "which",
        "state",
        "good_scans",
        "sentence",
        "asked_by",
        "asked",
        "ended",
    )
    list_display_links = ("id",)
    list_select_related = ("terminal", "employee", "created_by")
    list_filter = ("state",)
    ordering = ("-id",)
    search_fields = ("terminal__sn__exact", "employee__emp_code__exact")
    autocomplete_fields = ("terminal", "employee")
    actions = ("cancel_chosen",)
    followed = (
        "terminal",
        "whom",
        "which",
        "state",
        "good_scans",
        "sentence",
        "asked_by",
        "asked",
        "begun",
        "ended",
    )

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view(require_POST(self.cancel_one))
        return [path("<int:pk>/cancel/", view, name="iclock_enrolment_cancel"), *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whom to enrol is chosen by name."""
        return request.user.has_perms([PERMISSION, SEE_PEOPLE])

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Enrolment]:
        """With ``names_shown``: what of a person is shown to this user."""
        shown = Value(request.user.has_perm(SEE_PEOPLE), output_field=BooleanField())
        return super().get_queryset(request).annotate(names_shown=shown)

    def has_view_permission(self, request: HttpRequest, obj: Enrolment | None = None) -> bool:
        """Who asks for them sees what comes of them."""
        return request.user.has_perm(PERMISSION) or super().has_view_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Enrolment | None = None) -> Any:
        return self.followed if obj else _ASKED

    def get_readonly_fields(self, request: HttpRequest, obj: Enrolment | None = None) -> Any:
        return self.followed if obj else ()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        """What keeps somebody from being enrolled is said above the form, filled in as it was."""
        context = {"title": "Enrol a finger", **(extra_context or {}), "show_save_and_add_another": False}
        try:
            return super().add_view(request, form_url, {**context, "show_save_and_continue": False})
        except ValidationError as error:
            for sentence in error.messages:
                self.message_user(request, sentence, messages.ERROR)
            typed = {name: request.POST[name] for name in _ASKED if name in request.POST}
            return HttpResponseRedirect(f"{reverse('admin:iclock_enrolment_add')}?{urlencode(typed)}")

    def save_model(self, request: HttpRequest, obj: Enrolment, form: Any, change: bool) -> None:
        asked = ask(obj.terminal, obj.employee, obj.finger, user=request.user, actor=request)
        obj.pk, obj.uuid = asked.pk, asked.uuid

    def response_add(self, request: HttpRequest, obj: Enrolment, post_url_continue: str | None = None) -> HttpResponse:
        return HttpResponseRedirect(_page_of(obj.pk))

    def cancel_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        enrolment = self.get_queryset(request).filter(pk=pk).first()
        if enrolment is None:
            raise Http404
        if not cancel(enrolment, actor=request):
            self.message_user(request, "It was over already.", messages.WARNING)
        return HttpResponseRedirect(_page_of(pk))

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel_chosen(self, request: HttpRequest, queryset: QuerySet[Enrolment]) -> None:
        chosen = queryset.open().select_related("terminal", "employee")  # type: ignore[attr-defined]
        cancelled = sum(cancel(enrolment, actor=request) for enrolment in chosen)
        self.message_user(request, f"Cancelled: {cancelled}.", messages.SUCCESS)

    @admin.display(description="employee", ordering="employee")
    def whom(self, enrolment: Enrolment) -> str:
        shown: bool = enrolment.names_shown  # type: ignore[attr-defined]
        return str(enrolment.employee) if shown else enrolment.employee.emp_code

    @admin.display(description="finger", ordering="finger")
    def which(self, enrolment: Enrolment) -> str:
        return finger_in_words(enrolment.finger)

    @admin.display(description="good scans")
    def good_scans(self, enrolment: Enrolment) -> str:
        return f"{enrolment.scans} of {SCANS}"

    @admin.display(description="asked by")
    def asked_by(self, enrolment: Enrolment) -> str:
        return str(enrolment.created_by or "-")

    @admin.display(description="asked", ordering="created_at")
    def asked(self, enrolment: Enrolment) -> str:
        return second(enrolment.created_at)

    @admin.display(description="begun", ordering="started_at")
    def begun(self, enrolment: Enrolment) -> str:
        return second(enrolment.started_at)

    @admin.display(description="over", ordering="finished_at")
    def ended(self, enrolment: Enrolment) -> str:
        return second(enrolment.finished_at)


def _page_of(pk: int) -> str:
    return reverse("admin:iclock_enrolment_change", args=[pk])
