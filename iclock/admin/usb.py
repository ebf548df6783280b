"""The page “Import USB file” of a terminal."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from iclock.domain.attlog import ENCODINGS, NotAnExportError
from iclock.domain.usb import Imported, foresee_import, import_attlog, serial_in
from iclock.models import Terminal

PERMISSION: Final = "iclock.add_transaction"
_ENCODINGS: Final = [("", "UTF-8 or UTF-16, found out"), *((name, name) for name in ENCODINGS)]


class UsbForm(forms.Form):
    file = forms.FileField(label="File", help_text="1_attlog.dat, SERIAL_attlog.dat, AGL_0001.TXT or alike.")
    encoding = forms.ChoiceField(
        choices=_ENCODINGS, required=False, help_text="Matters only where user ids hold more than digits and a to z."
    )
    dry_run = forms.BooleanField(label="Only say what would come of it", required=False)

    def __init__(self, *args: Any, terminal: Terminal) -> None:
        super().__init__(*args)
        self._terminal = terminal

    def clean_file(self) -> Any:
        """A file that is named after another terminal is that one's."""
        upload = self.cleaned_data["file"]
        serial = serial_in(upload.name)
        if serial and serial != self._terminal.sn:
            raise forms.ValidationError(f"By its name it is the file of the terminal {serial}.")
        return upload


class UsbImportPage(admin.ModelAdmin[Terminal]):
    """Mixed into the terminals' pages. Who may not import doesn't even have their upload read."""

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view(csrf_exempt(self.usb_import))
        return [path("usb-import/<int:pk>/", view, name="iclock_terminal_usb"), *super().get_urls()]

    def usb_import(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        if not (request.user.has_perm(PERMISSION) and self.has_view_permission(request)):
            raise PermissionDenied
        terminal = self.get_queryset(request).select_related("area").filter(pk=pk).first()
        if terminal is None:
            raise Http404
        return self._import(request, terminal)

    @method_decorator(csrf_protect)
    def _import(self, request: HttpRequest, terminal: Terminal) -> HttpResponseBase:
        posted = (request.POST, request.FILES) if request.method == "POST" else ()
        form = UsbForm(*posted, terminal=terminal)
        imported = _imported(request, form, terminal) if form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            "title": f"Import the USB file of {terminal}",
            "opts": self.opts,
            "terminal": terminal,
            "form": form,
            "imported": imported,
            "more": imported.counts.quarantined - len(imported.bad) if imported else 0,
        }
        return TemplateResponse(request, "admin/iclock/terminal/usb_import.html", context)


def _imported(request: HttpRequest, form: UsbForm, terminal: Terminal) -> Imported | None:
    upload, encoding = form.cleaned_data["file"], form.cleaned_data["encoding"]
    try:
        if form.cleaned_data["dry_run"]:
            return foresee_import(terminal, upload.file, encoding=encoding)
        return import_attlog(terminal, upload.file, actor=request, name=upload.name, encoding=encoding)
    except NotAnExportError as error:
        form.add_error("file", f"{error} Nothing was stored.")
    except Error:
        form.add_error("file", "Not all of it could be stored at the moment; please import it again a little later.")
    return None
