"""Requests of a unit that dials: one connection each, everything with a timeout, spoiled as its faults have it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Event
from typing import Final
from urllib.parse import quote, urlsplit

from devices.simulator.push_faults import PushFault
from devices.simulator.push_generation import Habits

AGENT: Final = "iClock Proxy/1.09"
MOST_ANSWER: Final = 1 << 20
_PIECE_SECONDS: Final = 0.05


class NoAnswer(Exception):  # noqa: N818 - what happens on a network
    """Nothing came back; ``reached`` says whether the server may have got the request."""

    def __init__(self, why: str, *, reached: bool) -> None:
        super().__init__(why)
        self.reached = reached


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer: its status, its Date header as it was written, and its body."""

    status: int
    date: str
    body: bytes


class Wire:
    """The way from a unit to the server at ``url``, whose path (a secret prefix) comes before ``/iclock``."""

    def __init__(self, url: str, habits: Habits) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an address to dial: {url!r}")
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._https else 80)
        self._prefix = parts.path.rstrip("/")
        self._habits = habits
        self._current: HTTPConnection | None = None

    def target(self, name: str, params: Mapping[str, str]) -> str:
        """Path and query of a request."""
        query = "&".join(f"{self._spelt(key)}={quote(value, safe=',:.')}" for key, value in params.items())
        return f"{self._prefix}/iclock/{name}{self._habits.suffix}?{query}"

    def _spelt(self, name: str) -> str:
        return {"usual": name, "upper": name.upper(), "lower": name.lower()}[self._habits.names]

    def request(self, target: str, body: bytes | None, faults: Sequence[PushFault], stop: Event) -> Answer:
        """One request; a body makes it a post. Raises NoAnswer."""
        if not all(fault.reaches() for fault in faults):
            raise NoAnswer("off line", reached=False)
        if any(fault.repeats() for fault in faults):
            self._exchange(target, body, faults, stop)
        answer = self._exchange(target, body, faults, stop)
        if not all(fault.hears() for fault in faults):
            raise NoAnswer("the answer was lost", reached=True)
        return answer

    def _exchange(self, target: str, body: bytes | None, faults: Sequence[PushFault], stop: Event) -> Answer:
        connection = self._connection()
        self._current = connection
        reached = False
        try:
            connection.connect()
            reached = True
            self._send(connection, target, body, faults, stop)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers.get("Date", ""), answer.read(MOST_ANSWER))
        except (OSError, HTTPException) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}", reached=reached) from error
        finally:
            self._current = None
            connection.close()

    def _connection(self) -> HTTPConnection:
        here = (self._habits.source, 0) if self._habits.source else None
        if not self._https:
            return HTTPConnection(self._host, self._port, timeout=self._habits.timeout, source_address=here)
        context = ssl.create_default_context()
        if self._habits.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return HTTPSConnection(
            self._host, self._port, timeout=self._habits.timeout, context=context, source_address=here
        )

    def _send(
        self, connection: HTTPConnection, target: str, body: bytes | None, faults: Sequence[PushFault], stop: Event
    ) -> None:
        connection.putrequest("GET" if body is None else "POST", target, skip_accept_encoding=True)
        connection.putheader("User-Agent", AGENT)
        connection.putheader("Accept", "*/*")
        connection.putheader("Connection", "close")
        if body is not None:
            connection.putheader("Content-Type", "text/plain")
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        self._send_body(connection, body or b"", faults, stop)

    def _send_body(self, connection: HTTPConnection, body: bytes, faults: Sequence[PushFault], stop: Event) -> None:
        sent = body
        for fault in faults:
            sent = fault.sent(sent)
        paces = [pace for pace in (fault.pace() for fault in faults) if pace]
        size = max(1, int(min(paces) * _PIECE_SECONDS)) if paces else max(1, len(sent))
        for start in range(0, len(sent), size):
            connection.send(sent[start : start + size])
            if paces and stop.wait(size / min(paces)):
                raise NoAnswer("switched off", reached=True)
        if len(sent) < len(body):
            connection.sock.shutdown(socket.SHUT_WR)
            connection.sock.recv(1)  # whatever the server thinks of it, the unit's connection broke
            raise NoAnswer("the body was cut", reached=True)

    def hang_up(self) -> None:
        """End what is going on, from another thread."""
        connection = self._current
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
