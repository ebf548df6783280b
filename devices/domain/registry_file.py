"""devices.json (DEVICES_FILE): what the registry says, in a file that may be edited, copied and put back.

The database is the truth. Beside the file stands what we wrote into it last, a digest for each entry: an entry that
differs was edited by hand. It is loaded at the next start, and until then left as it is; so a write never undoes what
somebody typed, and a stale entry never undoes what happened in the database. A file that can't be understood is not
written either, until it is mended or taken away.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import Error, connection, transaction

from devices.domain.registry import EXAMPLE_HOST, EXAMPLE_KEY, register_device
from devices.domain.registry_disk import (
    RegistryFileError,
    digest,
    is_there,
    read_digests,
    read_entries,
    real_path,
    require_writable,
    write_digests,
    write_entries,
)
from devices.domain.registry_entries import Outcome, entry_of, load_entries
from devices.models import Device
from zkbio.accounts.domain.audit import record

# The advisory lock under which the database is read and the file written. Any constant does; this spells "devices".
TURN: Final = 0x64657669636573
_TURN_SECONDS: Final = 10
_EXAMPLE_NAME: Final = "Entrada Principal"

_log = logging.getLogger(__name__)
_loading: ContextVar[bool] = ContextVar("loading", default=False)
_said: dict[Path, str] = {}


class Loaded(NamedTuple):
    """What became of each entry; and if our file could not be written afterwards, why."""

    outcomes: list[Outcome]
    unwritten: str = ""


def configured_path() -> Path | None:
    """None where the installation keeps no such file."""
    return real_path(settings.DEVICES_FILE) if settings.DEVICES_FILE else None


def write_after_change(**_signal: Any) -> None:
    """For ``devices_changed``. Who changed a device has done so, whatever becomes of the file; that is said once."""
    path = configured_path()
    if path is None or _loading.get():
        return
    try:
        write_file(path)
    except (RegistryFileError, Error) as error:
        _say_once(path, f"The devices' file was not written; the database has every change. {str(error).strip()}")
    else:
        if _said.pop(path, ""):
            _log.info("%s is written again.", path)


def _say_once(path: Path, sentence: str) -> None:
    if _said.get(path) != sentence:
        _log.error("%s", sentence)
    _said[path] = sentence


def write_file(path: Path) -> None:
    """Raises RegistryFileError, and Error when the database or the turn can't be had."""
    with _turn():
        _write(path)


def load_at_start(path: Path) -> Loaded:
    """Load what was edited by hand since we wrote the file, then write it; make it where there is none.

    Raises RegistryFileError when it can't be read.
    """
    with _turn():
        if not is_there(path):
            _make_example()
            return _loaded([], path, {})
        written = read_digests(path)
        edited = {key: said for key, said in read_entries(path).items() if _is_edited(key, said, written)}
        return _loaded(_load_quietly(edited), path, edited)


def import_file(path: Path, *, dry_run: bool = False) -> Loaded:
    """Load every entry of a file, ours or another, then write ours. Raises RegistryFileError when it can't be read."""
    ours = configured_path()
    with _turn():
        said = read_entries(path)
        outcomes = _load_quietly(said, dry_run=dry_run)
        if dry_run or ours is None:
            return Loaded(outcomes)
        return _loaded(outcomes, ours, said if real_path(path) == ours else {})


def _loaded(outcomes: list[Outcome], ours: Path, said: Mapping[str, object]) -> Loaded:
    """``said``: the entries, if they were our own file's. Those that were loaded are no longer somebody's edits."""
    refused = {outcome.key for outcome in outcomes if outcome.verdict == "refused"}
    taken = {key: entry for key, entry in said.items() if key not in refused}
    try:
        _write(ours, loaded=taken)
    except RegistryFileError as error:
        _remember(ours, taken)
        return Loaded(outcomes, str(error))
    return Loaded(outcomes)


def _remember(path: Path, taken: Mapping[str, object]) -> None:
    """An entry of a file that can't be written is loaded once, not at every start over what happened since."""
    try:
        write_digests(path, read_digests(path) | {key: [digest(entry)] for key, entry in taken.items()})
    except RegistryFileError as error:
        _log.warning("What was loaded will be loaded again at the next start: %s", error)


def export_file(path: Path, *, with_secrets: bool) -> int:
    """Write every device into a new file; how many there are. Disclosed comm keys stand in the audit trail.

    Raises RegistryFileError.
    """
    entries = {device.key: entry_of(device, with_secret=with_secrets) for device in Device.objects.all()}
    with transaction.atomic():
        if with_secrets:
            told = {"devices": len(entries)}
            record(actor="export_devices", action="devices.disclose", subject=str(path), detail=told)
        write_entries(path, entries)
    return len(entries)


def trouble(path: Path) -> str:
    """What keeps the file from saying what the database says, as it stands now; empty when nothing does."""
    try:
        written, current = read_digests(path), read_entries(path) if is_there(path) else {}
        require_writable(path)
    except RegistryFileError as error:
        return str(error)
    if edited := [key for key, said in current.items() if _is_edited(key, said, written)]:
        return f"{path} was edited by hand; these entries wait for the next start: {', '.join(edited)}"
    return "" if _merged(current, written, ()) == current else f"{path} lacks the latest changes; see the log."


def _write(path: Path, *, loaded: Collection[str] = ()) -> None:
    """What is written is remembered before and exactly afterwards: a crash in between makes no entry look edited."""
    require_writable(path)
    there = is_there(path)
    current, written = (read_entries(path), read_digests(path)) if there else ({}, {})
    entries = _merged(current, written, loaded)
    ours = {key: digest(said) for key, said in entries.items() if not _stays(key, current, written, loaded)}
    if entries != current or not there:
        write_digests(path, {key: [*written.get(key, ()), *([ours[key]] if key in ours else ())] for key in entries})
        write_entries(path, entries)
    exact = {key: [mark] for key, mark in ours.items()}
    if exact != written or not there:
        write_digests(path, exact)


def _merged(
    current: Mapping[str, object], written: Mapping[str, list[str]], loaded: Collection[str]
) -> dict[str, object]:
    """The database's entries, but for those that were edited by hand and not loaded, which stay as they are."""
    entries: dict[str, object] = {
        device.key: entry_of(device, current.get(device.key)) for device in Device.objects.all()
    }
    return entries | {key: said for key, said in current.items() if _stays(key, current, written, loaded)}


def _stays(key: str, current: Mapping[str, object], written: Mapping[str, list[str]], loaded: Collection[str]) -> bool:
    return key in current and key not in loaded and _is_edited(key, current[key], written)


def _is_edited(key: str, said: object, written: Mapping[str, list[str]]) -> bool:
    return digest(said) not in written.get(key, ())


def _load_quietly(said: Mapping[str, object], *, dry_run: bool = False) -> list[Outcome]:
    """The file is written once afterwards, not for each device."""
    token = _loading.set(True)
    try:
        return load_entries(said, dry_run=dry_run)
    finally:
        _loading.reset(token)


def _make_example() -> None:
    """Where nobody registered anything yet. Nothing is known to answer there, so it isn't polled."""
    if Device.objects.exists():
        return
    token = _loading.set(True)
    try:
        with transaction.atomic():
            made = register_device(key=EXAMPLE_KEY, name=_EXAMPLE_NAME, host=EXAMPLE_HOST)
            Device.objects.filter(pk=made.pk).update(enabled=False)
    except ValidationError as error:
        _log.info("No example device was made: %s", " ".join(error.messages))
    finally:
        _loading.reset(token)


@contextmanager
def _turn() -> Iterator[None]:
    """One process at a time reads the database and writes the file; the last one sees what all have committed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_TURN_SECONDS}s"])
        cursor.execute("SELECT pg_advisory_lock(%s)", [TURN])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [TURN])
