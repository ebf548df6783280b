from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from zkbio.accounts.api.answers import throttled
from zkbio.accounts.api.serializers import LoginSerializer, TokenSerializer
from zkbio.accounts.domain.logins import log_in
from zkbio.accounts.domain.throttle import LoginThrottledError
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.api.origin import client_address


class TokenLoginView(APIView):
    """A user name and a password for a token, the same one at every login until it is revoked."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(operation_id="api-token-auth", auth=[], request=LoginSerializer, responses=TokenSerializer)
    def post(self, request: Request) -> Response:
        return Response({"token": issue_token(self._user(request))})

    def _user(self, request: Request) -> User:
        login = LoginSerializer(data=request.data)
        login.is_valid(raise_exception=True)
        try:
            user = log_in(**login.validated_data, address=client_address(request))
        except LoginThrottledError as error:
            raise throttled(error) from error
        if user is None:
            raise ValidationError({"non_field_errors": [_("Unable to log in with provided credentials.")]})
        return user
