"""pyzk's transport, and the edge at which its types and errors end."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from socket import socket

from zk import ZK
from zk.exception import ZKErrorResponse

from devices import protocol
from devices.driver.errors import KeyRefusedError, ProtocolError, RefusedError, TerminalError
from devices.driver.guarded import Address, GuardedSocket
from devices.driver.unit import Identity, Sizes


class Wire:
    """One session with one terminal: commands out, answers in. Raises TerminalError only.

    After an error that leaves the session out of step it is over: nothing is ever sent on it again.
    """

    def __init__(self, address: Address, *, though_stopping: bool = False) -> None:
        self.address = address
        self._zk = _GuardedZK(address, though_stopping)

    def connect(self) -> None:
        with self.in_own_words():
            self._zk.connect()

    def require_open(self) -> None:
        """Raises ProtocolError when the session is over."""
        self._zk.require_open()

    def ask(self, command: int, data: bytes = b"", *, to: str) -> bytes:
        """The data of a short answer; ``to`` says what is asked for. Raises RefusedError."""
        with self.in_own_words():
            code, answer = self._zk.exchange(command, data)
            if code not in {protocol.CMD_ACK_OK, protocol.CMD_DATA}:
                raise RefusedError(f"{self.address} refused to {to} (reply {code}).")
            return answer

    def piece(self, command: int, data: bytes) -> bytes | None:
        """What comes at once or in announced pieces; None when the terminal says that it has none."""
        with self.in_own_words():
            code, _answer = self._zk.exchange(command, data)
            return None if code == protocol.CMD_ACK_ERROR else self._zk.rest_of_piece()

    def table(self, command: int, function: int = 0) -> bytes:
        """A table with its leading total, by a buffered read."""
        with self.in_own_words():
            try:
                table, _size = self._zk.read_with_buffer(command, function)
            except ZKErrorResponse:
                self.drop()  # it may have broken off in the middle
                raise
            return bytes(table)

    def sizes(self) -> Sizes | None:
        """What the unit counts, None for an answer that is too short to tell."""
        with self.in_own_words():
            return self._zk.sizes()

    def clock(self) -> datetime | None:
        with self.in_own_words():
            try:
                moment: datetime = self._zk.get_time()
            except (ZKErrorResponse, ValueError, struct.error):
                return None
            return moment

    def identity(self) -> Identity:
        """As the unit tells it, "" for what it doesn't tell."""
        with self.in_own_words():
            return Identity(
                serial=self._text(self._zk.get_serialnumber),
                model=self._text(self._zk.get_device_name),
                platform=self._text(self._zk.get_platform),
                firmware=self._text(self._zk.get_firmware_version),
            )

    def serial(self) -> str:
        """ "" where the unit tells none."""
        with self.in_own_words():
            return self._text(self._zk.get_serialnumber)

    def option(self, name: str) -> str:
        """An option's value, "" where the unit has none."""
        try:
            answer = self.ask(protocol.CMD_OPTIONS_RRQ, name.encode() + b"\0", to=f"tell its option {name}")
        except RefusedError:
            return ""
        value = answer.partition(b"=")[2].split(b"\0", 1)[0]
        return value.decode(self.address.encoding, errors="replace").strip()

    def tell(self, command: int, data: bytes = b"") -> None:
        """Whatever the terminal answers: it may have nothing to stop."""
        with self.in_own_words():
            self._zk.exchange(command, data)

    def listen(self, listening: bool) -> None:
        """Keep realtime events from now on, or drop them."""
        self._zk.require_open().listen(listening)

    def next_event(self, seconds: float) -> tuple[int, bytes] | None:
        """The next realtime event, acknowledged; None when none came within ``seconds``."""
        with self.in_own_words():
            event = self._zk.require_open().next_event(seconds)
            if event is not None:
                self._zk.thank()
            return event

    def drop(self) -> None:
        """Send nothing any more: what the terminal may still send belongs to nothing."""
        self._zk.is_connect = False

    def close(self) -> None:
        """Close without a word."""
        self._zk.close()

    def hang_up(self) -> None:
        """End the session politely if it is in order, and close the socket in any case."""
        try:
            if self._zk.is_connect:
                with self.in_own_words():
                    self._zk.disconnect()
        except TerminalError:
            # The answer to the farewell is worth nothing: all that was asked for has been answered.
            return
        finally:
            self._zk.close()

    def _text(self, read: Callable[[], str]) -> str:
        """An option's value, "" where the terminal has none: a clean "no" leaves the session in step."""
        try:
            return read().strip()
        except ZKErrorResponse:
            return ""
        except UnicodeDecodeError as error:
            return error.object.decode(self.address.encoding, errors="replace").replace("\0", "").strip()

    @contextmanager
    def in_own_words(self) -> Iterator[None]:
        """Turn whatever pyzk or the bytes raise into our errors; ours, wrapped by pyzk or not, stay what they are."""
        try:
            yield
        except TerminalError as error:
            self._unless_in_step(error)
            raise
        except Exception as error:  # the adapter's edge: pyzk raises bare Exception, struct.error and more
            ours = _translated(error, self.address)
            self._unless_in_step(ours)
            raise ours from error

    def _unless_in_step(self, error: TerminalError) -> None:
        if not error.in_step:
            self.drop()


class _GuardedZK(ZK):  # type: ignore[misc]
    """pyzk on a guarded socket, without its ping, its probe connection and its throw-away datagram socket.

    Its scrambling of comm keys overflows for some of them, so connecting is written anew.
    """

    _ZK__sock: socket | GuardedSocket | None

    def __init__(self, address: Address, though_stopping: bool) -> None:
        super().__init__(
            address.host,
            port=address.port,
            password=address.comm_key,
            force_udp=address.udp,
            ommit_ping=True,
            encoding=address.encoding,
        )
        self.close()
        self._ZK__sock = None
        self._guarded_address = address
        self._though_stopping = though_stopping

    def require_open(self) -> GuardedSocket:
        """The socket of a session in order. Raises ProtocolError when it is over."""
        if not self.is_connect or not isinstance(self._ZK__sock, GuardedSocket):
            raise ProtocolError(f"The session with {self._guarded_address} is over.")
        return self._ZK__sock

    def connect(self) -> None:
        self._ZK__sock = GuardedSocket(self._guarded_address, though_stopping=self._though_stopping)
        answer = self._ZK__send_command(protocol.CMD_CONNECT)
        self._ZK__session_id = session = self._ZK__header[2]
        if answer["code"] == protocol.CMD_ACK_UNAUTH:
            proof = protocol.scramble_comm_key(self._guarded_address.comm_key, session)
            answer = self._ZK__send_command(protocol.CMD_AUTH, proof)
        if answer["code"] == protocol.CMD_ACK_UNAUTH:
            raise KeyRefusedError(
                f"{self._guarded_address} refuses the comm key: compare it with the one in the terminal's menu."
            )
        if not answer["status"]:
            raise RefusedError(f"{self._guarded_address} refuses the connection (reply {answer['code']}).")
        self.is_connect = True

    def exchange(self, command: int, data: bytes) -> tuple[int, bytes]:
        self.require_open()
        answer = self._ZK__send_command(command, data, 1024 + protocol.PACKET_HEAD.size)
        return answer["code"], self._ZK__data

    def rest_of_piece(self) -> bytes:
        """Raises ProtocolError for an answer that breaks off or is none."""
        piece = self._ZK__recieve_chunk()
        if piece is None:
            raise ProtocolError(f"{self._guarded_address} broke off its answer (reply {self._ZK__response}).")
        return bytes(piece)

    def sizes(self) -> Sizes | None:
        self.records = None
        self.read_sizes()
        if self.records is None:
            return None
        kept = self.users, self.fingers, self.faces, self.records
        return Sizes(*kept, self.rec_cap, self.rec_av, self.users_cap, self.fingers_cap, self.faces_cap)

    def thank(self) -> None:
        self._ZK__ack_ok()

    def close(self) -> None:
        self.is_connect = False
        if self._ZK__sock is not None:
            self._ZK__sock.close()


def _translated(error: BaseException, address: Address) -> TerminalError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TerminalError):
            return cause
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, ZKErrorResponse):
        return RefusedError(f"{address} refused: {error}.")
    if isinstance(error, struct.error | ValueError | IndexError | TypeError):
        return ProtocolError(f"{address} gave an answer that can't be read ({error}).")
    return ProtocolError(f"{address} broke the protocol: {error or type(error).__name__}.")
