"""Text of requests is UTF-8, whatever charset they claim; asked of the WSGI application, as the web server does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.wsgi import application

pytestmark = pytest.mark.django_db
TERMINALS = "/iclock/api/terminals/"
CHARSETS = ["rot13", "zlib", "hex", "idna", "punycode", "undefined", "utf-7", "utf-16", "unicode_escape"]


@pytest.fixture(autouse=True)
def _connection_of_the_test() -> Iterator[None]:
    """The handler closes a connection that is in a transaction, as the test's is; Django's test client prevents it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def ask(method: str, path: str, body: bytes = b"", *, query: str = "", **environ: str) -> tuple[int, bytes]:
    """Status and body of the answer."""
    said: list[str] = []
    asked: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **environ}
    asked |= {"HTTP_HOST": "testserver", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    setup_testing_defaults(asked)
    answer = application(asked, lambda status, _headers, *_: said.append(status))
    content = b"".join(answer)
    answer.close()
    return int(said[0][:3]), content


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize(
    ("path", "status"), [(TERMINALS, 401), ("/nothing/", 404), ("/admin/login/", 200), ("/api/docs/", 200)]
)
def test_a_claimed_charset_changes_no_answer(path: str, status: int, charset: str) -> None:
    answer, _ = ask("GET", path, query="next=%2B2AA-&a=b", CONTENT_TYPE=f"text/plain; charset={charset}")

    assert answer == status


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_login_in_a_claimed_charset_is_read_as_utf8(kind: str, charset: str) -> None:
    User.objects.create_user("maría", password="open sesame 42")
    form = f"username={quote('maría')}&password=open+sesame+42".encode()
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("username", "maría"), ("password", "open sesame 42"))
    )
    body = form if "url" in kind else (parts + "--x--\r\n").encode()

    assert ask("POST", "/api-token-auth/", body, CONTENT_TYPE=f"{kind}; charset={charset}")[0] == 200


def test_a_character_hidden_in_another_charset_reaches_no_filter() -> None:
    token = issue_token(User.objects.create_superuser("admin"))
    headers = {"HTTP_AUTHORIZATION": f"Token {token}", "CONTENT_TYPE": "text/plain; charset=utf-7"}

    status, _ = ask("GET", TERMINALS, query="sn=%2B2AA-", **headers)

    assert status == 200


@pytest.mark.parametrize("kind", ["text/plain; x*=rot13''%41", "text/plain; x*=nothing''%41"])
@pytest.mark.parametrize(("path", "status"), [("/api-token-auth/", 415), ("/admin/login/", 403)])
def test_a_content_type_that_cant_be_read_counts_as_none(path: str, status: int, kind: str) -> None:
    assert ask("POST", path, b"x", CONTENT_TYPE=kind)[0] == status
