"""Row 38 of the fault matrix: five hundred sockets that drip, on the web server as it is started."""

from __future__ import annotations

import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults.stack import Stack, Web

SOCKETS, REQUESTS, PATIENCE = 500, 20, 4.0


@pytest.fixture(autouse=True)
def _enough_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * SOCKETS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * SOCKETS), hard))


@contextmanager
def dripping(port: int, head: bytes) -> Iterator[list[socket.socket]]:
    """Sockets that have sent ``head`` and go on with a byte a second each, until the end."""
    with ExitStack() as open_sockets:
        sockets = [
            open_sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in range(SOCKETS)
        ]
        for slow in sockets:
            slow.sendall(head)
        ended = threading.Event()
        dripper = threading.Thread(target=_drip, args=(sockets, ended))
        dripper.start()
        try:
            yield sockets
        finally:
            ended.set()
            dripper.join(timeout=20)


def _drip(sockets: list[socket.socket], ended: threading.Event) -> None:
    while not ended.wait(1.0):
        for slow in sockets:
            try:
                slow.sendall(b"x")
            except OSError:  # turned away meanwhile; the test counts those
                continue


def still_open(sockets: list[socket.socket]) -> int:
    """Of how many the server has neither closed nor answered."""
    with selectors.DefaultSelector() as watch:
        for slow in sockets:
            watch.register(slow, selectors.EVENT_READ)
        return len(sockets) - len(watch.select(timeout=0))


def seconds_of_a_request(web: Web) -> float:
    began = time.monotonic()
    answer = web.get(timeout=30)
    assert answer.status_code == 200, answer.text
    return time.monotonic() - began


HEADS = {
    "headers": b"GET /iclock/api/terminals/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "bodies": b"POST /api-token-auth/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b'Content-Length: 4000\r\n\r\n{"username": "',
}


@pytest.mark.parametrize("what", HEADS)
def test_row_38_twenty_requests_are_answered_beside_five_hundred_dripping_sockets(stack: Stack, what: str) -> None:
    with stack.web() as web, dripping(web.port, HEADS[what]) as sockets:
        with ThreadPoolExecutor(REQUESTS) as clients:
            taken = list(clients.map(lambda _: seconds_of_a_request(web), range(REQUESTS)))

        print(f"slowest of {REQUESTS} requests beside {SOCKETS} dripping {what}: {max(taken):.2f} s")  # noqa: T201 - a figure
        assert max(taken) < PATIENCE
        assert still_open(sockets) == SOCKETS, "the test did not measure what it says"
