"""Bringing the right people to a device's terminal, after its punches are stored: a conversation of its own.

What the unit holds is read and noted, the plan made (`iclock.domain.plan`), what was entered at the unit taken, and
the rest written in batches (`devices.domain.people_written`). A conversation that is lost says nothing of the batch
that was under way; the next one begins by reading again.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Final

from django.db import Error, connection, transaction

from devices.domain import schedule
from devices.domain.dialling import dial
from devices.domain.identity import require_admitted, require_same_unit
from devices.domain.lease import Lease
from devices.domain.news import tell_counts
from devices.domain.people_read import Unit, read_unit
from devices.domain.people_written import Reconciliation
from devices.driver.errors import StoppedError, TerminalError
from devices.driver.session import Sizes
from devices.models import Device
from iclock.domain import comparing, placements
from iclock.domain.placements import Sides
from iclock.domain.plan import Intent, Policy
from iclock.domain.unknown_people import judge_strangers
from iclock.models import SyncMark, Terminal
from iclock.policy import Direction
from zkbio.crypto import SealError

# Conversations about people that one process has at a time: the punches of other terminals need places, too.
MOST_AT_ONCE: Final = 16
# Whoever found no place asks again then.
_SOON: Final = timedelta(seconds=10)
_BEFORE_LONG: Final = timedelta(minutes=5)
# Who goes makes room for who has the same code now; what could not be taken is written back.
_ROUNDS: Final = 2

_log = logging.getLogger(__name__)
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


def bring_up_to_date(lease: Lease, sizes: Sizes, *, anew: bool = False) -> None:
    """Compare and reconcile the people of the device's terminal, which counts ``sizes``, when that is due.

    ``anew``: somebody asked for it, and for whatever is known of the fingers there to be read again.

    Whatever the terminal does, or the database refuses, ends in a sentence on its mark or in the log, and the next
    visit goes on. Raises LeaseLostError.
    """
    device = Device.objects.select_related("terminal").get(pk=lease.device_id)
    terminal = device.terminal
    if terminal is None or terminal.admission != Terminal.Admission.APPROVED or terminal.direction == Direction.OFF:
        return
    if anew:
        comparing.doubt_fingers(terminal)
    if not anew and not comparing.is_due(terminal, people=sizes.users, fingers=sizes.fingers):
        return
    if not _places.acquire(blocking=False):
        schedule.request_sync_within(device.pk, _SOON)
        return
    try:
        if _reconcile(device, terminal, lease, sizes):
            schedule.request_sync([device.pk])
        judge_strangers(terminal)
    except StoppedError:
        pass  # this process is stopping; another goes on
    except (TerminalError, SealError) as error:
        _log.warning("The people of device %s are not up to date: %s", device.key, error)
        _try_again(device, terminal, str(error))
    except Error as error:
        _log.exception("What device %s holds of people could not be stored.", device.key)
        connection.close_if_unusable_or_obsolete()
        _try_again(device, terminal, f"Storing failed: {str(error).strip().partition(chr(10))[0]}")
    finally:
        _places.release()


def _try_again(device: Device, terminal: Terminal, sentence: str) -> None:
    """Before long, however long its interval is."""
    try:
        comparing.note_error(terminal, sentence)
        schedule.request_sync_within(device.pk, _BEFORE_LONG)
    except Error:
        _log.exception("That the people of device %s are not up to date could not be noted.", device.key)


def plan_unit(device: Device, terminal: Terminal) -> tuple[list[Intent], Sides]:
    """A dry run: the unit is read, and nothing is written, there or here. Raises TerminalError."""
    mark = SyncMark.objects.filter(terminal=terminal).first() or SyncMark(terminal=terminal)
    require_admitted(terminal)
    connection.close()
    with dial(device) as session:
        require_same_unit(device, session.serial())
        terminal.fp_version = session.fp_version()
        unit = read_unit(device, terminal, mark, session, session.sizes())
    with transaction.atomic():
        sides = _note(unit)
        transaction.set_rollback(True)
    return placements.intents_of(sides, placements.policy_of(terminal, mark)), sides


def _reconcile(device: Device, terminal: Terminal, lease: Lease, sizes: Sizes) -> bool:
    """Whether anything is left to do, or came up meanwhile."""
    mark = comparing.begin(terminal)
    connection.close()
    with dial(device) as session:
        if session.serial() != terminal.sn:
            return False  # of which the visit tells
        comparing.note_version(terminal, session.fp_version())
        unit = read_unit(device, terminal, mark, session, sizes)
        sides = _note(unit)
        work = Reconciliation(device, lease, session, unit, sides)
        complete = _carry_out(work, sides, placements.policy_of(terminal, mark))
        counts = session.sizes()
    tell_counts(terminal, counts)
    if unit.error:
        comparing.note_error(terminal, unit.error)
    expected_people, expected_fingers = work.expected(sizes)
    return comparing.finish(
        terminal,
        mark,
        people=expected_people,
        fingers=expected_fingers,
        fingers_read=unit.templates is not None,
        complete=complete,
    )


def _carry_out(work: Reconciliation, sides: Sides, policy: Policy) -> bool:
    """False when the time was over before all of it was done."""
    for again in range(_ROUNDS):
        intents = placements.intents_of(sides, policy)
        if again and not intents:
            break
        comparing.note_plan(work.terminal, intents, again=bool(again))
        connection.close()
        if not work.carry_out(intents):
            return False
    return True


def _note(unit: Unit) -> Sides:
    return placements.note_held(
        unit.terminal, unit.held(), fingers=unit.fingers(), remarks=unit.remarks, room=unit.room
    )
