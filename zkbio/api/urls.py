from django.urls import path

from zkbio.api.docs import docs_view
from zkbio.api.schema import schema_view

urlpatterns = [
    path("schema/", schema_view, name="api-schema"),
    path("docs/", docs_view, name="api-docs"),
    # The addresses that the vendor's manual prints; their anchors are <resource>-<action>.
    path("personnel_docs/", docs_view, {"part": "personnel"}, name="api-personnel-docs"),
    path("iclock_docs/", docs_view, {"part": "iclock"}, name="api-iclock-docs"),
]
