"""One conversation with one terminal, over pyzk's transport. No pyzk type and no pyzk error leaves this module."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from socket import socket
from typing import Final, NamedTuple, Protocol

from zk import ZK
from zk.exception import ZKErrorResponse

from devices import protocol
from devices.driver.errors import (
    KeyRefusedError,
    MiscountError,
    ProtocolError,
    RefusedError,
    TerminalError,
    UnreachableError,
)
from devices.driver.guarded import Address, GuardedSocket
from devices.driver.tables import PUNCH_WIDTHS, USER_WIDTHS, Rows, UnitUser, decode_users, split_rows

# What a serial number may be made of: it is a key, and stands in logs and addresses.
_SERIAL: Final = re.compile(r"[!-~]{1,50}")


class Identity(NamedTuple):
    """Who answers. Only the serial number is certain to be there."""

    serial: str
    model: str
    platform: str
    firmware: str


class Sizes(NamedTuple):
    """The counters of a terminal; a capacity or a free count of 0 means that the terminal doesn't tell it."""

    users: int
    fingers: int
    faces: int
    punches: int
    punch_capacity: int
    punches_free: int

    @property
    def log_may_be_full(self) -> bool:
        """A full log drops its oldest rows at a constant count, so an unmoved counter proves nothing then."""
        return self.punch_capacity <= 0 or self.punches >= self.punch_capacity or self.punches_free <= 0


class TerminalSession(Protocol):
    """What the platform asks of a terminal that it has connected to. Everything raises TerminalError."""

    def identity(self) -> Identity: ...
    def sizes(self) -> Sizes: ...
    def clock(self) -> datetime | None: ...
    def users(self) -> list[UnitUser]: ...
    def punch_rows(self, before: Sizes) -> Rows: ...
    def restart(self) -> None: ...


@contextmanager
def open_session(address: Address) -> Iterator[TerminalSession]:
    """Connect, authenticate, and hang up whatever happens. Raises TerminalError, also from the body."""
    session = PyzkSession(address)
    try:
        with _in_own_words(address):
            session.connect()
        yield session
    except TerminalError:
        session.drop()
        raise
    finally:
        session.hang_up()


class PyzkSession:
    """A :class:`TerminalSession` over pyzk 0.9. After any error it is dropped; nothing is ever sent on it again."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._zk = _GuardedZK(address)

    def connect(self) -> None:
        self._zk.connect()

    def identity(self) -> Identity:
        with _in_own_words(self._address):
            serial = self._option(self._zk.get_serialnumber)
            if not serial:
                raise ProtocolError(f"{self._address} tells no serial number; such a unit isn't read.")
            if _SERIAL.fullmatch(serial) is None:
                raise ProtocolError(f"{self._address} tells {serial[:60]!a} as its serial number, which is none.")
            return Identity(
                serial=serial,
                model=self._option(self._zk.get_device_name),
                platform=self._option(self._zk.get_platform),
                firmware=self._option(self._zk.get_firmware_version),
            )

    def sizes(self) -> Sizes:
        """Raises ProtocolError for a short answer: "no punches" and "I don't tell" must not look alike."""
        with _in_own_words(self._address):
            zk = self._zk
            zk.records = None
            zk.read_sizes()
            if zk.records is None:
                raise ProtocolError(f"{self._address} gave a short answer about its sizes; nothing is taken for zero.")
            sizes = Sizes(zk.users, zk.fingers, zk.faces, zk.records, zk.rec_cap, zk.rec_av)
            if min(sizes[:4]) < 0:
                raise ProtocolError(f"{self._address} counts less than nothing: {sizes}.")
            return sizes

    def clock(self) -> datetime | None:
        """The terminal's naive wall clock, None when it tells none or a date that no calendar has."""
        with _in_own_words(self._address):
            try:
                moment: datetime = self._zk.get_time()
            except (ZKErrorResponse, ValueError, struct.error):
                return None
            return moment

    def users(self) -> list[UnitUser]:
        with _in_own_words(self._address):
            before = self.sizes().users
            table, _size = self._zk.read_with_buffer(protocol.CMD_USERTEMP_RRQ, protocol.FCT_USER)
            rows = split_rows(table, widths=USER_WIDTHS, between=(before, self.sizes().users))
            return decode_users(rows, encoding=self._address.encoding)

    def punch_rows(self, before: Sizes) -> Rows:
        """The whole punch log, undecoded. ``before`` are the sizes just read; they are read again afterwards,
        because people go on punching. A table that agrees with neither is read once more, then refused."""
        with _in_own_words(self._address):
            try:
                return self._read_log(before)
            except MiscountError:
                return self._read_log(self.sizes())

    def restart(self) -> None:
        """Restart the unit; the session is over. Many units leave without an answer."""
        try:
            with _in_own_words(self._address):
                self._zk.restart()
        except UnreachableError:
            self.drop()

    def drop(self) -> None:
        """Close without a word: what the terminal may still send belongs to nothing."""
        self._zk.is_connect = False

    def hang_up(self) -> None:
        """End the session politely if it is in order, and close the socket in any case."""
        try:
            if self._zk.is_connect:
                with _in_own_words(self._address):
                    self._zk.disconnect()
        except TerminalError:
            # The answer to the farewell is worth nothing: all that was asked for has been answered.
            return
        finally:
            self._zk.close()

    def _read_log(self, before: Sizes) -> Rows:
        table, _size = self._zk.read_with_buffer(protocol.CMD_ATTLOG_RRQ)
        return split_rows(table, widths=PUNCH_WIDTHS, between=(before.punches, self.sizes().punches))

    def _option(self, read: Callable[[], str]) -> str:
        """An option's value, "" where the terminal has none: a clean "no" leaves the session in step."""
        try:
            return read().strip()
        except ZKErrorResponse:
            return ""
        except UnicodeDecodeError as error:
            return error.object.decode(self._address.encoding, errors="replace").replace("\0", "").strip()


class _GuardedZK(ZK):  # type: ignore[misc]
    """pyzk on a guarded socket, without its ping, its probe connection and its throw-away datagram socket.

    Its scrambling of comm keys overflows for some of them, so connecting is written anew.
    """

    _ZK__sock: socket | GuardedSocket | None

    def __init__(self, address: Address) -> None:
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

    def connect(self) -> None:
        self._ZK__sock = GuardedSocket(self._guarded_address)
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

    def close(self) -> None:
        self.is_connect = False
        if self._ZK__sock is not None:
            self._ZK__sock.close()


@contextmanager
def _in_own_words(address: Address) -> Iterator[None]:
    """Turn whatever pyzk or the bytes raise into our errors; ours, wrapped by pyzk or not, stay what they are."""
    try:
        yield
    except TerminalError:
        raise
    except Exception as error:  # the adapter's edge: pyzk raises bare Exception, struct.error and more
        raise _translated(error, address) from error


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
