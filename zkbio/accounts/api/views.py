from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from zkbio.accounts.api.answers import throttled
from zkbio.accounts.api.serializers import LoginSerializer, RefreshSerializer, TokenSerializer
from zkbio.accounts.domain.logins import log_in
from zkbio.accounts.domain.signed_tokens import issue_signed_token
from zkbio.accounts.domain.signing import LoginTooOldError
from zkbio.accounts.domain.throttle import LoginThrottledError
from zkbio.accounts.domain.tokens import issue_token_after_check
from zkbio.api.authentication import TokenExpiredError
from zkbio.api.origin import client_address

Refresher = Callable[[str], str | None]


class LoginView(APIView):
    """A name and a password for a token. What kind of name and of token, a subclass says."""

    authentication_classes = ()
    permission_classes = ()
    serializer_class: type[LoginSerializer] = LoginSerializer

    def token_for(self, username: str, password: str, *, address: str) -> str | None:
        """None where the pair is wrong. Raises LoginThrottledError and Unavailable."""
        raise NotImplementedError

    @extend_schema(auth=[], responses=TokenSerializer)
    def post(self, request: Request) -> Response:
        login = self.serializer_class(data=request.data)
        login.is_valid(raise_exception=True)
        try:
            token = self.token_for(**login.validated_data, address=client_address(request))
        except LoginThrottledError as error:
            raise throttled(error) from error
        if token is None:
            raise _refusal(_("Unable to log in with provided credentials."))
        return Response({"token": token})


@extend_schema_view(post=extend_schema(operation_id="api-token-auth"))
class TokenLoginView(LoginView):
    """A user name and a password for a token, the same one at every login until it is revoked."""

    def token_for(self, username: str, password: str, *, address: str) -> str | None:
        user = log_in(username, password, address=address)
        return None if user is None else issue_token_after_check(user)


@extend_schema_view(post=extend_schema(operation_id="jwt-api-token-auth"))
class SignedTokenLoginView(LoginView):
    """A user name and a password for a signed token (JWT) that lives for a day."""

    def token_for(self, username: str, password: str, *, address: str) -> str | None:
        user = log_in(username, password, address=address)
        return None if user is None else issue_signed_token(user)


class SignedTokenRefreshView(APIView):
    """Another signed token for one that still lives, of a user or of an employee."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(operation_id="jwt-api-token-refresh", auth=[], request=RefreshSerializer, responses=TokenSerializer)
    def post(self, request: Request) -> Response:
        sent = RefreshSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        try:
            renewed = (refresh(sent.validated_data["token"]) for refresh in _refreshers())
            token = next(filter(None, renewed), None)
        except TokenExpiredError as error:
            raise _refusal(_("Token expired.")) from error
        except LoginTooOldError as error:
            raise _refusal(_("This login is too old to be refreshed; log in again.")) from error
        if token is None:
            raise _refusal(_("Invalid token."))
        return Response({"token": token})


@cache
def _refreshers() -> tuple[Refresher, ...]:
    return tuple(import_string(path) for path in settings.TOKEN_REFRESHERS)


def _refusal(sentence: Any) -> ValidationError:
    return ValidationError({"non_field_errors": [sentence]})
