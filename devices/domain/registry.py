"""Which devices there are: entering one, checking what was entered, polling it or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import time
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from devices.domain import clocks, schedule
from devices.domain.addresses import AddressError, OutsideError, parse_host
from devices.domain.identity import forget_strangers_of, judge_remaining_twins
from devices.domain.memory import FORGOTTEN
from devices.models import Device
from devices.models.device import default_interval
from devices.signals import devices_changed
from iclock.domain import presence
from iclock.models import Terminal

# Registered where nobody registered anything yet, to show how it is done; nothing is known to answer there.
EXAMPLE_KEY: Final = "principal"
EXAMPLE_HOST: Final = "192.168.1.205"
MAX_COMM_KEY: Final = 2**32 - 1  # the protocol carries 32 bits; most units let six digits be typed

# The code of a refused address whose sentence names the operator's networks.
OUTSIDE: Final = "outside"

_PROBE = "A1"
_DIALLED_BY: Final = frozenset({"host", "port", "transport", "comm_key", "timeout"})
_QUIET: Final = frozenset({"quiet_from", "quiet_until"})
_MOST_KEYS: Final = 20


class AlreadyRegisteredError(ValidationError):
    """There is a device at that address and port."""

    def __init__(self, there: Device) -> None:
        super().__init__({"host": f"{there.host} port {there.port} is registered already, with the id {there.key}."})
        self.there = there


def register_device(
    *,
    key: str,
    name: str,
    host: str,
    port: int = 4370,
    comm_key: int = 0,
    timeout: int = 5,
    encoding: str = "UTF-8",
    time_zone: str = "",
    transport: str = Device.Transport.TCP,
    interval: int | None = None,
    quiet_from: time | None = None,
    quiet_until: time | None = None,
    enabled: bool = True,
) -> Device:
    """Enter a device; it is due at once. Raises ValidationError with the sentences under the fields' names."""
    device = Device(
        key=normalise_key(key),
        name=name.strip(),
        host=host,
        port=port,
        timeout=timeout,
        encoding=encoding,
        time_zone=time_zone,
        transport=transport,
        interval=default_interval() if interval is None else interval,
        quiet_from=quiet_from,
        quiet_until=quiet_until,
        enabled=enabled,
    )
    check_device(device)
    check_quiet_hours(quiet_from, quiet_until)
    device.comm_key = parse_comm_key(str(comm_key))
    _write(device, new=True)
    return device


def change_device(device_id: int, **changes: Any) -> Device:
    """Change these of the fields that `register_device` takes; what somebody else changes meanwhile stays changed.

    Who mends what kept a device from answering need not wait for the end of its back-off. Raises ValidationError as
    `register_device` does, and Device.DoesNotExist.
    """
    with transaction.atomic():
        device = Device.objects.select_for_update(no_key=True).get(pk=device_id)
        device.enabled = device.enabled or is_unused_example(device)
        if "comm_key" in changes:
            device.comm_key = parse_comm_key(str(changes["comm_key"]))
        for field in changes.keys() - {"comm_key"}:
            setattr(device, field, changes[field])
        check_device(device)
        if not _QUIET.isdisjoint(changes):
            check_quiet_hours(device.quiet_from, device.quiet_until)
        _write(device)
        if not _QUIET.isdisjoint(changes):
            schedule.spare_quiet_hours(device, now=timezone.now(), where=clocks.zone_of(device))
        if "enabled" in changes:
            note_polling([device.pk])
        if not _DIALLED_BY.isdisjoint(changes):
            schedule.request_sync([device.pk])
    return device


def is_unused_example(device: Device) -> bool:
    """Whether this is the example as it was made: nobody edited it, and nothing ever answered at its address."""
    return (
        (device.key, device.host, device.enabled) == (EXAMPLE_KEY, EXAMPLE_HOST, False)
        and device.terminal_id is None
        and device.edited_at is None
    )


def announce_change(**_signal: Any) -> None:
    """After a device is saved or deleted, by whomever: tells of it when that is certain."""
    transaction.on_commit(lambda: devices_changed.send_robust(sender=Device))


def check_device(device: Device) -> None:
    """Give the fields their one spelling and refuse what can't work. Raises ValidationError, all fields at once.

    Whether id and address are free is for the constraints to say, when the row is written.
    """
    errors: dict[str, list[ValidationError]] = {}
    for field, parse in (("host", check_host), ("encoding", check_encoding)):
        _collect(errors, field, device, parse)
    try:
        device.clean_fields(exclude=errors)
    except ValidationError as error:
        errors.update(error.error_dict)
    if errors:
        raise ValidationError(errors)


def check_quiet_hours(quiet_from: time | None, quiet_until: time | None) -> None:
    """Both or none, and not of no length. Raises ValidationError at the field that is to be mended."""
    if (quiet_from is None) != (quiet_until is None):
        missing = "quiet_from" if quiet_from is None else "quiet_until"
        raise ValidationError({missing: "Quiet hours have a beginning and an end: give both, or none."})
    if quiet_from is not None and quiet_from == quiet_until:
        sentence = "Quiet hours that end when they begin are none: give another end, or leave both empty."
        raise ValidationError({"quiet_until": sentence})


def unknown_in_a_sentence(*keys: str) -> str:
    """For commands: that nobody has these ids, and which ones there are."""
    known = list(Device.objects.order_by("key").values_list("key", flat=True)[:_MOST_KEYS])
    more = Device.objects.count() - len(known)
    those = f"; there are {', '.join(known)}{f' and {more} more' if more > 0 else ''}" if known else ""
    return f"There is no device {', '.join(keys)}{those}."


def normalise_key(text: str) -> str:
    """The id under which a device is known in URLs: " Main Door" -> "main_door"."""
    key = text.strip().replace(" ", "_")
    return key.lower() if key.isascii() else key  # other letters are refused, also those whose small ones are ASCII


def key_for(host: str, port: int) -> str:
    """The id of a device for which nobody chose one: "10.0.0.5" -> "10-0-0-5"."""
    key = re.sub(r"[.:]", "-", host)
    return key if port == 4370 else f"{key}-{port}"


def check_host(text: str) -> str:
    """The address as it is stored. Raises ValidationError."""
    try:
        return parse_host(text)
    except AddressError as error:
        raise ValidationError(str(error), code=OUTSIDE if isinstance(error, OutsideError) else "host") from error


def check_encoding(name: str) -> str:
    """A code page in which names can travel: known to Python and equal to ASCII where ASCII goes."""
    try:
        fits = _PROBE.encode(name) == _PROBE.encode("ascii")
    except (LookupError, ValueError):
        fits = False
    if not fits:
        raise ValidationError(f"{name!r} is no code page for names; write UTF-8, GBK, cp1252…", code="encoding")
    return name


def parse_comm_key(text: str) -> int:
    """The digits typed on the unit as a number; empty is 0, no key. Raises ValidationError."""
    digits = text.strip()
    if not digits:
        return 0
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10 or int(digits) > MAX_COMM_KEY:
        raise ValidationError(f"A comm key is a number from 0 to {MAX_COMM_KEY}.", code="comm_key")
    return int(digits)


def set_polled(device_ids: Iterable[int], *, enabled: bool) -> int:
    """Poll these devices from now on, or stop polling them; how many that changed."""
    chosen = list(device_ids)
    with transaction.atomic():
        changed = Device.objects.filter(pk__in=chosen, enabled=not enabled).update(enabled=enabled)
        note_polling(chosen)
    return changed


def note_polling(device_ids: Iterable[int]) -> None:
    """Terminals are waited for while they are polled; one that nobody polls is not away."""
    polled = dict(Device.objects.filter(pk__in=list(device_ids)).values_list("terminal", "enabled"))
    presence.expect([pk for pk, enabled in polled.items() if enabled])
    unwatched = [pk for pk, enabled in polled.items() if pk is not None and not enabled]
    presence.expect_no_more(unwatched)
    forget_strangers_of(unwatched, because="The polling of its device ended.")


def wait_no_more(*, instance: Device, **_signal: Any) -> None:
    """After a device was deleted: nobody dials its terminal any more."""
    if instance.terminal_id is not None:
        presence.expect_no_more([instance.terminal_id])
        forget_strangers_of([instance.terminal_id], because="Its device was deleted.")


def end_polling_of_terminal(*, instance: Terminal, **_signal: Any) -> None:
    """Before a terminal is deleted: the next visit to its device would bring it back.

    The device stays, with its address and comm key; polled again, it makes the terminal of whichever unit answers then
    at the first contact, so what it remembers of this one's log is forgotten.
    """
    Device.objects.filter(terminal=instance).update(enabled=False, stranger_sn="", **FORGOTTEN)
    judge_remaining_twins()


def _collect(errors: dict[str, list[ValidationError]], field: str, device: Device, parse: Callable[[str], str]) -> None:
    try:
        setattr(device, field, parse(getattr(device, field)))
    except ValidationError as error:
        errors[field] = [error]


def _write(device: Device, *, new: bool = False) -> None:
    """The constraints decide whether address and id are free, whoever else registers at this moment."""
    try:
        with transaction.atomic():
            device.save(force_insert=new)
    except IntegrityError as error:
        there = Device.objects.filter(host=device.host, port=device.port).exclude(pk=device.pk).first()
        if there is not None:
            raise AlreadyRegisteredError(there) from error
        raise ValidationError({"key": f"The id {device.key!r} is taken."}) from error
