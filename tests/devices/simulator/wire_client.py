"""A client that shares no code with the simulator: frames, checksums and heads written out from the protocol."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple, Self

MAGIC = bytes.fromhex("5050827d")
TIMEOUT = 5.0


class Heard(NamedTuple):
    command: int
    session: int
    reply: int
    data: bytes


def slow_checksum(packet: bytes) -> int:
    """The packet's checksum, word by word with an end-around carry; its own field must be zero."""
    total = 0
    padded = packet + b"\0" * (len(packet) % 2)
    for low, high in zip(padded[::2], padded[1::2], strict=True):
        total += low + high * 256
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class WireClient:
    """One TCP connection, opened raw; ``connect()`` opens a session in it."""

    def __init__(self, port: int, *, timeout: float = TIMEOUT) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.session = 0
        self.reply = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def connect(self) -> Self:
        heard = self.ask(1000)
        assert heard.command == 2000
        self.session = heard.session
        return self

    def ask(self, command: int, data: bytes = b"") -> Heard:
        self.tell(command, data)
        return self.hear()

    def tell(self, command: int, data: bytes = b"") -> None:
        self.reply += 1
        body = struct.pack("<4H", command, 0, self.session, self.reply) + data
        body = body[:2] + struct.pack("<H", slow_checksum(body)) + body[4:]
        self.sock.sendall(MAGIC + struct.pack("<I", len(body)) + body)

    def hear(self) -> Heard:
        return unpack(self.hear_frame()[8:])

    def hear_frame(self) -> bytes:
        head = self.exactly(8)
        assert head[:4] == MAGIC
        return head + self.exactly(struct.unpack("<I", head[4:])[0])

    def exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            piece = self.sock.recv(size - len(received))
            if not piece:
                raise EOFError(f"{len(received)} of {size} bytes, then the end")
            received += piece
        return received

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        received = b""
        while piece := self.sock.recv(65_536):
            received += piece
        return received

    def table(self, command: int, function: int) -> bytes:
        """A buffered read of a whole table, with its leading total."""
        heard = self.ask(1503, struct.pack("<bhii", 1, command, function, 0))
        if heard.command == 1501:
            return heard.data
        assert heard.command == 2000
        (size,) = struct.unpack_from("<I", heard.data, 1)
        chunks = [self.chunk(start, min(0xFFC0, size - start)) for start in range(0, size, 0xFFC0)]
        assert self.ask(1502).command == 2000
        return b"".join(chunks)

    def chunk(self, offset: int, size: int) -> bytes:
        heard = self.ask(1504, struct.pack("<ii", offset, size))
        assert (heard.command, heard.data) == (1500, struct.pack("<II", size, 16))
        pieces = []
        while (heard := self.hear()).command == 1501:
            pieces.append(heard.data)
        assert heard.command == 2000
        return b"".join(pieces)


def unpack(body: bytes) -> Heard:
    """A packet's parts, its checksum verified."""
    command, checksum, session, reply = struct.unpack_from("<4H", body)
    assert checksum == slow_checksum(body[:2] + b"\0\0" + body[4:])
    return Heard(command, session, reply, body[8:])
