"""Clearing a terminal's punch log because somebody asked for it: an errand after a visit, in a conversation of its own.

The order is the rule: disable, read, COMMIT, count again on both sides, confirm the lease, clear, see that it is
empty, note it, enable. Whatever doesn't agree ends in no clear and a sentence. A few rows that can't be punches don't
stand in the way, because their bytes are in the quarantine; many do: then the log's layout is not understood.

Before the clear is sent its command says so. What a worker left undone is settled at the next contact by the log
itself, before anything else is made of it; a clear is never sent twice for one command.
"""

from __future__ import annotations

import logging
from typing import Final

from django.db import Error, connection, transaction
from django.db.models.functions import Now

from devices.domain import clocks
from devices.domain.commands import claim
from devices.domain.dialling import Bounds, dial
from devices.domain.disabling import held_down
from devices.domain.identity import require_admitted
from devices.domain.lease import Lease, confirm
from devices.domain.memory import known_bytes, remember
from devices.domain.news import Heard, doubtful_stamps
from devices.domain.rereading import decode_rows
from devices.driver.errors import RefusedError, TerminalError
from devices.driver.session import Sizes, TerminalSession
from devices.driver.tables import Rows
from devices.models import Device
from iclock.domain.clearing import finish_clearing, what_is_missing
from iclock.domain.commands import Kind, State
from iclock.domain.ingest import record_punches
from iclock.models import Terminal, TerminalCommand
from iclock.punch import Source

NO_LOG: Final = Rows(0, b"")
# More rows that can't be punches than one in so many, and more than a handful: is the layout understood at all?
_ONE_REJECT_IN: Final = 10
_HANDFUL: Final = 10

_EMPTY: Final = "The log was empty already; nothing was cleared."
_UNTOUCHED: Final = "Nothing was cleared, and nothing is lost: {} Ask again once that is mended."
_INTERRUPTED: Final = "Nothing was cleared, and nothing is lost: it was interrupted. Ask again."
_STILL_THERE: Final = "The log is still there, and nothing is lost: {} Ask again once that is mended."
_CLEARED: Final = "Cleared: {} punches are stored here{}."
_CLEARED_THOUGH: Final = "Cleared, all of it is stored here; but {}"
_WORKER: Final = "the worker was interrupted."

_log = logging.getLogger(__name__)


class DoubtError(TerminalError):
    """Something doesn't agree, so nothing is cleared."""

    code = "doubt"
    in_step = True


def clear_log(lease: Lease) -> None:
    """Carry out the clear that waits for the device's terminal, if one does. Who can't be reached is asked next time.

    Raises LeaseLostError; what a lost worker left is settled by the one that has the device now.
    """
    device = _load(lease)
    if device.terminal is None:
        return
    require_admitted(device.terminal)
    connection.close()
    attempt = _Attempt(device, device.terminal, lease)
    try:
        with dial(device) as session:
            attempt.carry_out(session)
    except TerminalError as error:
        _log.warning("The log of device %s: %s", device.key, error)
        attempt.conclude(error)
    except Error:
        _log.exception("What came of clearing the log of device %s could not be stored.", device.key)
        connection.close_if_unusable_or_obsolete()


def settle(device: Device, lease: Lease, *, bounds: Bounds | None = None) -> None:
    """Say what came of a clear that a worker left undone, before anything is made of a log that may be gone.

    What is remembered of the device's log is another thing afterwards. Raises TerminalError when the terminal can't be
    asked, LeaseLostError, and django.db.Error.
    """
    left = TerminalCommand.objects.filter(
        terminal__device=device.pk, kind=Kind.CLEAR_LOG, state=State.SENT, sent_at__lt=lease.taken_at
    )
    for command in left.select_related("terminal", "created_by"):
        _settle(lease, command, because=_WORKER, bounds=bounds)


class _Attempt:
    """One conversation in which a log may be cleared."""

    def __init__(self, device: Device, terminal: Terminal, lease: Lease) -> None:
        self._device, self._terminal, self._lease = device, terminal, lease
        self._command: TerminalCommand | None = None
        self._sent = False

    def carry_out(self, session: TerminalSession) -> None:
        """Claims the command only from the right unit; another's visit has said that it is another."""
        if session.serial() != self._terminal.sn:
            return
        for command in claim(self._terminal, [Kind.CLEAR_LOG], self._lease):
            self._command = command
            with held_down(self._device, self._lease), session.disabled():
                self._clear(session, command)

    def conclude(self, error: TerminalError) -> None:
        """After an error: before the clear was sent nothing has happened; after it only the log can tell."""
        if self._command is None:
            return
        if not self._sent or isinstance(error, RefusedError):
            finish_clearing(self._command, ok=False, sentence=_UNTOUCHED.format(_sentence(error)))
            return
        try:
            _settle(self._lease, self._command, because=_sentence(error))
        except TerminalError as again:
            _log.warning("What came of clearing device %s is asked at its next visit: %s", self._device.key, again)

    def _clear(self, session: TerminalSession, command: TerminalCommand) -> None:
        sizes = session.sizes()
        if not sizes.punches:
            finish_clearing(command, ok=True, sentence=_EMPTY)
            connection.close()
            return
        rows, quarantined = self._store(session, sizes)
        _require_count(session.sizes(), rows)
        self._announce(command, rows)
        self._sent = True
        session.clear_log()
        kept = f", {quarantined} of them as records in quarantine that can't be punches" if quarantined else ""
        _note_cleared(self._lease, command, _CLEARED.format(len(rows), kept))
        connection.close()

    def _store(self, session: TerminalSession, sizes: Sizes) -> tuple[Rows, int]:
        """The whole log once more through the door, whatever is remembered of it; how many rows it quarantined.

        Rows of 8 bytes carry a number that may be another person's by now, so those known by their digest stay as
        they were stored.
        """
        clock = clocks.read_clock()
        connection.close()
        wall, heard_at = session.clock(), clock.now()
        rows = session.punch_rows(sizes)
        users = {user.uid: user.user_id for user in session.users()} if rows.width == 8 else {}
        known = known_bytes(self._device, rows) if rows.width == 8 else 0
        log = decode_rows(self._terminal.sn, rows.tail(known), known=known, user_ids=users)
        counts = record_punches(
            self._terminal,
            log.punches,
            source=Source.PULL,
            rejects=log.rejects,
            doubtful=doubtful_stamps(self._terminal, Heard(wall, heard_at, sizes, rows), now=clock.now()),
            move_cursor=lambda: confirm(self._lease, **remember(rows)),
        )
        missing = what_is_missing(self._terminal.sn, log.punches, log.rejects)
        connection.close()
        told, held = sum(counts), len(rows) - (known // rows.width)
        if missing or told != held:
            raise DoubtError(f"of {held} rows that were read {told} went through the door and {missing} are not here.")
        if counts.quarantined > max(_HANDFUL, len(rows) // _ONE_REJECT_IN):
            raise DoubtError(f"{counts.quarantined} of {len(rows)} rows can't be punches: is this firmware known?")
        return rows, counts.quarantined

    def _announce(self, command: TerminalCommand, rows: Rows) -> None:
        """The last thing before the clear. Raises LeaseLostError, and DoubtError for a command that is over."""
        mine = TerminalCommand.objects.filter(pk=command.pk, state=State.SENT, sent_at=command.sent_at)
        with transaction.atomic():
            confirm(self._lease, unchanged={"lease_expires_at__gt": Now()}, **remember(rows))
            if not mine.update(result=f"All {len(rows)} punches are stored here; the log is being cleared."):
                raise DoubtError("the command was ended meanwhile.")
        connection.close()


def _settle(lease: Lease, command: TerminalCommand, *, because: str, bounds: Bounds | None = None) -> None:
    announced = TerminalCommand.objects.filter(pk=command.pk).values_list("result", flat=True).first()
    if not announced:
        finish_clearing(command, ok=False, sentence=_INTERRUPTED)
        return
    device = _load(lease)
    connection.close()
    there = _is_log_there(device, command.terminal, bounds)
    if there:
        finish_clearing(command, ok=False, sentence=_STILL_THERE.format(because))
    elif there is not None:
        _note_cleared(lease, command, _CLEARED_THOUGH.format(because))


def _is_log_there(device: Device, terminal: Terminal, bounds: Bounds | None) -> bool | None:
    """Whether the unit still holds the log that was read last, or what is left of it. Raises TerminalError.

    None where another unit answers, of which the visit tells: the right one is asked once it is back.
    """
    with dial(device, bounds) as session:
        if session.serial() != terminal.sn:
            return None
        sizes = session.sizes()
        return bool(known_bytes(device, session.punch_rows(sizes) if sizes.punches else NO_LOG))


def _note_cleared(lease: Lease, command: TerminalCommand, sentence: str) -> None:
    """The empty log is remembered together with the sentence that tells why: nobody is alarmed about it."""
    with transaction.atomic():
        confirm(lease, **remember(NO_LOG))
        finish_clearing(command, ok=True, sentence=sentence)


def _require_count(sizes: Sizes, rows: Rows) -> None:
    if sizes.punches != len(rows):
        raise DoubtError(
            f"{len(rows)} punches were read and stored, but now the unit counts {sizes.punches}: did somebody punch?"
        )


def _load(lease: Lease) -> Device:
    return Device.objects.select_related("terminal__area").get(pk=lease.device_id)


def _sentence(error: TerminalError) -> str:
    """With a full stop, where something follows."""
    said = str(error).strip()
    return said if said.endswith(("?", ".")) else f"{said}."
