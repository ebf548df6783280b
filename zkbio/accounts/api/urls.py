from django.urls import re_path

from zkbio.accounts.api.views import TokenLoginView

urlpatterns = [
    re_path(r"^api-token-auth/?$", TokenLoginView.as_view(), name="api-token-auth"),
]
