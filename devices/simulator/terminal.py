"""A simulated terminal on the network: TCP and UDP on one port, one session at a time like a real unit."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from threading import Condition, Event, Thread, current_thread
from types import TracebackType
from typing import Final, Self

from devices.protocol import CMD_ACK_OK, CMD_CANCELCAPTURE, CMD_CONNECT, CMD_STARTENROLL, Packet
from devices.simulator.enrolment import EVENT_PUNCH, punch_event
from devices.simulator.faults import Fault, Faults
from devices.simulator.link import Link, LinkLost, TcpLink, UdpLink, play
from devices.simulator.menu import Menu
from devices.simulator.session import Session
from devices.simulator.spec import SimPunch, TerminalSpec
from devices.simulator.state import SessionRecord, TerminalState, utc_now

_BIND_TRIES: Final = 50
_MAX_DATAGRAM: Final = 65_535
_MAX_LINKS: Final = 32
_BLINK: Final = 0.05


class SimulatedTerminal(TerminalState):
    """``with SimulatedTerminal(spec) as terminal:`` serves on ``terminal.host``, ``terminal.port`` until the end.

    ``faults`` and ``second_connection`` may be assigned at any time; ``menu`` is for who stands at the unit. Port 0
    takes a free one and keeps it over ``stop()`` and ``start()``.
    """

    def __init__(
        self, spec: TerminalSpec, *, host: str = "127.0.0.1", port: int = 0, clock: Callable[[], datetime] = utc_now
    ) -> None:
        super().__init__(spec, clock=clock)
        self.host = host
        self.port = port
        self.faults = Faults()
        self.menu = Menu(self)
        self.second_connection = spec.second_connection
        self.reboots = 0
        self._random = random.Random(spec.serial)  # noqa: S311 - session ids, repeatable
        self._slot = Condition()
        self._holder: tuple[Session, Link] | None = None
        self._links: set[TcpLink] = set()
        self._threads: list[Thread] = []
        self._stop = Event()
        self._down_until = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the unit is on the network."""
        return bool(self._threads) and not self._stop.is_set()

    def start(self) -> None:
        """Switch the unit on."""
        self._stop = Event()
        self._listener, self._datagrams = _bind(self.host, self.port)
        self.port = self._listener.getsockname()[1]
        self._threads = []
        self._spawn(self._accept, "accept")
        self._spawn(self._serve_datagrams, "udp")

    def stop(self) -> None:
        """Take the unit off the network and wait for its threads."""
        self._switch_off()
        for thread in self._threads:
            if thread is not current_thread():
                thread.join(timeout=10)
        self._threads = []

    def _switch_off(self, spare: Link | None = None) -> None:
        if self._stop.is_set() or not self._threads:
            return
        self._stop.set()
        with contextlib.suppress(OSError):
            self._datagrams.sendto(b"", (self.host, self.port))
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop_sessions(spare)

    def reboot(self, down_for: float = 0.0, *, spare: Link | None = None) -> None:
        """Restart the unit: sessions are reset (but ``spare``), it is enabled again, away for ``down_for`` seconds."""
        self.reboots += 1
        self.disabled = False
        self._down_until = time.monotonic() + down_for
        self._drop_sessions(spare)

    def _drop_sessions(self, spare: Link | None) -> None:
        links = tuple(self._links)
        with self._slot:
            self._holder = None
            self._slot.notify_all()
        for link in links:
            if link is not spare:
                link.hang_up(reset=True)

    def punch(self, user_id: str, *, at: datetime | None = None, verify: int = 1, state: int = 0) -> SimPunch | None:
        """See TerminalState; a client that registered for punches hears of it at once."""
        punch = super().punch(user_id, at=at, verify=verify, state=state)
        if punch is not None:
            self._announce(punch)
        return punch

    def _announce(self, punch: SimPunch) -> None:
        holder = self._holder
        if holder is None or not holder[0].event_mask & EVENT_PUNCH:
            return
        numeric = self.spec.punch_width != 40
        packet = punch_event(punch.user_id, punch.verify, punch.state, punch.time, numeric=numeric)
        with contextlib.suppress(LinkLost):  # the punch is in the log, whoever listens
            self._push(packet, holder[1])

    def _push(self, packet: Packet, link: Link) -> None:
        for step in link.wrap([packet]):
            play([step], link, held=[], stop=self._stop, reboot=self.reboot)

    # TCP

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _address = self._listener.accept()
            except OSError:
                return  # stop() closed the listener
            link = TcpLink(sock, timeout=self.spec.idle_seconds)
            if self._turns_away():
                link.hang_up(reset=True)
                continue
            self._links.add(link)
            self._spawn(partial(self._serve_stream, link), "session")

    def _turns_away(self) -> bool:
        busy = self.second_connection == "refuse" and self._holder is not None and self._holder[1].alive()
        return busy or time.monotonic() < self._down_until or len(self._links) >= _MAX_LINKS

    def _serve_stream(self, link: TcpLink) -> None:
        session, held = self._open("tcp"), list[bytes]()
        try:
            while not self._stop.is_set():
                if session.events and not link.wait(self.spec.event_pace):
                    self._push_event(session, link)
                    continue
                self._respond(session, link.receive(), link, held)
        except LinkLost:
            pass  # the session is over, whoever ended it
        finally:
            self._release(session)
            self._links.discard(link)
            link.hang_up()

    # UDP

    def _serve_datagrams(self) -> None:
        session, held, boots = self._open("udp"), list[bytes](), self.reboots
        link: UdpLink | None = None
        while not self._stop.is_set():
            self._datagrams.settimeout(self.spec.event_pace if session.events else self.spec.idle_seconds)
            try:
                body, address = self._datagrams.recvfrom(_MAX_DATAGRAM)
            except TimeoutError:
                if link is not None:
                    self._push_event(session, link)
                continue
            packet = _decode(body)
            if session.ended or boots != self.reboots:
                session, held, boots = self._open("udp"), [], self.reboots
            if packet is None or time.monotonic() < self._down_until:
                continue
            link = UdpLink(self._datagrams, address)
            if packet.command == CMD_CONNECT:
                self._release(session)
                session, held = self._open("udp"), []
            with contextlib.suppress(LinkLost):
                self._respond(session, packet, link, held)
        self._datagrams.close()

    # Both

    def _respond(self, session: Session, packet: Packet, link: Link, held: list[bytes]) -> None:
        if packet.command == CMD_ACK_OK:  # the client's thanks for an event
            self._push_event(session, link)
            return
        if packet.command == CMD_CONNECT and not self._claim(session, link):
            raise LinkLost("another client has the session")
        session.record.commands.append(packet.command)
        faults = self.faults.strike(packet.command)
        packets = session.answer(packet, faults)
        for fault in faults:
            packets = fault.packets(packets)
        steps = link.wrap(packets)
        for fault in faults:
            steps = fault.steps(steps)
        self._punch_after(faults)
        if session.ended:
            self._end(session, link)
        play(steps, link, held=held, stop=self._stop, reboot=self.reboot)
        if session.ended:
            raise LinkLost(f"the session ended: {session.ended}")
        if packet.command in (CMD_STARTENROLL, CMD_CANCELCAPTURE):
            self._push_event(session, link)

    def _punch_after(self, faults: list[Fault]) -> None:
        for user_id in filter(None, (fault.punches_after() for fault in faults)):
            self.fill((SimPunch(user_id, self.now()),))

    def _end(self, session: Session, link: Link) -> None:
        """Carried out before the client hears of it, so that what it does next meets the unit as it will be."""
        self._release(session)
        if session.ended == "restart":
            self.reboot(spare=link)
        if session.ended == "poweroff":
            self._switch_off(spare=link)

    def _push_event(self, session: Session, link: Link) -> None:
        packet = session.next_event()
        if packet is not None:
            self._push(packet, link)

    def _open(self, transport: str) -> Session:
        number = self._random.randrange(1, 0xFFFF)
        return Session(self, SessionRecord(number, "tcp" if transport == "tcp" else "udp"))

    def _claim(self, session: Session, link: Link) -> bool:
        """Take the one session there is; wait for it, or don't, as ``second_connection`` says."""
        deadline = time.monotonic() + self.spec.idle_seconds
        with self._slot:
            while self._holder is not None and self._holder[0] is not session and self._holder[1].alive():
                patient = self.second_connection == "wait" and link.alive() and time.monotonic() < deadline
                if not patient or self._stop.is_set():
                    return False
                self._slot.wait(_BLINK)
            if self._holder is None or self._holder[0] is not session:
                self.journal.append(session.record)
            self._holder = session, link
            return True

    def _release(self, session: Session) -> None:
        with self._slot:
            if self._holder is not None and self._holder[0] is session:
                session.leave()
                self._holder = None
                self._slot.notify_all()

    def _spawn(self, target: Callable[[], None], role: str) -> None:
        thread = Thread(target=target, name=f"{self.spec.serial}-{role}", daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()] + [thread]
        thread.start()


def _decode(body: bytes) -> Packet | None:
    try:
        return Packet.decode(body)
    except ValueError:
        return None


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    for attempt in range(_BIND_TRIES):
        try:
            return _bind_once(host, port)
        except OSError:
            if port or attempt == _BIND_TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _bind_once(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """The same port twice; with port 0 the datagram socket may find the stream's port taken."""
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stream.bind((host, port))
        datagrams.bind((host, stream.getsockname()[1]))
        stream.listen(16)
    except OSError:
        stream.close()
        datagrams.close()
        raise
    return stream, datagrams
