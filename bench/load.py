"""python -m bench.load PORT PATH TOKEN SECONDS CLIENTS: requests per second over kept-alive connections."""

from __future__ import annotations

import asyncio
import sys
import time

_HEAD_END = b"\r\n\r\n"


async def _client(port: int, request: bytes, end: float) -> int:
    answered = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < end:
        writer.write(request)
        head = await reader.readuntil(_HEAD_END)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode(errors="replace"))
        await reader.readexactly(_length(head))
        answered += 1
    writer.close()
    return answered


def _length(head: bytes) -> int:
    (line,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(line.split(b":")[1])


async def _load(port: int, path: str, token: str, seconds: float, clients: int) -> float:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n\r\n".encode()
    end = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_client(port, request, end) for _ in range(clients)))) / seconds


if __name__ == "__main__":
    port, path, token, seconds, clients = sys.argv[1:]
    print(asyncio.run(_load(int(port), path, token, float(seconds), int(clients))))
