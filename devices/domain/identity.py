"""Which unit answers at a device's address, and whether it is the one that is known to be there."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from devices.domain.lease import Lease, confirm
from devices.driver.errors import TerminalError
from devices.driver.session import Identity, Sizes
from devices.models import Device
from iclock.models import Terminal


class WrongUnitError(TerminalError):
    """Not the terminal that this device was."""

    code = "identity"


class BlockedError(TerminalError):
    """An administrator blocked the terminal."""

    code = "blocked"


def require_same_unit(device: Device, serial: str) -> None:
    """Raises WrongUnitError when another terminal answers than the one that is known to be there."""
    if device.terminal is not None and device.terminal.sn != serial:
        raise WrongUnitError(
            f"{device.host} answers as {serial}, but this device is {device.terminal.sn}: nothing was read."
            " If the unit was replaced, register the new one as a device of its own."
        )


def require_admitted(terminal: Terminal) -> None:
    """Raises BlockedError."""
    if terminal.admission == Terminal.Admission.BLOCKED:
        raise BlockedError(f"{terminal.sn} is blocked: approve the terminal, or end the polling of this device.")


def terminal_of(device: Device, lease: Lease, identity: Identity, sizes: Sizes) -> Terminal:
    """The device's terminal, made at the first contact and brought up to date at each."""
    facts = {
        "ip_address": device.host,
        "terminal_name": identity.model[:50],
        "fw_ver": identity.firmware[:100],
        "platform": identity.platform[:50],
        "user_count": sizes.users,
        "fp_count": sizes.fingers,
        "face_count": sizes.faces,
        "transaction_count": sizes.punches,
    }
    terminal = device.terminal or _first_contact(device, lease, identity.serial)
    stale = {name: value for name, value in facts.items() if getattr(terminal, name) != value}
    if stale:
        Terminal.objects.filter(id=terminal.id).update(**stale)
    return terminal


def _first_contact(device: Device, lease: Lease, serial: str) -> Terminal:
    """Make or find the terminal and bind the device to it, unless its address was edited while we talked."""
    defaults = {"alias": device.name, **({"time_zone": device.time_zone} if device.time_zone else {})}
    try:
        with transaction.atomic():
            terminal, _ = Terminal.objects.select_related("area").get_or_create(sn=serial, defaults=defaults)
            confirm(lease, unchanged={"host": device.host, "port": device.port}, terminal=terminal)
    except IntegrityError as error:
        other = Device.objects.get(terminal__sn=serial)
        raise WrongUnitError(
            f"{device.host} answers as {serial}, which is read as device {other.key} at {other.host} already."
            " One of the two entries is superfluous, or two units carry one serial number."
        ) from error
    return terminal
