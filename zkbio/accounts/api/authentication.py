"""The toolkit's credentials, verified against the accounts."""

from __future__ import annotations

from zkbio.accounts.api.answers import throttled
from zkbio.accounts.domain.logins import verify_basic
from zkbio.accounts.domain.throttle import LoginThrottledError
from zkbio.accounts.models import User
from zkbio.api import authentication


class PasswordAuthentication(authentication.BasicAuthentication):
    def verify(self, username: str, password: str, *, address: str) -> User | None:
        try:
            return verify_basic(username, password, address=address)
        except LoginThrottledError as error:
            raise throttled(error) from error
