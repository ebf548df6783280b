"""Units that dial, as many as one process plays: posts of punches one after the other, or idle questions in time.

``python -m bench.push_load posts PORT PATH UNITS POSTS LINES DAY``: seconds until each unit posted so often, of so
many lines that no other post had; the lines are made before the clock runs. ``… idle PORT UNITS EVERY SECONDS``:
each unit asks for commands every so many seconds, over a connection of its own; how many were answered.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import datetime, timedelta
from typing import Final

# Where the server under test only parses.
PARSING: Final = "/bench/parsing"
_BEGIN: Final = datetime(2026, 1, 5)
_AGENT: Final = "Host: server\r\nUser-Agent: iClock Proxy/1.09\r\n"


def serial(number: int) -> str:
    return f"BPUSH{number:04}"


def _post(path: str, unit: int, body: bytes) -> bytes:
    where = f"{path}?SN={serial(unit)}&table=ATTLOG&Stamp=9999"
    head = f"POST {where} HTTP/1.1\r\n{_AGENT}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _bodies(posts: int, lines: int, day: int) -> list[bytes]:
    """The same for every unit: whose they are the request says."""
    begin = _BEGIN + timedelta(days=day)
    moments = (begin + timedelta(seconds=second) for second in range(posts * lines))
    rows = [f"{1000 + number % 97}\t{moment}\t0\t1\t0\t0\t0\n" for number, moment in enumerate(moments)]
    return ["".join(rows[start : start + lines]).encode() for start in range(0, len(rows), lines)]


async def _unit(port: int, requests: list[bytes], expected: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        if not head.startswith(b"HTTP/1.1 200") or body.strip() != expected:
            raise RuntimeError(f"{head!r} {body!r}")
    writer.close()


async def _posts(port: int, path: str, *numbers: int) -> float:
    units, posts, lines, day = numbers
    bodies = _bodies(posts, lines, day)
    requests = [[_post(path, unit, body) for body in bodies] for unit in range(units)]
    began = time.perf_counter()
    await asyncio.gather(*(_unit(port, mine, b"OK: %d" % lines) for mine in requests))
    return time.perf_counter() - began


async def _asking(port: int, unit: int, every: float, until: float) -> int:
    """Spread over the interval, as units that were switched on one after the other are."""
    answered, due = 0, time.monotonic() + every * (unit % 997) / 997
    request = f"GET /iclock/getrequest?SN={serial(unit)} HTTP/1.1\r\n{_AGENT}Connection: close\r\n\r\n".encode()
    while due < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(repr(answer))
        answered, due = answered + 1, due + every
    return answered


async def _idle(port: int, units: int, every: float, seconds: float) -> int:
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_asking(port, unit, every, until) for unit in range(units))))


def _length(head: bytes) -> int:
    (line,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(line.split(b":")[1])


if __name__ == "__main__":
    verb, port, *rest = sys.argv[1:]
    if verb == "posts":
        path, *numbers = rest
        print(asyncio.run(_posts(int(port), path, *map(int, numbers))))
    else:
        units, every, seconds = rest
        print(asyncio.run(_idle(int(port), int(units), float(every), float(seconds))))
