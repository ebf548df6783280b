"""A unit's check-up: from its address to its log, step by step, each with what it means and what to do about it.

Nothing is stored and nothing on the unit is changed. It ends with the first step that makes the rest impossible, and
its last one is the verdict. The sentences are in the language that is active where it is carried out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings
from django.db import connection
from django.utils import translation
from django.utils.translation import gettext as _

from devices.domain import clocks
from devices.domain.addresses import AddressError, require_allowed
from devices.domain.dialling import Bounds
from devices.domain.findings import (
    Step,
    find_at_the_door,
    find_broken,
    find_in_the_greeting,
    find_of_clock,
    find_of_log,
    find_of_people,
    find_of_sizes,
)
from devices.domain.lease import Lease
from devices.domain.live import Work
from devices.driver.errors import MiscountError, ProtocolError, TerminalError
from devices.driver.guarded import Address
from devices.driver.session import Sizes, TerminalSession, open_session
from devices.driver.tables import Rows
from devices.driver.users import UnitUser
from devices.models import Device
from iclock.models import Terminal
from zkbio.crypto import SealError

VERDICT: Final = "verdict"

_NO_ROWS: Final = Rows(0, b"")


@dataclass(frozen=True, slots=True)
class Target:
    """What is checked, and what is known of it. A ``comm_key`` of None can't be opened.

    ``discreet``: other units' serial numbers and the operator's networks are not named.
    """

    host: str
    port: int = 4370
    comm_key: int | None = field(default=0, repr=False)
    udp: bool = False
    timeout: float = 5.0
    encoding: str = "UTF-8"
    time_zone: str = ""
    serial: str = ""
    blocked: bool = False
    locked: bool = False
    discreet: bool = False

    def __str__(self) -> str:
        return str(Address(self.host, self.port))


def target_of(device: Device, *, discreet: bool = False) -> Target:
    """A device as it is registered."""
    terminal = device.terminal
    try:
        comm_key: int | None = device.comm_key
    except SealError:
        comm_key = None
    return Target(
        host=device.host,
        port=device.port,
        comm_key=comm_key,
        udp=device.transport == Device.Transport.UDP,
        timeout=device.timeout,
        encoding=device.encoding,
        time_zone=terminal.time_zone if terminal else device.time_zone,
        serial=terminal.sn if terminal else "",
        blocked=terminal is not None and terminal.admission == Terminal.Admission.BLOCKED,
        locked=device.disabled_at is not None,
        discreet=discreet,
    )


def check_device(*, discreet: bool = True) -> Work[list[Step]]:
    """The work of checking a device for somebody who waits, in the language of whoever asks for it now."""
    language = translation.get_language() or settings.LANGUAGE_CODE

    def work(lease: Lease, bounds: Bounds) -> list[Step]:
        device = Device.objects.select_related("terminal").get(pk=lease.device_id)
        with translation.override(language):
            return list(check_unit(target_of(device, discreet=discreet), bounds=bounds))

    return work


def check_unit(target: Target, *, bounds: Bounds | None = None) -> Iterator[Step]:
    """The steps as they are made, and the verdict. Takes the unit's one session; no database connection is kept."""
    wrong: list[Step] = []
    for step in _Checkup(target, bounds or Bounds(settings.DEVICE_SESSION_SECONDS)).steps():
        yield step
        if not step.ok:
            wrong.append(step)
    if wrong:
        yield Step(VERDICT, False, " ".join(f"{step.sentence} {step.advice}".strip() for step in wrong))
    else:
        yield Step(VERDICT, True, _("All is well: it answers, and its clock, its people and its log can be read."))


class _Checkup:
    def __init__(self, target: Target, bounds: Bounds) -> None:
        self._target, self._bounds = target, bounds
        self._stage = "connection"

    def steps(self) -> Iterator[Step]:
        target = self._target
        step = _address(target)
        yield step
        if not step.ok:
            return
        clock = _read_clock()
        try:
            with open_session(self._dialled()) as session:
                yield Step("connection", True, _("%(at)s accepts the connection.") % {"at": target})
                yield Step("comm_key", True, _("It takes the comm key.") if target.comm_key else _("It asks for none."))
                yield from self._examine(session, clock)
        except TerminalError as error:
            yield from self._broken(error)

    def _dialled(self) -> Address:
        target = self._target
        return Address(
            host=target.host,
            port=target.port,
            comm_key=target.comm_key or 0,
            udp=target.udp,
            timeout=target.timeout,
            session_seconds=self._bounds.seconds,
            encoding=target.encoding,
            stop=self._bounds.stop,
        )

    def _examine(self, session: TerminalSession, clock: clocks.DatabaseClock) -> Iterator[Step]:
        self._stage = "identity"
        step = self._identity(session)
        yield step
        if not step.ok:
            return
        if self._target.locked:
            yield Step(
                "enabled",
                False,
                _("It was disabled from here and not enabled since: it may take no finger."),
                _("Have it read now: that enables it first. Or restart it."),
            )
        self._stage = "sizes"
        sizes = _told_sizes(session)
        yield find_of_sizes(sizes)
        self._stage = "clock"
        yield find_of_clock(session.clock(), clock.now(), self._target.time_zone)
        if sizes is not None:
            yield from self._tables(session, sizes)

    def _identity(self, session: TerminalSession) -> Step:
        identity, known = session.identity(), self._target.serial
        told = {"serial": identity.serial, "model": identity.model or "?", "firmware": identity.firmware or "?"}
        if not known or known == identity.serial:
            return Step("identity", True, _("It is %(model)s, serial number %(serial)s, %(firmware)s.") % told)
        sentence = _("Another terminal answers at the device's address than the one that belongs there.")
        if not self._target.discreet:
            sentence = _("It is %(serial)s, but %(known)s belongs there.") % {**told, "known": known}
        advice = _("If the unit was replaced, accept the one that answers; otherwise correct the address.")
        return Step("identity", False, sentence, advice)

    def _tables(self, session: TerminalSession, sizes: Sizes) -> Iterator[Step]:
        self._stage = "people"
        people: list[UnitUser] | None = None
        try:
            people = session.users()
            yield find_of_people(people)
        except MiscountError as error:
            yield from self._broken(error)
        self._stage = "log"
        rows = session.punch_rows(sizes) if sizes.punches else _NO_ROWS
        yield find_of_log(rows, people)

    def _broken(self, error: TerminalError) -> Iterator[Step]:
        if self._stage != "connection":
            yield find_broken(self._stage, error)
            return
        door = find_at_the_door(error, at=str(self._target), udp=self._target.udp)
        if door is not None:
            yield door
            return
        yield Step("connection", True, _("%(at)s accepts the connection.") % {"at": self._target})
        yield find_in_the_greeting(error)


def _address(target: Target) -> Step:
    try:
        require_allowed(target.host)
    except AddressError as error:
        discreet = _("The device's address is outside the networks of terminals, so it is not dialled.")
        return Step("address", False, discreet if target.discreet else str(error), _("Correct the address."))
    if target.blocked:
        return Step("address", False, _("The terminal is blocked."), _("Approve it first, if it may be talked to."))
    if target.comm_key is None:
        sentence = _("The device's password can't be opened: enter it again.")
        return Step("comm_key", False, sentence, _("Or restore the FIELD_KEYS that it was sealed with."))
    return Step("address", True, _("%(host)s is an address that may be dialled.") % {"host": target.host})


def _read_clock() -> clocks.DatabaseClock:
    """No connection is kept for the conversation that follows."""
    try:
        return clocks.read_clock()
    finally:
        connection.close()


def _told_sizes(session: TerminalSession) -> Sizes | None:
    """None for an answer that is too short to tell; the session is in order nevertheless."""
    try:
        return session.sizes()
    except ProtocolError:
        return None
