"""Every URL that people and programs ask for."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import include, path
from django.views.decorators.http import require_safe

from devices.api.registry import StatusView


@require_safe
def favicon(_request: HttpRequest) -> HttpResponseRedirect:
    """Browsers ask for it beside whatever they show, the API's JSON too."""
    return HttpResponseRedirect(static("zkbio/favicon.svg"))


urlpatterns = [
    path("", StatusView.as_view(), name="status"),
    path("favicon.ico", favicon),
    path("admin/", admin.site.urls),
    path("", include("zkbio.accounts.api.urls")),
    path("", include("personnel.api.staff_urls")),
    path("personnel/api/", include("personnel.api.urls")),
    path("files/", include("personnel.api.file_urls")),
    path("iclock/api/", include("iclock.api.urls")),
    path("", include("devices.api.urls")),
    path("api/", include("zkbio.api.urls")),
]
handler400 = "zkbio.api.errors.bad_request"
handler404 = "zkbio.api.errors.unknown_path"
handler500 = "zkbio.api.errors.server_error"
