"""What the API says about a login that isn't let through."""

from __future__ import annotations

from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, Throttled

from zkbio.accounts.domain.throttle import LoginThrottledError


def throttled(error: LoginThrottledError) -> Throttled:
    """429 with ``Retry-After``."""
    answer = Throttled(wait=error.wait)
    answer.detail = ErrorDetail(_("Too many failed logins. Try again in %d seconds.") % error.wait, answer.default_code)
    return answer
