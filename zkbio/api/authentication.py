"""Credentials on a request. What they stand for is the accounts' business: they fill in the ``verify`` methods.

Order in the settings: the token first, because its class names the scheme of 401 answers.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.translation import gettext_lazy as _
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from zkbio.api.origin import client_address, is_cross_site


class TokenAuthentication(authentication.TokenAuthentication):
    """``Authorization: Token <40 hex digits>``."""

    def verify(self, token: str) -> AbstractBaseUser | None:
        """The active user behind the token."""
        raise NotImplementedError

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        words = authentication.get_authorization_header(request).split()
        if not words or words[0].lower() != self.keyword.lower().encode():
            return None
        token = words[1].decode("ascii", errors="replace") if len(words) == 2 else ""
        user = self.verify(token)
        if user is None:
            raise AuthenticationFailed(_("Invalid token."))
        return user, token


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
