"""Every URL of the platform."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("", include("zkbio.accounts.api.urls")),
    path("iclock/api/", include("iclock.api.urls")),
    path("api/", include("zkbio.api.urls")),
]
handler404 = "zkbio.api.errors.unknown_path"
handler500 = "zkbio.api.errors.server_error"
