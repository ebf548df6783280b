"""A terminal that says what it was told to say, and writes down what it hears: it shares no code with anybody."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Self

from tests.devices.simulator.wire_client import MAGIC, slow_checksum, unpack

OK = (2000, b"")
Part = tuple[int, bytes]


class ScriptedTerminal:
    """``answers`` gives the replies to each command in turn, the last one again and again; to others it says OK."""

    def __init__(self, **answers: list[Part]) -> None:
        self.heard: list[tuple[int, str]] = []
        self._answers = {int(command.removeprefix("c")): replies for command, replies in answers.items()}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(timeout=5)
        assert not self._thread.is_alive()

    def said(self, *commands: int) -> list[str]:
        """The data in hex of what came under these commands."""
        return [data for command, data in self.heard if command in commands]

    def _serve(self) -> None:
        sock, _address = self._listener.accept()
        with sock, sock.makefile("rb") as stream:
            while head := stream.read(8):
                self._answer(sock, stream.read(struct.unpack("<I", head[4:])[0]))

    def _answer(self, sock: socket.socket, body: bytes) -> None:
        command, _session, reply, data = unpack(body)
        if command == 2000:
            return
        self.heard.append((command, data.hex(" ")))
        replies = self._answers.get(command, [OK])
        code, said = replies.pop(0) if len(replies) > 1 else replies[0]
        packet = struct.pack("<4H", code, 0, 7, reply) + said
        packet = packet[:2] + struct.pack("<H", slow_checksum(packet)) + packet[4:]
        sock.sendall(MAGIC + struct.pack("<I", len(packet)) + packet)
