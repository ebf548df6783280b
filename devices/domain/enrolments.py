"""Enrolling a finger at a terminal because somebody asked for it: a conversation of its own, followed to its end.

The person puts the finger on the sensor three times; how it goes is written down as the terminal tells it. Then the
template is read and stored, so that the person's other terminals get it too. No database connection is kept while the
terminal waits for the finger.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from django.db import Error, connection

from devices.domain.dialling import Bounds, dial
from devices.domain.disabling import held_down
from devices.domain.identity import require_admitted
from devices.domain.lease import Lease
from devices.driver.enrolling import EnrolmentOutcome
from devices.driver.errors import TerminalError, UnknownUserError
from devices.driver.session import TerminalSession
from devices.driver.users import find_user
from devices.models import Device
from iclock.domain.enrolments import SCANS, State, advance, claim, finish, is_wanted, stored_digest, waits_at
from iclock.domain.marks import mark
from iclock.domain.taking import take_finger
from iclock.models import Enrolment, Terminal, TerminalPerson

# How long the terminal waits for the finger, and how long all around that may take in the same conversation.
ENROLMENT_SECONDS: Final = 60.0
_AROUND: Final = 60.0

_ENDINGS: Final[dict[EnrolmentOutcome, tuple[str, str]]] = {
    "failed": (State.FAILED, "The terminal could not read the finger three times: ask again, or take another finger."),
    "duplicate": (State.FAILED, "This finger is somebody's already on the terminal: nothing was enrolled."),
    "cancelled": (State.CANCELLED, "Cancelled at the terminal."),
    "timeout": (State.EXPIRED, "Nobody put the finger on the sensor three times in time."),
}
_NOT_THERE: Final = "{} is not on the terminal yet: {}"
_ON_THEIR_WAY: Final = "they come with one of its next visits. Its page says how far its people are; then ask again."

_log = logging.getLogger(__name__)


class _Ending(NamedTuple):
    state: str
    sentence: str


class _Conversation(NamedTuple):
    device: Device
    lease: Lease
    session: TerminalSession


def carry_out(device: Device, lease: Lease, *, seconds: float = ENROLMENT_SECONDS) -> None:
    """Have the finger enrolled that waits for the device's terminal, if one does.

    What came of it stands in the enrolment's row. Who can't be reached is asked at the next visit, until the enrolment
    expires. ``seconds`` is how long the terminal waits for the finger.
    """
    # As it is by now: the visit whose end this is may have begun a while ago.
    terminal = Terminal.objects.filter(device=device).first()
    if terminal is None or not waits_at(terminal.pk):
        return
    connection.close()
    try:
        require_admitted(terminal)
        with dial(device, Bounds(seconds + _AROUND)) as session:
            if session.serial() == terminal.sn:
                _enrol_who_waits(_Conversation(device, lease, session), terminal, seconds)
    except TerminalError as error:
        _log.warning("No finger was enrolled at device %s: %s", device.key, error)
    except Error:
        _log.exception("What came of an enrolment at device %s could not be stored.", device.key)
        connection.close_if_unusable_or_obsolete()


def _enrol_who_waits(conversation: _Conversation, terminal: Terminal, seconds: float) -> None:
    enrolment = claim(terminal.pk, since=conversation.lease.taken_at)
    connection.close()
    if enrolment is None:
        return
    try:
        ending = _enrol(conversation, enrolment, seconds)
    except UnknownUserError:
        ending = _Ending(State.FAILED, _why_not_there(enrolment))
    except TerminalError as error:
        mark([terminal.pk])  # a finger may be on it all the same: the next comparison finds out
        ending = _Ending(State.FAILED, str(error))
    finish(enrolment, *ending)
    connection.close()


def _why_not_there(enrolment: Enrolment) -> str:
    code = enrolment.employee.emp_code
    row = TerminalPerson.objects.filter(terminal=enrolment.terminal, emp_code=code, held=False)
    return _NOT_THERE.format(code, row.values_list("refusal", flat=True).first() or _ON_THEIR_WAY)


def _enrol(conversation: _Conversation, enrolment: Enrolment, seconds: float) -> _Ending:
    """Raises TerminalError."""
    session = conversation.session
    code, finger = enrolment.employee.emp_code, enrolment.finger
    version = session.fp_version() or enrolment.terminal.fp_version
    seen = stored_digest(enrolment, version=version)
    connection.close()
    session.start_enrolment(code, finger)
    _say(enrolment, scans=0)
    outcome: EnrolmentOutcome | None = None
    for progress in session.enrolment_progress(seconds, cancelled=lambda: _is_cancelled(enrolment)):
        _say(enrolment, scans=progress.scans)
        outcome = progress.outcome
    if outcome != "enrolled":
        return _Ending(*_ENDINGS[outcome or "failed"])
    return _take(conversation, enrolment, version=version, seen=seen)


def _take(conversation: _Conversation, enrolment: Enrolment, *, version: str, seen: str | None) -> _Ending:
    """The finger is on the terminal. What can't be read now is left to the next comparison; what may not be stored
    here doesn't stay there."""
    session = conversation.session
    code, finger = enrolment.employee.emp_code, enrolment.finger
    try:
        template = session.template(find_user(session.users(), code).uid, finger)
    except TerminalError as error:
        mark([enrolment.terminal_id])
        return _Ending(State.DONE, f"Enrolled; it is stored here at the next visit, because now: {error}")
    if template is None:
        return _Ending(State.FAILED, "The terminal said that the finger is enrolled, but doesn't have it: ask again.")
    refused = take_finger(
        enrolment.terminal,
        code,
        finger,
        template,
        person=enrolment.employee.uuid,
        version=version,
        duress=False,
        seen=seen,
    )
    connection.close()
    if refused:
        left = _take_back(conversation, enrolment)
        return _Ending(State.FAILED, f"{left} {refused}")
    return _Ending(State.DONE, "Enrolled, stored, and on its way to the person's other terminals.")


def _take_back(conversation: _Conversation, enrolment: Enrolment) -> str:
    """What was enrolled but may not be kept is deleted on the terminal; what became of that."""
    which = (enrolment.employee.emp_code, enrolment.finger)
    mark([enrolment.terminal_id])  # it may have had another template of this finger, which is known here
    try:
        with held_down(conversation.device, conversation.lease):
            error = conversation.session.delete_fingers([which])[which]
    except TerminalError as lost:
        error = lost
    return f"Enrolled, and still on the terminal: {error}" if error else "Enrolled, and deleted on the terminal again."


def _say(enrolment: Enrolment, *, scans: int) -> None:
    where = f"{scans} of {SCANS} scans are good" if scans else "The terminal waits for the finger"
    advance(enrolment, scans=scans, sentence=f"{where}: it goes on the sensor {SCANS} times.")
    connection.close()


def _is_cancelled(enrolment: Enrolment) -> bool:
    try:
        return not is_wanted(enrolment)
    finally:
        connection.close()
