from django.urls import re_path

from zkbio.accounts.api.views import SignedTokenLoginView, SignedTokenRefreshView, TokenLoginView

urlpatterns = [
    re_path(r"^api-token-auth/?$", TokenLoginView.as_view(), name="api-token-auth"),
    re_path(r"^jwt-api-token-auth/?$", SignedTokenLoginView.as_view(), name="jwt-api-token-auth"),
    re_path(r"^jwt-api-token-refresh/?$", SignedTokenRefreshView.as_view(), name="jwt-api-token-refresh"),
]
