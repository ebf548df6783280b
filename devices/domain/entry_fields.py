"""What an entry of devices.json may tell besides address, name and comm key; written where it is not as by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time
from typing import Any, Final

from django.core.exceptions import ValidationError

from devices.models import Device
from devices.models.device import default_interval
from zkbio.texts import validate_line

_DIGITS: Final = 9


def parse_further(said: Mapping[str, object]) -> dict[str, Any]:
    """The fields of a device that the entry tells; what it doesn't tell isn't among them. Raises ValidationError."""
    return {_FIELDS.get(name, name): parse(said, name) for name, parse in _PARSERS.items() if name in said}


def further_of(device: Device) -> dict[str, object]:
    """What to write of a device."""
    told = {
        "transport": (device.transport, Device.Transport.TCP),
        "interval": (device.interval, default_interval()),
        "encoding": (device.encoding, "UTF-8"),
        "time_zone": (device.time_zone, ""),
        "quiet_from": (_clock(device.quiet_from), ""),
        "quiet_until": (_clock(device.quiet_until), ""),
        "polled": (device.enabled, True),
    }
    return {name: value for name, (value, default) in told.items() if value != default}


def parse_text(said: Mapping[str, object], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValidationError(f"{name}: a text is missing.")
    try:
        validate_line(value)
    except ValidationError as error:
        raise ValidationError(f"{name}: {value[:60]!a} has characters that can't be shown.") from error
    return value


def parse_number(said: Mapping[str, object], name: str) -> int:
    """A number, or its digits as a text."""
    text = str(said[name])
    if isinstance(said[name], bool) or not (text.isascii() and text.isdigit()) or len(text) > _DIGITS:
        raise ValidationError(f"{name}: {text[:20]!a} is not a whole number.")
    return int(text)


def _parse_transport(said: Mapping[str, object], name: str) -> str:
    text = parse_text(said, name).strip().lower()
    if text not in Device.Transport.values:
        raise ValidationError(f"{name}: {text[:20]!a} is neither tcp nor udp.")
    return text


def _parse_zone(said: Mapping[str, object], name: str) -> str:
    """Empty for the platform's."""
    return "" if said[name] == "" else parse_text(said, name).strip()


def _parse_time(said: Mapping[str, object], name: str) -> time | None:
    """A wall clock's; empty or null for none."""
    if said[name] in ("", None):
        return None
    text = parse_text(said, name).strip()
    try:
        moment = time.fromisoformat(text)
    except ValueError as error:
        raise ValidationError(f"{name}: {text[:20]!a} is no time such as 22:00.") from error
    return moment.replace(tzinfo=None)


def _parse_polled(said: Mapping[str, object], name: str) -> bool:
    value = said[name]
    if not isinstance(value, bool):
        raise ValidationError(f"{name}: write true or false.")
    return value


def _clock(moment: time | None) -> str:
    return "" if moment is None else moment.isoformat("minutes" if not moment.second else "auto")


_FIELDS: Final = {"polled": "enabled"}
_PARSERS: Final[Mapping[str, Callable[[Mapping[str, object], str], object]]] = {
    "transport": _parse_transport,
    "interval": parse_number,
    "encoding": parse_text,
    "time_zone": _parse_zone,
    "quiet_from": _parse_time,
    "quiet_until": _parse_time,
    "polled": _parse_polled,
}
FURTHER: Final = frozenset(_PARSERS)
