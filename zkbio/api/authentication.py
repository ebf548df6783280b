"""Credentials on a request. What they stand for is the accounts' business: they say who verifies them.

Order in the settings: the token first, because its class names the scheme of 401 answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from zkbio.api.origin import client_address, is_cross_site

Verifier = Callable[[str], Any]
"""The active user behind a token, None where it isn't a live token of its kind. Raises TokenExpiredError."""


class TokenExpiredError(Exception):
    """A token that was ours, and whose time is over."""


class TokenAuthentication(authentication.TokenAuthentication):
    """``Authorization: Token <40 hex digits>`` or ``JWT <signed token>``, the scheme in any letter case.

    Each scheme has a list of verifiers in the settings, and the first that knows a token decides. Users' come first, so
    that there being other kinds costs their requests nothing.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        words = authentication.get_authorization_header(request).decode("ascii", errors="replace").split()
        verifiers = verifiers_of(words[0].lower()) if words else ()
        if not verifiers:
            return None
        token = words[1] if len(words) == 2 else ""
        try:
            user = next(filter(None, (verify(token) for verify in verifiers)), None)
        except TokenExpiredError as error:
            raise AuthenticationFailed(_("Token expired.")) from error
        if user is None:
            raise AuthenticationFailed(_("Invalid token."))
        return user, token


@cache
def verifiers_of(scheme: str) -> tuple[Verifier, ...]:
    """Who verifies the tokens of a scheme, which is written in small letters."""
    return tuple(import_string(path) for path in settings.TOKEN_VERIFIERS.get(scheme, ()))


class BasicAuthentication(authentication.BasicAuthentication):
    """HTTP Basic. A browser repeats these by itself, so requests caused by other sites are refused."""

    def verify(self, username: str, password: str, *, address: str) -> AbstractBaseUser | None:
        """The active user of that name and password."""
        raise NotImplementedError

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        words = authentication.get_authorization_header(request).split()
        if words and words[0].lower() == b"basic" and is_cross_site(request):
            raise AuthenticationFailed(_("A name and password are not accepted on requests from other sites."))
        return super().authenticate(request)

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> tuple[Any, Any]:
        user = self.verify(userid, password, address=client_address(request) if request else "")
        if user is None:
            raise AuthenticationFailed(_("Invalid username/password."))
        return user, None


class SessionAuthentication(authentication.SessionAuthentication):
    """The admin's cookie, for its own pages; it doesn't count on requests caused by other sites."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        return None if is_cross_site(request) else super().authenticate(request)
