"""The two ways a client reaches a terminal: a TCP stream of frames, or datagrams."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Callable
from threading import Event, Lock
from typing import Final, Literal, Protocol

from devices.protocol import FRAME_HEAD, FRAME_MAGIC, MAX_FRAME, Packet
from devices.simulator.faults import HangUp, Hold, Pause, PowerCycle, Send, Step

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class LinkLost(ConnectionError):  # noqa: N818 - named after what happened
    """The client is gone, or sent what no client would."""


class Link(Protocol):
    """What a session needs of its transport."""

    transport: Literal["tcp", "udp"]

    def send(self, data: bytes) -> None: ...

    def wrap(self, packets: list[Packet]) -> list[Step]: ...

    def alive(self) -> bool: ...

    def hang_up(self, *, reset: bool = False) -> None: ...


class TcpLink:
    """One TCP connection. Sending is safe from several threads; receiving is its session's business."""

    transport: Literal["tcp", "udp"] = "tcp"

    def __init__(self, sock: socket.socket, *, timeout: float) -> None:
        self._sock = sock
        self._sending = Lock()
        self._closed = Event()
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait(self, timeout: float) -> bool:
        """Whether bytes (or the end) have come within ``timeout`` seconds."""
        try:
            return bool(self._poll(select.POLLIN | select.POLLRDHUP, timeout))
        except (OSError, ValueError) as error:
            raise LinkLost("the connection is closed") from error

    def receive(self) -> Packet:
        """The next packet. Raises LinkLost at the end of the stream, at a timeout and at what is no frame."""
        magic, length = FRAME_HEAD.unpack(self._exactly(FRAME_HEAD.size))
        if magic != FRAME_MAGIC or length > MAX_FRAME:
            raise LinkLost("the client sent what is no frame")
        try:
            return Packet.decode(self._exactly(length))
        except ValueError as error:
            raise LinkLost(str(error)) from error

    def _exactly(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            try:
                piece = self._sock.recv(size - len(received))
            except OSError as error:
                raise LinkLost("the client is gone") from error
            if not piece:
                raise LinkLost("the client hung up")
            received += piece
        return bytes(received)

    def send(self, data: bytes) -> None:
        with self._sending:
            try:
                self._sock.sendall(data)
            except OSError as error:
                raise LinkLost("the client is gone") from error

    def wrap(self, packets: list[Packet]) -> list[Step]:
        """An answer leaves in one piece, like a unit's that has it ready."""
        return [Send(b"".join(packet.frame() for packet in packets))] if packets else []

    def alive(self) -> bool:
        """Whether the client still holds its end, whatever is left unread."""
        try:
            gone = select.POLLRDHUP | select.POLLHUP | select.POLLERR
            return not any(events & gone for _fd, events in self._poll(select.POLLRDHUP, 0))
        except (OSError, ValueError):
            return False

    def _poll(self, events: int, timeout: float) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._sock, events)
        return poll.poll(timeout * 1000)

    def hang_up(self, *, reset: bool = False) -> None:
        """Close with a FIN, or with an RST. Wakes whoever waits on this link; a second time does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        with contextlib.suppress(OSError):  # the client may have been faster
            if reset:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                self._sock.shutdown(socket.SHUT_RD)
            else:
                self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class UdpLink:
    """One client's address behind the terminal's datagram socket: it holds nothing, so it never blocks others."""

    transport: Literal["tcp", "udp"] = "udp"

    def __init__(self, sock: socket.socket, address: tuple[str, int]) -> None:
        self._sock = sock
        self.address = address

    def send(self, data: bytes) -> None:
        try:
            self._sock.sendto(data, self.address)
        except OSError as error:
            raise LinkLost("the client is gone") from error

    def wrap(self, packets: list[Packet]) -> list[Step]:
        """Each packet is a datagram."""
        return [Send(packet.encode()) for packet in packets]

    def alive(self) -> bool:
        return False

    def hang_up(self, *, reset: bool = False) -> None:
        """Datagrams have no connection to end."""


def play(steps: list[Step], link: Link, *, held: list[bytes], stop: Event, reboot: Callable[[float], None]) -> None:
    """Carry out what an answer came down to; ``held`` keeps the bytes of late replies between two commands."""
    late, held[:] = list(held), []
    for data in late:
        link.send(data)
    for step in steps:
        match step:
            case Send(data):
                link.send(data)
            case Pause(seconds):
                if seconds and stop.wait(seconds):
                    raise LinkLost("the terminal was stopped")
            case Hold(data):
                held.append(data)
            case HangUp(reset):
                link.hang_up(reset=reset)
                raise LinkLost("the terminal hung up")
            case PowerCycle(down_for):
                reboot(down_for)
                raise LinkLost("the terminal rebooted")
