"""A socket for pyzk that can't hang it, flood it or lie to it.

It hands out whole frames only; the end of the stream is an error; a frame's size is checked before memory is taken;
packets of other sessions, late replies and stray events are dropped; and the session as a whole has a deadline and a
limit of bytes, because a terminal that drips a byte at a time never trips a timeout per read.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakSet

from devices import protocol
from devices.driver.errors import (
    BrokenOffError,
    ProtocolError,
    StoppedError,
    TerminalError,
    TimedOutError,
    UnreachableError,
)

# Four times the largest log that is known (200 000 rows of 40 bytes).
MAX_SESSION_BYTES: Final = 32 * 1024 * 1024
# Packets that belong to nothing, while one answer is awaited.
MAX_STRAYS: Final = 1_000
_DATAGRAM: Final = 65_535
_HTTP: Final = b"HTTP"
_MAX_EVENTS: Final = 100


@dataclass(frozen=True, slots=True)
class Address:
    """Where a terminal answers and how patient to be; times in seconds. ``stop``, once set, ends its sessions."""

    host: str
    port: int = 4370
    comm_key: int = 0
    udp: bool = False
    timeout: float = 5.0
    session_seconds: float = 180.0
    encoding: str = "UTF-8"
    stop: threading.Event | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_open: WeakSet[GuardedSocket] = WeakSet()
_open_lock = threading.Lock()
_stopping = threading.Event()


def stop_all() -> int:
    """For the end of the process: break every open session, let no new one begin, and say how many were open.

    Whoever is in a session gets a StoppedError at once instead of waiting out a slow terminal.
    """
    _stopping.set()
    return _break_off(_opened())


def stop_sessions(stop: threading.Event) -> int:
    """The same for the sessions at addresses with this ``stop``: whom they were held for doesn't wait any more."""
    stop.set()
    return _break_off([guarded for guarded in _opened() if guarded.address.stop is stop])


def _opened() -> list[GuardedSocket]:
    with _open_lock:
        return list(_open)


def _break_off(sockets: list[GuardedSocket]) -> int:
    for guarded in sockets:
        guarded.abort()
    return len(sockets)


class GuardedSocket:
    """Looks to pyzk like the socket that it would have made itself. ``though_stopping`` is for a last word to a unit
    that must not be left as it is. Realtime events are dropped until it shall `listen`."""

    def __init__(self, address: Address, *, though_stopping: bool = False) -> None:
        self.address = address
        self._deadline = time.monotonic() + address.session_seconds
        self._bytes_left = MAX_SESSION_BYTES
        self._rest = b""
        self._awaited: int | None = None
        self._strays = 0
        self._session: int | None = None
        self._though_stopping = though_stopping
        self._events: deque[tuple[int, bytes]] = deque(maxlen=_MAX_EVENTS)
        self._listening = False
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM if address.udp else socket.SOCK_STREAM)
        with _open_lock:
            _open.add(self)  # before it connects, which may take longest
        try:
            self._connect()
        except TerminalError:
            self.close()
            raise

    def settimeout(self, _seconds: float) -> None:
        """pyzk's own timeouts don't count: the address and the deadline do."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()
        with _open_lock:
            _open.discard(self)

    def abort(self) -> None:
        """Wake up whoever waits on this socket, from another thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self._socket.close()  # not connected any more: then there is nobody left to wake

    def send(self, frame: bytes) -> int:
        self._expect(frame[protocol.FRAME_HEAD.size :])
        self._transmit(frame)
        return len(frame)

    def sendto(self, packet: bytes, _address: tuple[str, int]) -> int:
        self._expect(packet)
        self._transmit(packet)
        return len(packet)

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes of the current frame or datagram, never of two."""
        while not self._rest:
            self._rest = self._next_datagram() if self.address.udp else self._next_frame()
        piece, self._rest = self._rest[:size], self._rest[size:]
        if self.address.udp:
            self._rest = b""
        return piece

    def listen(self, listening: bool) -> None:
        """Keep the realtime events that come from now on, or drop them all."""
        self._listening = listening
        self._events.clear()

    def next_event(self, seconds: float) -> tuple[int, bytes] | None:
        """The code and the data of the next realtime event; None when none came within ``seconds``."""
        until = time.monotonic() + seconds
        while not self._events:
            left = min(self._patience(), until - time.monotonic())
            if left <= 0:
                return None
            if self._readable(left):
                self._next_datagram() if self.address.udp else self._next_frame()
        return self._events.popleft()

    def _readable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(max(1.0, seconds * 1000)))

    def _connect(self) -> None:
        self._socket.settimeout(self._patience())
        try:
            self._socket.connect((self.address.host, self.address.port))
        except TimeoutError as error:
            raise UnreachableError(
                f"{self.address} doesn't answer: is the terminal switched on and on this network?"
            ) from error
        except OSError as error:
            self._unless_stopping()
            raise UnreachableError(
                f"{self.address} can't be reached ({error.strerror or error}): is that its address, and is it on?"
            ) from error
        self._unless_stopping()

    def _expect(self, packet: bytes) -> None:
        """Remember the reply number of what is sent; what is left of an older answer must not start the new one."""
        command, _checksum, _session, reply = protocol.PACKET_HEAD.unpack_from(packet)
        if command != protocol.CMD_ACK_OK:
            self._awaited = reply
            self._strays = 0
            self._rest = b""
        if command == protocol.CMD_CONNECT:
            self._session = None

    def _transmit(self, data: bytes) -> None:
        self._socket.settimeout(self._patience())
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise TimedOutError(f"{self.address} takes no data.") from error
        except OSError as error:
            self._unless_stopping()
            raise self._lost(error) from error

    def _next_frame(self) -> bytes:
        """The next frame that belongs to the awaited answer, or b"" when one was dropped."""
        head = self._exactly(protocol.FRAME_HEAD.size)
        magic, size = protocol.FRAME_HEAD.unpack(head)
        if head.startswith(_HTTP):
            raise ProtocolError(f"At {self.address} a web server answers (HTTP): is that the terminal's own address?")
        if magic != protocol.FRAME_MAGIC:
            raise ProtocolError(f"{self.address} sent {head.hex(' ')}, which is no frame: is it a ZKTeco terminal?")
        if not protocol.PACKET_HEAD.size <= size <= protocol.MAX_FRAME:
            raise ProtocolError(f"{self.address} announced a frame of {size} bytes, which no terminal sends.")
        body = self._exactly(size)
        return head + body if self._belongs(body) else b""

    def _next_datagram(self) -> bytes:
        """The next datagram that belongs to the awaited answer, or b""; anybody can send an empty one."""
        packet = self._receive(_DATAGRAM)
        return packet if self._belongs(packet) else b""

    def _belongs(self, packet: bytes) -> bool:
        """Whether the packet is of this session and answers the last command. Raises ProtocolError for a flood."""
        if len(packet) >= protocol.PACKET_HEAD.size:
            command, _checksum, session, reply = protocol.PACKET_HEAD.unpack_from(packet)
            if command == protocol.CMD_REG_EVENT and self._listening:
                self._events.append((session, packet[protocol.PACKET_HEAD.size :]))
            elif command != protocol.CMD_REG_EVENT and reply == self._awaited and self._session in {None, session}:
                self._session = session
                return True
        self._strays += 1
        if self._strays > MAX_STRAYS:
            raise ProtocolError(f"{self.address} sent {MAX_STRAYS} packets that nobody asked for.")
        return False

    def _exactly(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            received += self._receive(size - len(received))
        return bytes(received)

    def _receive(self, size: int) -> bytes:
        self._socket.settimeout(self._patience())
        try:
            data = self._socket.recv(size)
        except TimeoutError as error:
            self._patience()  # the session's deadline is the truer reason, when it has passed
            raise TimedOutError(f"{self.address} stopped answering for {self.address.timeout:g} s.") from error
        except OSError as error:
            self._unless_stopping()
            raise self._lost(error) from error
        if not data and not self.address.udp:
            self._unless_stopping()
            raise BrokenOffError(
                f"{self.address} closed the connection in the middle of an answer: a bad line, or no terminal?"
            )
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise ProtocolError(f"{self.address} sent more than {MAX_SESSION_BYTES} bytes in one session.")
        return data

    def _lost(self, error: OSError) -> UnreachableError:
        """By UDP nobody answered yet, perhaps."""
        kind = UnreachableError if self.address.udp else BrokenOffError
        return kind(f"{self.address} broke the connection: {error.strerror or error}.")

    def _patience(self) -> float:
        """Seconds that the next wait may take. Raises TimedOutError when the session's time is up."""
        self._unless_stopping()
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimedOutError(f"{self.address} took longer than {self.address.session_seconds:g} s in all.")
        return min(self.address.timeout, left)

    def _unless_stopping(self) -> None:
        if self._though_stopping:
            return
        if _stopping.is_set():
            raise StoppedError(f"The conversation with {self.address} was ended because this process stops.")
        if self.address.stop is not None and self.address.stop.is_set():
            raise StoppedError(f"The conversation with {self.address} was ended: nobody waits for it any more.")
