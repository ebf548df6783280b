"""One visit to one device: retrieve, decide, decode, store. The only way in which a pulled punch gets here.

No database connection is held while the terminal talks, and nothing of the terminal is trusted before it is whole.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import Error, connection, transaction
from django.db.models import F
from django.db.models.functions import Least, Now
from django.utils import timezone

from devices.domain import commands, schedule
from devices.domain.commands import Errands
from devices.domain.dialling import Bounds, dial
from devices.domain.identity import require_admitted, require_same_unit, terminal_of
from devices.domain.lease import BusyError, Lease, confirm, hold
from devices.domain.memory import known_bytes, needs_download, remember
from devices.domain.storing import storing
from devices.driver.errors import StoppedError, TerminalError
from devices.driver.session import Identity, Sizes, TerminalSession
from devices.driver.tables import Rows, decode_punches
from devices.models import Device, SyncRun
from iclock.domain import presence
from iclock.domain.commands import READS
from iclock.domain.ingest import Counts, record_punches
from iclock.models import Terminal, TerminalCommand
from iclock.punch import Punch, Source
from zkbio.clock import read_wall, zone

_NO_ROWS: Final = Rows(0, b"")
_NO_ERRANDS: Final = Errands(frozenset(), reads=False, restart=False)
_MOST_DRIFT: Final = 2**31 - 1

_log = logging.getLogger(__name__)


class StorageError(TerminalError):
    """What the terminal told could not be stored."""

    code = "storage"


class Visit(NamedTuple):
    """What a terminal told in one conversation. ``rows`` is None when its log was not downloaded."""

    identity: Identity
    sizes: Sizes
    wall: datetime | None
    heard_at: datetime
    rows: Rows | None
    user_ids: dict[int, str]
    reads: list[TerminalCommand]


class Reading(NamedTuple):
    """The run as it stands in the history, and either what the terminal told or what went wrong.

    ``punches`` are those behind the ``run.known`` first rows of its log, which were decoded to be stored.
    """

    run: SyncRun
    visit: Visit | None = None
    punches: Sequence[Punch] = ()
    error: TerminalError | None = None


class Stored(NamedTuple):
    """What came of a visit. ``remembered`` is what to keep of the log with the run: nothing, if it is kept already."""

    terminal: Terminal
    known: int
    counts: Counts
    remembered: dict[str, Any]
    punches: Sequence[Punch] = ()


def sync_device(device_id: int, *, trigger: SyncRun.Trigger) -> SyncRun | None:
    """Visit a device and write the history; None when another worker has it or it is gone.

    Whatever the terminal does, and whatever the database refuses, ends in the run's words; what was stored until then
    stays, and the next visit brings the rest. Raises LeaseLostError when the device was taken over, edited or deleted
    in between, and django.db.Error when not even the run can be written.
    """
    try:
        with hold(device_id) as lease:
            return _visit_and_record(lease, trigger).run
    except BusyError:
        return None


def read_whole_log(lease: Lease, *, bounds: Bounds) -> Reading:
    """Visit the device for somebody who waits for all it holds; it is stored and told of like any other visit.

    Raises Device.DoesNotExist, and what `sync_device` raises.
    """
    return _visit_and_record(lease, SyncRun.Trigger.LIVE, bounds)


def _visit_and_record(lease: Lease, trigger: SyncRun.Trigger, bounds: Bounds | None = None) -> Reading:
    """With ``bounds`` somebody waits: then the whole log is read, and the next visit is due when it was due before, to
    whatever waits for the terminal."""
    device = Device.objects.select_related("terminal__area").get(id=lease.device_id)
    run = SyncRun(device=device, trigger=trigger, started_at=timezone.now())
    errands = _NO_ERRANDS if bounds else commands.errands_of(device.pk)
    connection.close()
    reading = _visit(device, lease, run, errands, bounds)
    if not bounds and commands.errands_of(device.pk).ids - errands.ids:
        # Asked for during the visit, whose end must not put it off.
        schedule.request_sync([device.pk])
    return reading


def _visit(device: Device, lease: Lease, run: SyncRun, errands: Errands, bounds: Bounds | None) -> Reading:
    try:
        visit = _retrieve(device, lease, errands, bounds)
        with storing():
            stored = _store(device, lease, visit)
        if errands.restart:
            commands.restart(device, stored.terminal, lease)
        return Reading(_succeeded(device, lease, run, visit, stored), visit=visit, punches=stored.punches)
    except TerminalError as error:
        return Reading(_failed(device, lease, run, error), error=error)
    except Error as error:
        _log.exception("What device %s told could not be stored.", device.key)
        connection.close_if_unusable_or_obsolete()
        sentence = str(error).strip().partition("\n")[0]
        failure = StorageError(f"Nothing was lost, but storing failed: {sentence}")
        return Reading(_failed(device, lease, run, failure), error=failure)


def _retrieve(device: Device, lease: Lease, errands: Errands, bounds: Bounds | None) -> Visit:
    if device.terminal is not None:
        require_admitted(device.terminal)
    with dial(device, bounds) as session:
        identity = session.identity()
        require_same_unit(device, identity.serial)
        wall, heard_at = session.clock(), timezone.now()
        sizes = session.sizes()
        reads = commands.claim(device.terminal, READS, lease) if device.terminal and errands.reads else []
        wanted = bounds or reads or needs_download(device, sizes, lease.taken_at)
        rows = _download(session, sizes) if wanted else None
        user_ids = {user.uid: user.user_id for user in session.users()} if rows and rows.width == 8 else {}
        return Visit(identity, sizes, wall, heard_at, rows, user_ids, reads)


def _download(session: TerminalSession, sizes: Sizes) -> Rows:
    """Many units have no answer for a table without rows; the counter is certain, so it isn't asked for."""
    return session.punch_rows(sizes) if sizes.punches else _NO_ROWS


def _store(device: Device, lease: Lease, visit: Visit) -> Stored:
    terminal = terminal_of(device, lease, visit.identity, visit.sizes)
    require_admitted(terminal)
    if visit.rows is None:
        return Stored(terminal, 0, Counts(), {})
    unknown = visit.rows.tail(known_bytes(device, visit.rows))
    remembered = remember(visit.rows)
    if not unknown:
        commands.finish_reads(visit.reads, rows=len(visit.rows), counts=Counts())
        return Stored(terminal, len(visit.rows), Counts(), remembered)
    log = decode_punches(unknown, user_ids=visit.user_ids)
    counts = record_punches(
        terminal,
        log.punches,
        source=Source.PULL,
        rejects=log.rejects,
        move_cursor=lambda: confirm(lease, **remembered),
    )
    commands.finish_reads(visit.reads, rows=len(visit.rows), counts=counts)
    return Stored(terminal, len(visit.rows) - len(unknown), counts, {}, log.punches)


def _succeeded(device: Device, lease: Lease, run: SyncRun, visit: Visit, stored: Stored) -> SyncRun:
    run.outcome = SyncRun.Outcome.UNCHANGED if visit.rows is None else SyncRun.Outcome.OK
    run.announced = 0 if visit.rows is None else len(visit.rows)
    run.known, (run.new, run.duplicate, run.quarantined) = stored.known, stored.counts
    run.users, run.drift = visit.sizes.users, _drift(visit, stored.terminal)
    if device.failures:
        _log.info("Device %s answers again after %d failures.", device.key, device.failures)
    wait = schedule.wait_after(interval=device.interval, failures=0)
    with transaction.atomic():
        presence.mark_online(stored.terminal)
        return _finish(lease, run, wait=wait, failures=0, **stored.remembered)


def _failed(device: Device, lease: Lease, run: SyncRun, error: TerminalError) -> SyncRun:
    run.outcome, run.error_code, run.error = SyncRun.Outcome.FAILED, error.code, str(error)[:500]
    if isinstance(error, StoppedError):
        return _finish(lease, run, wait=timedelta(0))
    failures = device.failures + 1
    if failures == 1:
        _log.warning("Device %s fails: %s", device.key, error)
    if device.terminal is not None and not isinstance(error, StorageError):
        presence.mark_offline(device.terminal, reason=str(error))
    wait = schedule.wait_after(interval=device.interval, failures=failures)
    return _finish(lease, run, wait=wait, failures=failures)


def _finish(lease: Lease, run: SyncRun, *, wait: timedelta, **changes: Any) -> SyncRun:
    """Write the run, and these columns of the device, which is due after ``wait``.

    A visit for somebody who waits never puts off the next one; when it went well, it ends a back-off.
    """
    run.finished_at = timezone.now()
    due: Any = Now() + wait
    if run.trigger == SyncRun.Trigger.LIVE:
        due = F("next_poll_at") if run.outcome == SyncRun.Outcome.FAILED else Least(F("next_poll_at"), due)
    with transaction.atomic(savepoint=False):
        run.save()
        confirm(lease, next_poll_at=due, **changes)
    return run


def _drift(visit: Visit, terminal: Terminal) -> int | None:
    """Seconds by which the terminal's clock is ahead of ours; bounded to what the column holds: clocks say anything."""
    if visit.wall is None:
        return None
    instant = read_wall(visit.wall, zone(terminal.time_zone)).instant(visit.wall)
    return max(-_MOST_DRIFT, min(_MOST_DRIFT, round((instant - visit.heard_at).total_seconds())))
