from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.negotiation import DefaultContentNegotiation

from zkbio.api import schema  # noqa: F401 - registers itself

schema_view = SpectacularAPIView.as_view(content_negotiation_class=DefaultContentNegotiation)
# OPTIONS would be answered through the page's template.
docs_view = SpectacularSwaggerView.as_view(
    url_name="api-schema", content_negotiation_class=DefaultContentNegotiation, http_method_names=["get", "head"]
)

urlpatterns = [
    path("schema/", schema_view, name="api-schema"),
    path("docs/", docs_view, name="api-docs"),
]
