"""gunicorn's configuration where it speaks TLS (``--config python:zkbio.launcher.handshakes``).

gevent shakes hands in the greenlet of the connection, so a slow client keeps nobody else waiting. But it waits for
ever, until a thousand such clients have taken every place; and it prints a traceback for each that goes away.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Final

import gevent

from zkbio.launcher.leaving import post_worker_init

__all__ = ["post_worker_init", "ssl_context"]

HANDSHAKE_SECONDS: Final = 10


def ssl_context(_config: object, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """gunicorn's own, but for TLS 1.2 at least, and a handshake that ends."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    wrap = context.wrap_socket

    def wrap_soon(client: Any, **how: Any) -> ssl.SSLSocket:
        try:
            with gevent.Timeout(HANDSHAKE_SECONDS, TimeoutError):
                return wrap(client, **how)
        except OSError as error:
            client.close()
            raise gevent.GreenletExit from error  # the connection's greenlet ends, and nobody is told

    context.wrap_socket = wrap_soon  # type: ignore[method-assign, assignment]
    return context
