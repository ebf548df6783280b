"""One visit to one device: retrieve, decide, decode, store. The only way in which a pulled punch gets here.

No database connection is held while the terminal talks, and nothing of the terminal is trusted before it is whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import F
from django.db.models.functions import Least

from devices.domain import clearing, clocks, commands, enrolments, people, schedule
from devices.domain.clocks import Correction, DatabaseClock
from devices.domain.commands import Errands
from devices.domain.dialling import Bounds, dial
from devices.domain.identity import (
    WrongUnitError,
    note_right_unit,
    note_stranger,
    require_admitted,
    require_same_unit,
    terminal_of,
)
from devices.domain.lease import BusyError, Lease, confirm, hold
from devices.domain.memory import known_bytes, needs_download
from devices.domain.news import Heard, News, doubtful_stamps, news_of, report_of, write_news, write_news_of_terminal
from devices.domain.rereading import decode_rows
from devices.domain.storing import storing
from devices.driver.errors import StoppedError, TerminalError, TimedOutError
from devices.driver.session import Identity, Sizes, TerminalSession
from devices.driver.tables import Rows
from devices.models import Device, SyncRun
from iclock.domain import health, presence
from iclock.domain.commands import READS, Kind
from iclock.domain.ingest import Counts, fault_of, record_punches
from iclock.models import TerminalCommand
from iclock.punch import Punch, Source

_NO_ROWS: Final = Rows(0, b"")

_log = logging.getLogger(__name__)


class StorageError(TerminalError):
    """What the terminal told could not be stored."""

    code = "storage"


class Occasion(NamedTuple):
    """A visit that is going on. With ``bounds`` somebody waits for it, and for all that the terminal holds."""

    device: Device
    lease: Lease
    clock: DatabaseClock
    run: SyncRun
    bounds: Bounds | None


class Visit(NamedTuple):
    """What a terminal told in one conversation. ``rows`` is None when its log was not downloaded."""

    identity: Identity
    sizes: Sizes
    wall: datetime | None
    heard_at: datetime
    rows: Rows | None
    user_ids: dict[int, str]
    reads: list[TerminalCommand]
    correction: Correction | None = None

    def heard(self) -> Heard:
        return Heard(self.wall, self.heard_at, self.sizes, self.rows)


class Reading(NamedTuple):
    """The run as it stands in the history, and either what the terminal told or what went wrong.

    ``punches`` are those behind the ``run.known`` first rows of its log, which were decoded to be stored.
    """

    run: SyncRun
    visit: Visit | None = None
    punches: Sequence[Punch] = ()
    error: TerminalError | None = None


class Stored(NamedTuple):
    """What came of a visit. Its news are still to be written, with the run, unless they were with the punches."""

    news: News
    known: int = 0
    counts: Counts = Counts()
    written: bool = False
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
    errands, clock = commands.errands_of(device.pk), clocks.read_clock()
    run = SyncRun(device=device, trigger=trigger, started_at=clock.now())
    connection.close()
    reading = _visit(Occasion(device, lease, clock, run, bounds), errands)
    if bounds:
        return reading
    if reading.visit is not None:
        _run_errands(device, lease, errands, reading.visit)
    if commands.errands_of(device.pk).ids - errands.ids:
        # Asked for during the visit, whose end must not put it off.
        schedule.request_sync([device.pk])
    return reading


def _run_errands(device: Device, lease: Lease, errands: Errands, visit: Visit) -> None:
    """Once everything is stored, each in a conversation of its own; the restart comes last."""
    if errands.clear:
        clearing.clear_log(lease)
    people.bring_up_to_date(lease, visit.sizes, anew=any(read.kind == Kind.UPLOAD_ALL for read in visit.reads))
    enrolments.carry_out(device, lease)
    if errands.restart and device.terminal is not None:
        commands.restart(device, device.terminal, lease)


def _visit(occasion: Occasion, errands: Errands) -> Reading:
    device = occasion.device
    try:
        if errands.clear:
            occasion = _settled(occasion)
        visit = _retrieve(occasion, errands)
        with storing(occasion.bounds):
            stored = _store(occasion, visit)
        return Reading(_succeeded(occasion, visit, stored), visit=visit, punches=stored.punches)
    except TerminalError as error:
        return Reading(_failed(occasion, error), error=error)
    except Error as error:
        _log.exception("What device %s told could not be stored.", device.key)
        connection.close_if_unusable_or_obsolete()
        sentence = str(error).strip().partition("\n")[0]
        failure = StorageError(f"Nothing was lost, but storing failed: {sentence}")
        return Reading(_failed(occasion, failure), error=failure)


def _settled(occasion: Occasion) -> Occasion:
    """After it is known what came of a clear that a worker left undone: of the log another thing is remembered then."""
    clearing.settle(occasion.device, occasion.lease, bounds=occasion.bounds)
    device = Device.objects.select_related("terminal__area").get(pk=occasion.device.pk)
    connection.close()
    return occasion._replace(device=device)


def _retrieve(occasion: Occasion, errands: Errands) -> Visit:
    """Raises TerminalError. One in setting the clock comes after the reading, and costs nothing of it."""
    visit, drift = None, None
    device, lease, clock, _, bounds = occasion
    if device.terminal is not None:
        require_admitted(device.terminal)
    try:
        with dial(device, bounds) as session:
            identity = session.identity()
            require_same_unit(device, identity.serial)
            wall, heard_at = session.clock(), clock.now()
            sizes = session.sizes()
            asked = device.terminal is not None and errands.reads and not bounds
            reads = commands.claim(device.terminal, READS, lease) if asked and device.terminal else []
            wanted = bounds or reads or needs_download(device, sizes, lease.taken_at)
            rows = _download(session, sizes) if wanted else None
            user_ids = {user.uid: user.user_id for user in session.users()} if rows and rows.width == 8 else {}
            visit = Visit(identity, sizes, wall, heard_at, rows, user_ids, reads)
            drift = None if bounds or wall is None else clocks.drift_of(wall, heard_at, clocks.zone_of(device))
            return visit._replace(correction=clocks.correct_clock(session, device, drift))
    except TerminalError as error:
        if visit is None or drift is None:
            raise
        return visit._replace(correction=Correction(drift, error=error))


def _download(session: TerminalSession, sizes: Sizes) -> Rows:
    """Many units have no answer for a table without rows; the counter is certain, so it isn't asked for."""
    return session.punch_rows(sizes) if sizes.punches else _NO_ROWS


def _store(occasion: Occasion, visit: Visit) -> Stored:
    device, lease, clock, *_ = occasion
    terminal = terminal_of(device, lease, visit.identity)
    require_admitted(terminal)
    read_at, news = clock.now(), news_of(device, terminal, visit.heard())
    if visit.rows is None:
        return Stored(news)
    unknown = visit.rows.tail(known_bytes(device, visit.rows))
    known = len(visit.rows) - len(unknown)
    if not unknown:
        commands.finish_reads(visit.reads, rows=known, counts=Counts())
        return Stored(news, known)
    log = decode_rows(terminal.sn, unknown, known=known, user_ids=visit.user_ids)
    if log.rejects or any(map(fault_of, log.punches)):
        # What goes to the quarantine may be punches, and isn't stored.
        news = news._replace(complete_until=None)
    counts = record_punches(
        terminal,
        log.punches,
        source=Source.PULL,
        rejects=log.rejects,
        doubtful=doubtful_stamps(terminal, visit.heard(), now=read_at),
        move_cursor=lambda: write_news(lease, news),
    )
    commands.finish_reads(visit.reads, rows=len(visit.rows), counts=counts)
    return Stored(news, known, counts, written=True, punches=log.punches)


def _succeeded(occasion: Occasion, visit: Visit, stored: Stored) -> SyncRun:
    device, lease, _, run, _ = occasion
    news = stored.news
    run.outcome = SyncRun.Outcome.UNCHANGED if visit.rows is None else SyncRun.Outcome.OK
    run.announced = 0 if visit.rows is None else len(visit.rows)
    run.known, (run.new, run.duplicate, run.quarantined) = stored.known, stored.counts
    run.users, run.drift = visit.sizes.users, clocks.seconds_of(news.drift)
    if device.failures:
        _log.info("Device %s answers again after %d failures.", device.key, device.failures)
    wait = schedule.wait_after(interval=device.interval, failures=0)
    again = visit.correction is not None and clocks.was_set_before(device, visit.correction)
    with transaction.atomic():
        _finish(occasion, wait=wait, failures=0, **({} if stored.written else news.remembered))
        if not stored.written:
            write_news_of_terminal(news)
        note_right_unit(device, lease, news.terminal)
        health.note_contact(news.terminal, report_of(news, visit.heard(), visit.correction, again=again))
        if visit.correction is not None:
            clocks.record_correction(device, visit.correction)
    return run


def _failed(occasion: Occasion, error: TerminalError) -> SyncRun:
    device, lease, _, run, _ = occasion
    run.outcome, run.error_code, run.error = SyncRun.Outcome.FAILED, error.code, str(error)[:500]
    if isinstance(error, StoppedError) or _was_cut_short(occasion, error):
        return _finish(occasion, wait=timedelta(0))
    failures = device.failures + 1
    if failures == 1:
        _log.warning("Device %s fails: %s", device.key, error)
    wait = schedule.wait_after(interval=device.interval, failures=failures)
    with transaction.atomic():
        _finish(occasion, wait=wait, failures=failures)
        if isinstance(error, WrongUnitError):
            note_stranger(device, lease, error)
        if device.terminal is not None and not isinstance(error, StorageError):
            presence.mark_offline(device.terminal, reason=str(error))
    return run


def _was_cut_short(occasion: Occasion, error: TerminalError) -> bool:
    """Whether somebody who waited gave it less time than any visit has, and that time was over: nobody's fault."""
    bounds, now = occasion.bounds, time.monotonic()
    if bounds is None:
        return False
    if isinstance(error, StorageError):
        return now >= bounds.until
    over = now - occasion.clock.at >= bounds.seconds < settings.DEVICE_SESSION_SECONDS
    return over and isinstance(error, TimedOutError)


def _finish(occasion: Occasion, *, wait: timedelta, **changes: Any) -> SyncRun:
    """Write the run, and these columns of the device, which is due after ``wait``, but not in its quiet hours.

    A visit for somebody who waits never puts off the next one; when it went well, it ends a back-off.
    """
    device, lease, clock, run, _ = occasion
    run.finished_at = clock.now()
    due: Any = clock.now() + wait
    if wait:
        due = schedule.outside_of_quiet_hours(device, due, where=clocks.zone_of(device))
    if run.trigger == SyncRun.Trigger.LIVE:
        due = F("next_poll_at") if run.outcome == SyncRun.Outcome.FAILED else Least(F("next_poll_at"), due)
    with transaction.atomic(savepoint=False):
        run.save()
        confirm(lease, next_poll_at=due, **changes)
    return run
