"""A server that a unit dials: it writes down every request and answers by a script, else as a friendly server would."""

from __future__ import annotations

import contextlib
import ssl
from collections import defaultdict, deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

SOON = 5.0
BLOCK = "GET OPTION FROM: PU0001\nATTLOGStamp=None\nOPERLOGStamp=9999\nErrorDelay=1\nDelay=1\nRealtime=1\n"
CONFIG = "ServerVersion=3.1\nErrorDelay=1\nRequestDelay=1\nTransInterval=1\nRealtime=1\n"


@dataclass(frozen=True)
class Heard:
    method: str
    target: str
    body: bytes

    @property
    def kind(self) -> str:
        """The table, or else the name of the request."""
        parts = urlsplit(self.target)
        query = {key.lower(): value for key, value in parse_qsl(parts.query, keep_blank_values=True)}
        return query.get("table", parts.path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".aspx"))


class PushServer:
    """``script[kind]`` are the answers to come, a body or a status; ``date`` overrules the Date header."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.heard: list[Heard] = []
        self.headers: list[dict[str, str]] = []
        self.script: dict[str, deque[str | int]] = defaultdict(deque)
        self.usual: dict[str, str | int] = {"cdata": BLOCK, "push": CONFIG, "registry": "RegistryCode=abc"}
        self.date = ""
        self.told = Condition()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, heard: Heard) -> tuple[int, str]:
        with self.told:
            self.heard.append(heard)
            script = self.script[heard.kind]
            said = script.popleft() if script else self.usual.get(heard.kind, "OK")
            self.told.notify_all()
        return (said, "") if isinstance(said, int) else (200, said)

    def bodies(self, kind: str) -> list[bytes]:
        with self.told:
            return [heard.body for heard in self.heard if heard.kind == kind]

    def targets(self) -> list[str]:
        with self.told:
            return [f"{heard.method} {heard.target}" for heard in self.heard]

    def kinds(self) -> list[str]:
        with self.told:
            return [heard.kind for heard in self.heard]

    def await_bodies(self, kind: str, count: int) -> list[bytes]:
        with self.told:
            assert self.told.wait_for(lambda: len(self.bodies(kind)) >= count, SOON), self.heard
        return self.bodies(kind)


def _handler(server: PushServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) == length:
                self._answer(body)
            else:
                self.close_connection = True

        def _answer(self, body: bytes) -> None:
            server.headers.append(dict(self.headers.items()))
            status, text = server.answer(Heard(self.command, self.path, body))
            self.send_response_only(status)
            self.send_header("Date", server.date or self.date_time_string())
            self.send_header("Content-Length", str(len(text.encode())))
            with contextlib.suppress(OSError):  # the unit hung up
                self.end_headers()
                self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            pass

    return Handler
