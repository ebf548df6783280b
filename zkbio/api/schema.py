"""How the OpenAPI schema names our ways of authentication; imported by the URLs that serve it."""

from drf_spectacular.authentication import BasicScheme, SessionScheme


class PasswordScheme(BasicScheme):  # type: ignore[no-untyped-call]
    target_class = "zkbio.api.authentication.BasicAuthentication"
    match_subclasses = True


class CookieScheme(SessionScheme):  # type: ignore[no-untyped-call]
    target_class = "zkbio.api.authentication.SessionAuthentication"
    match_subclasses = True
