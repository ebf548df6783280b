"""A terminal's request, read and bounded before anything is done about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import HttpRequest

from zkbio.api.origin import client_address
from zkbio.api.streams import let_connection_go

_SERIAL: Final = re.compile(r"[A-Za-z0-9_-]{1,50}", re.ASCII)
_LENGTH: Final = re.compile(r"\d{1,15}", re.ASCII)
# Of a body, that is read before it is known whose it is: who isn't admitted may have nothing larger kept here.
_MOST_UNASKED: Final = 65_536
_MOST_QUERY: Final = 8_192
_MOST_FIELDS: Final = 50


class RefusedRequest(Exception):  # noqa: N818 - an answer, not a defect
    """It is answered with this status and this sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class PushRequest:
    """Who asks for what. Keys of the ``query`` in small letters, each once; ``secret`` is of the path.

    A large ``body`` isn't read at first: see `read_body`.
    """

    method: str
    verb: str
    serial: str
    address: str
    secret: str
    query: Mapping[str, str]
    body: bytes = field(repr=False)
    length: int = 0

    @property
    def table(self) -> str:
        return self.query.get("table", "").upper()

    @property
    def is_handshake(self) -> bool:
        """Whether the unit asks how it is to behave, which it does before all else."""
        return self.verb == "cdata" and self.method == "GET" and self.query.get("type", "").lower() != "time"


def read_request(request: HttpRequest, *, verb: str, secret: str) -> PushRequest:
    """Raises RefusedRequest before a body is read that nobody should send."""
    query = _query(request)
    serial = query.get("sn", "").strip()
    if not _SERIAL.fullmatch(serial):
        raise RefusedRequest(400, "SN is missing or no serial number: letters, digits, - and _, 50 at most.")
    length = _length(request)
    body = _read(request, length) if length <= _MOST_UNASKED else b""
    return PushRequest(
        str(request.method), verb.lower(), serial, client_address(request), secret, query, body, length
    )  # fmt: skip


def read_body(request: HttpRequest, asked: PushRequest) -> PushRequest:
    """With all of its body, once it is known whose it is. That may take as long as the unit likes."""
    if len(asked.body) == asked.length:
        return asked
    let_connection_go()
    return replace(asked, body=_read(request, asked.length))


def _read(request: HttpRequest, length: int) -> bytes:
    body = request.read(length) if length else b""
    if len(body) != length:
        raise RefusedRequest(400, f"The body was cut: {len(body)} of {length} bytes came. Send all of it again.")
    return body


def _query(request: HttpRequest) -> dict[str, str]:
    """Bytes that are no UTF-8 are replaced: what is used of a query is checked where it is used."""
    text = str(request.META.get("QUERY_STRING", ""))
    if len(text) > _MOST_QUERY:
        raise RefusedRequest(414, f"The query is too long: {_MOST_QUERY} bytes at most are read here.")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise RefusedRequest(400, f"The query has more than {_MOST_FIELDS} fields.") from error
    found: dict[str, str] = {}
    for key, value in pairs:
        found.setdefault(key.strip().lower(), value)
    return found


def _length(request: HttpRequest) -> int:
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise RefusedRequest(411, "Send the body with its length; chunked bodies are not read.")
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in {"", "identity"}:
        raise RefusedRequest(415, "Send the body as it is; compressed ones are not read.")
    told = str(request.META.get("CONTENT_LENGTH") or "0")
    if not _LENGTH.fullmatch(told):
        raise RefusedRequest(400, "The length of the body is not a number.")
    if int(told) > settings.PUSH_BODY_BYTES:
        raise RefusedRequest(413, f"The body is too large: {settings.PUSH_BODY_BYTES} bytes at most are read here.")
    return int(told)
