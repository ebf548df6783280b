"""Which unit answers at a device's address, and whether it is the one that is known to be there.

A unit that isn't is a stranger: nothing of it is read, its serial number is kept on the device, and an alarm says so on
the terminal that should be there. It goes by itself when the right unit answers again, or when somebody accepts the
new one. A stranger whose serial number is that of another device's terminal is its twin, if that one answers too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from devices.domain.lease import Lease, confirm
from devices.domain.memory import FORGOTTEN
from devices.driver.errors import TerminalError
from devices.driver.session import Identity
from devices.models import Device
from iclock.domain import presence
from iclock.domain.alarms import Kind, end_alarm, raise_alarm
from iclock.models import Alarm, Terminal
from personnel.models.scope import Scope
from zkbio.accounts.domain.audit import record

# What commands may accept: everything.
UNLIMITED: Final = Scope()

_log = logging.getLogger(__name__)


class WrongUnitError(TerminalError):
    """Not the terminal that this device was, but that of ``serial``.

    Its sentence is read by whoever may see this device: of the other unit, which may be another area's, it tells
    nothing.
    """

    code = "identity"

    def __init__(self, sentence: str, *, serial: str = "") -> None:
        super().__init__(sentence)
        self.serial = serial


class BlockedError(TerminalError):
    """An administrator blocked the terminal."""

    code = "blocked"


class NotAcceptedError(Exception):
    """The unit that answers could not be accepted; the message says why."""


def require_same_unit(device: Device, serial: str) -> None:
    """Raises WrongUnitError when another terminal answers than the one that is known to be there."""
    if device.terminal is not None and device.terminal.sn != serial:
        raise WrongUnitError(
            f"Another unit answers at {device.host}, but this device is {device.terminal.sn}: nothing was read."
            " If the unit was replaced, accept the one that answers: in the list of devices, or with"
            f" ./script/manage accept_unit {device.key}.",
            serial=serial,
        )


def require_admitted(terminal: Terminal) -> None:
    """Raises BlockedError."""
    if terminal.admission == Terminal.Admission.BLOCKED:
        raise BlockedError(f"{terminal.sn} is blocked: approve the terminal, or end the polling of this device.")


def terminal_of(device: Device, lease: Lease, identity: Identity) -> Terminal:
    """The device's terminal, made at the first contact and brought up to date at each."""
    facts = {
        "ip_address": device.host,
        "terminal_name": identity.model[:50],
        "fw_ver": identity.firmware[:100],
        "platform": identity.platform[:50],
    }
    terminal = device.terminal or _first_contact(device, lease, identity.serial)
    stale = {name: value for name, value in facts.items() if getattr(terminal, name) != value}
    if stale:
        Terminal.objects.filter(id=terminal.id).update(**stale)
    return terminal


def note_stranger(device: Device, lease: Lease, error: WrongUnitError) -> None:
    """For the transaction that ends a visit to another unit. Raises LeaseLostError."""
    confirm(lease, stranger_sn=error.serial)
    if error.serial != device.stranger_sn:
        told = (device.key, device.host, error.serial)
        transaction.on_commit(lambda: _log.warning("The unit that answers as device %s at %s is %s.", *told))
    if device.terminal is not None:
        raise_alarm(device.terminal, Kind.WRONG_UNIT, str(error))
    judge_twins({error.serial, device.stranger_sn, device.terminal.sn if device.terminal else ""})


def note_right_unit(device: Device, lease: Lease, terminal: Terminal) -> None:
    """For the transaction that ends a visit to the right unit: nothing, unless another one answered before."""
    if device.stranger_sn:
        confirm(lease, stranger_sn="")
        end_alarm(terminal, Kind.WRONG_UNIT, f"{terminal.sn} answers at {device.host} again.")
        judge_twins({device.stranger_sn, terminal.sn})


def forget_strangers_of(terminal_ids: Iterable[int], *, because: str) -> None:
    """Nobody looks any more who answers in the place of these terminals, so nobody need be told of it."""
    alarms = Alarm.objects.open().filter(kind=Kind.WRONG_UNIT, terminal__in=list(terminal_ids))
    for alarm in alarms.select_related("terminal").order_by("pk"):
        end_alarm(alarm.terminal, Kind.WRONG_UNIT, because)


def judge_twins(serials: set[str]) -> None:
    """Raise or end the alarm that two units carry one serial number, for each of these.

    They do while a unit with it answers at the address that is known for it, and another one elsewhere.
    """
    for terminal in Terminal.objects.filter(sn__in=serials - {""}).order_by("pk"):
        at_home = Device.objects.filter(terminal=terminal, stranger_sn="").first()
        elsewhere = Device.objects.filter(stranger_sn=terminal.sn).order_by("pk").first()
        if at_home is not None and elsewhere is not None:
            raise_alarm(terminal, Kind.TWIN, _twins(terminal, at_home))
        else:
            end_alarm(terminal, Kind.TWIN, f"Only one unit answers as {terminal.sn} now.")


def judge_remaining_twins(**_signal: object) -> None:
    """After a device is deleted: who answers there is nobody's twin any more."""
    judge_twins(set(Alarm.objects.open().filter(kind=Kind.TWIN).values_list("terminal__sn", flat=True)))


def accept_unit(device: Device, *, actor: object, scope: Scope = UNLIMITED) -> Terminal:
    """Make the unit that answers, ``device.stranger_sn`` as the caller saw it, the device's terminal from now on.

    A unit that nobody knew gets the place of the former one: its area, name, zone and settings. The former terminal
    and its punches stay. Another device that was this unit isn't any more, and finds out who answers at its address.
    Whatever is going on with these devices ends without a word. Raises NotAcceptedError when the unit isn't there any
    more, is blocked, or is known in an area outside of ``scope``, what the actor may see: a unit says of itself who it
    is, and nobody shall take another's terminal by letting one say so.
    """
    serial = device.stranger_sn
    with transaction.atomic():
        concerned = Device.objects.filter(pk=device.pk) | Device.objects.filter(terminal__sn=serial)
        held = {each.pk: each for each in concerned.order_by("pk").select_for_update(of=("self",))}
        mine = held.pop(device.pk, None)
        if mine is None or not serial or mine.stranger_sn != serial or not _was_there_last(mine):
            raise NotAcceptedError(
                f"At the last visit to {device.host} no other unit answered: there is none to accept."
            )
        former = mine.terminal
        terminal = _successor(former, serial, device=mine, scope=scope)
        began_anew = {**FORGOTTEN, "stranger_sn": "", "lease_expires_at": None, "lease_token": F("lease_token") + 1}
        Device.objects.filter(pk__in=held).update(**began_anew, terminal=None, next_poll_at=Now())
        Device.objects.filter(pk=mine.pk).update(
            **began_anew, terminal=terminal, next_poll_at=Now(), failures=0, disabled_at=None
        )
        detail = {"id": mine.key, "sn": serial, "former_sn": former.sn if former else ""}
        record(actor=actor, action="devices.accept_unit", subject=str(mine), detail=detail)
        if former is not None:
            presence.expect_no_more([former.pk])
            for kind in (Kind.WRONG_UNIT, Kind.AWAY):
                end_alarm(former, kind, "Another unit was accepted in its place.")
        end_alarm(terminal, Kind.WRONG_UNIT, "It was accepted where it answers.")
        if mine.enabled:
            presence.expect([terminal.pk])
        judge_twins({serial, former.sn if former else ""})
    return terminal


def _was_there_last(device: Device) -> bool:
    """Whether the last visit found the stranger, at the address that the device still has."""
    last = device.runs.first()
    return last is not None and last.error_code == WrongUnitError.code and device.updated_at <= last.finished_at


def _successor(former: Terminal | None, serial: str, *, device: Device, scope: Scope) -> Terminal:
    """The terminal with this serial, in the place of the former one unless it has a place of its own."""
    kept = (
        *("area", "alias", "time_zone", "is_attendance", "corrects_clock", "away_minutes"),
        *("direction", "strangers"),
    )
    place = {name: getattr(former, name) for name in kept} if former else _place_of(device)
    terminal, made = Terminal.objects.select_related("area").get_or_create(sn=serial, defaults=place)
    if not made and scope.areas is not None and terminal.area_id not in scope.areas:
        raise NotAcceptedError("You may not accept this unit: ask somebody who may see all areas.")
    if terminal.admission == Terminal.Admission.BLOCKED:
        raise NotAcceptedError(f"{serial} is blocked: approve the terminal first.")
    if terminal.admission == Terminal.Admission.PENDING:
        Terminal.objects.filter(pk=terminal.pk).update(admission=Terminal.Admission.APPROVED)
    return terminal


def _place_of(device: Device) -> dict[str, object]:
    return {"alias": device.name, **({"time_zone": device.time_zone} if device.time_zone else {})}


def _twins(terminal: Terminal, at_home: Device) -> str:
    """Where the other one is the list of devices tells to whoever may see it."""
    return (
        f"{at_home.host} (device {at_home.key}) and another address of the list of devices are both {terminal.sn} by"
        " what they answer; only the first is read. Two entries for one unit: delete one. Two units: give one of them"
        " another serial number."
    )


def _first_contact(device: Device, lease: Lease, serial: str) -> Terminal:
    """Make or find the terminal and bind the device to it, unless its address was edited while we talked."""
    try:
        with transaction.atomic():
            terminal, _ = Terminal.objects.select_related("area").get_or_create(sn=serial, defaults=_place_of(device))
            confirm(lease, unchanged={"host": device.host, "port": device.port}, terminal=terminal)
            if device.enabled:
                presence.expect([terminal.pk])
            forget_strangers_of([terminal.pk], because=f"It is read as device {device.key} now.")
    except IntegrityError as error:
        raise WrongUnitError(
            f"The unit that answers at {device.host} is read as another device already."
            " One of the two entries is superfluous, or two units carry one serial number.",
            serial=serial,
        ) from error
    return terminal
