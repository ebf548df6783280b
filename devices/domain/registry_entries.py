"""One entry of devices.json, and the device that it stands for."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from devices.domain.entry_fields import FURTHER, further_of, parse_further, parse_number, parse_text
from devices.domain.registry import (
    AlreadyRegisteredError,
    change_device,
    check_host,
    is_unused_example,
    normalise_key,
    parse_comm_key,
    register_device,
)
from devices.models import Device
from zkbio.accounts.domain.audit import record
from zkbio.crypto import SealError, key_id, seal, unseal

_OURS: Final = FURTHER | {"ip", "port", "password", "timeout", "name", "created_at", "updated_at"}
_SEALED: Final = "sealed:"
_TABLE: Final = "devices.json"
# Whoever loads a file does it by this command, a start too.
_ACTOR: Final = "import_devices"
_KEY: Final = re.compile(r"[a-z0-9_-]{1,50}")
_YEARS: Final = range(1990, 2200)
# Ends the sentence of an entry that may be tried again.
_TAKEN: Final = " (another device has it)"


class Outcome(NamedTuple):
    """What became of an entry: new, changed, same or refused, and why it was refused."""

    key: str
    verdict: str
    why: str = ""


class Entry(NamedTuple):
    """An entry as it was understood. ``comm_key`` is among the fields only where the file tells one."""

    key: str
    fields: dict[str, Any]
    created_at: datetime | None
    updated_at: datetime | None


def load_entries(said: Mapping[str, object], *, dry_run: bool = False) -> list[Outcome]:
    """Insert or change devices, all in one transaction; what can't be is refused by itself and stops no other.

    An address that is taken may be given up by an entry further down, so those are tried again as long as that helps.
    """
    outcomes: dict[str, Outcome] = {}
    left = list(said)
    with transaction.atomic():
        while left:
            outcomes |= {key: _load(key, said[key]) for key in left}
            again = [key for key in left if outcomes[key].why.endswith(_TAKEN)]
            if len(again) == len(left):
                break
            left = again
        transaction.set_rollback(dry_run)
    return [outcomes[key] for key in said]


def _load(key: str, said: object) -> Outcome:
    try:
        with transaction.atomic():
            return Outcome(key, _apply(parse_entry(key, said)))
    except AlreadyRegisteredError as error:
        return Outcome(key, "refused", in_one_line(error) + _TAKEN)
    except ValidationError as error:
        return Outcome(key, "refused", in_one_line(error))
    except Device.DoesNotExist:
        return Outcome(key, "refused", "The device was deleted at this moment.")


def _apply(entry: Entry) -> str:
    device = Device.objects.filter(key=entry.key).first()
    if device is None:
        made = register_device(key=entry.key, **entry.fields)
        _keep_moments(made, entry)
        record(actor=_ACTOR, action="devices.register", subject=str(made), detail={"id": made.key})
        return "new"
    changes = {field: value for field, value in entry.fields.items() if _now(device, field) != value}
    if changes:
        changed = change_device(device.pk, **changes)
        record(actor=_ACTOR, action="devices.change", subject=str(changed), detail={"changed": sorted(changes)})
    return "changed" if changes else "same"


def _now(device: Device, field: str) -> object:
    """None for a comm key that can't be opened any more: whatever the file says replaces it."""
    try:
        return getattr(device, field)
    except SealError:
        return None


def _keep_moments(device: Device, entry: Entry) -> None:
    created = entry.created_at or device.created_at
    Device.objects.filter(pk=device.pk).update(created_at=created, updated_at=entry.updated_at or created)


def parse_entry(key: str, said: object) -> Entry:
    """Raises ValidationError. What isn't told is left to the device, or to what devices have by default."""
    if not isinstance(said, dict):
        raise ValidationError("An entry is written {…} with ip and name.")
    if not _KEY.fullmatch(key):
        raise ValidationError(f"An id has small letters, digits, - and _ only: write {normalise_key(key)!a}.")
    fields = {
        "name": parse_text(said, "name").strip(),
        "host": check_host(parse_text(said, "ip")),
        **{name: parse_number(said, name) for name in ("port", "timeout") if name in said},
        **parse_further(said),
        **({"comm_key": open_password(key, said["password"])} if "password" in said else {}),
    }
    return Entry(key, fields, _moment(said, "created_at"), _moment(said, "updated_at"))


def _moment(said: Mapping[str, object], name: str) -> datetime | None:
    """Local time as the file has it; whatever else stands there is of no consequence."""
    try:
        moment = datetime.fromisoformat(str(said.get(name, "")))
    except ValueError:
        return None
    if moment.year not in _YEARS:
        return None
    return timezone.make_aware(moment, timezone.get_default_timezone()) if timezone.is_naive(moment) else moment


def entry_of(device: Device, there: object = None, *, with_secret: bool = False) -> dict[str, Any]:
    """What the file says of a device. ``there`` is what it says now: what we don't know of in it is kept."""
    kept = there if isinstance(there, dict) else {}
    entry = {
        "ip": device.host,
        "port": device.port,
        **_password_of(device, kept, with_secret=with_secret),
        "timeout": device.timeout,
        "name": device.name,
        **({} if is_unused_example(device) else further_of(device)),
        "created_at": _local(device.created_at),
        **({"updated_at": _local(device.edited_at)} if device.edited_at else {}),
    }
    return entry | {name: value for name, value in kept.items() if name not in _OURS}


def _password_of(device: Device, kept: Mapping[str, object], *, with_secret: bool) -> dict[str, object]:
    """A sealed one that is there already and still opens stays, so that the same device is written the same way.

    A comm key that can't be opened is no reason to forget what the file has.
    """
    try:
        comm_key = device.comm_key
    except SealError:
        return {"password": kept["password"]} if "password" in kept else {}
    if not comm_key or with_secret:
        return {"password": comm_key}
    there = kept.get("password")
    return {"password": there if _is_current(device.key, there, comm_key) else seal_password(device.key, comm_key)}


def _is_current(key: str, there: object, comm_key: int) -> bool:
    """Whether that is the comm key, sealed under the key that seals now."""
    try:
        return (
            isinstance(there, str)
            and key_id(_blob(there)) == next(iter(settings.FIELD_KEYS))
            and open_password(key, there) == comm_key
        )
    except ValidationError:
        return False


def seal_password(key: str, comm_key: int) -> str:
    """Bound to the id, so that it opens nothing when it is copied into another entry."""
    return _SEALED + base64.b64encode(seal(str(comm_key).encode(), table=_TABLE, row=_row(key))).decode()


def open_password(key: str, said: object) -> int:
    """The comm key out of an entry: a number, its digits, or sealed. Raises ValidationError."""
    if said is None or isinstance(said, bool | float | list | dict):
        raise ValidationError("password: a number is missing; 0 is none.")
    text = str(said)
    if not text.startswith(_SEALED):
        return parse_comm_key(text)
    try:
        return int(unseal(_blob(text), table=_TABLE, row=_row(key)))
    except SealError as error:
        raise ValidationError(
            "password: it was sealed by another installation or under another id; write the number itself,"
            " or export it there with --with-secrets."
        ) from error


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text.removeprefix(_SEALED), validate=True)
    except ValueError as error:  # no Base64, or not even ASCII
        raise ValidationError("password: what is sealed was altered.") from error


def _row(key: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"{_TABLE}/{key}")


def _local(moment: datetime) -> str:
    return timezone.localtime(moment, timezone.get_default_timezone()).strftime("%Y-%m-%d %H:%M:%S")


def in_one_line(error: ValidationError) -> str:
    """Every sentence on one line, each after the field it is about."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    names = {"__all__": "", "host": "", "key": "id: "}
    return " ".join(
        f"{names.get(field, f'{field}: ')}{' '.join(messages)}" for field, messages in error.message_dict.items()
    )
