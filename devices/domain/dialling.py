"""From a device's row to a conversation with its terminal."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings

from devices.domain.addresses import AddressError, require_allowed
from devices.domain.disabling import enable_first
from devices.driver.errors import TerminalError
from devices.driver.guarded import Address
from devices.driver.session import TerminalSession, open_session
from devices.models import Device
from zkbio.crypto import SealError


class NotAllowedError(TerminalError):
    """The device's address may not be dialled."""

    code = "address"


class SealedKeyError(TerminalError):
    """The device's comm key can't be opened."""

    code = "sealed_key"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What ends a conversation, besides its own end: so many seconds, and whoever sets ``stop``.

    ``until`` is when whoever waits gives up what comes after it, too, by ``time.monotonic``.
    """

    seconds: float
    stop: threading.Event | None = None
    until: float = math.inf


@contextmanager
def dial(device: Device, bounds: Bounds | None = None) -> Iterator[TerminalSession]:
    """A session with the device's terminal. Its address is checked again: networks change. Raises TerminalError.

    A unit that somebody left disabled is enabled before anything else.
    """
    with open_session(_address(device, bounds or Bounds(settings.DEVICE_SESSION_SECONDS))) as session:
        enable_first(device, session)
        yield session


def _address(device: Device, bounds: Bounds) -> Address:
    try:
        require_allowed(device.host)
        comm_key = device.comm_key
    except AddressError as error:
        raise NotAllowedError(str(error)) from error
    except SealError as error:
        raise SealedKeyError(f"{error} Enter the comm key again.") from error
    return Address(
        host=device.host,
        port=device.port,
        comm_key=comm_key,
        udp=device.transport == Device.Transport.UDP,
        timeout=device.timeout,
        session_seconds=bounds.seconds,
        encoding=device.encoding,
        stop=bounds.stop,
    )
