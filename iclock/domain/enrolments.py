"""Enrolling a finger at a terminal: asked for here, carried out by whoever speaks to the terminal.

As with commands, the state only moves forward and the row that an UPDATE finds decides. Of a worker that died in
between nothing is heard; the person has left by then, so nothing is begun a second time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from iclock.domain.belonging import belonging_to
from iclock.domain.marks import hold_terminals
from iclock.domain.standing import Standing, standing_of
from iclock.domain.terminals import call_terminals
from iclock.models import Biodata, Enrolment, Terminal, TerminalPerson, TerminalPresence
from iclock.models.enrolment import EnrolmentQuerySet
from iclock.policy import Direction
from personnel.models import Employee
from zkbio.accounts.domain.audit import record

State = Enrolment.State

FINGERS: Final = range(10)
SCANS: Final = 3
# Longer than the conversation with the terminal may take.
PATIENCE: Final = timedelta(minutes=4)

WAITING: Final = "The terminal is called; it asks for the finger within seconds if it answers."
NOBODY_CAME: Final = "The terminal was not reached in time: ask again once it answers."
CANCELLED: Final = "Cancelled here."
INTERRUPTED: Final = (
    "It was interrupted, and what came of it isn't known: the next comparison finds a finger, or ask again."
)

_SEE_PEOPLE: Final = "personnel.view_employee"
_BATCH: Final = 10_000
_OVERDUE: Final = Q(state=State.QUEUED, expires_at__lte=Now())
_GIVEN_UP: Final = Q(state=State.RUNNING, started_at__lte=Now() - PATIENCE)
_ANOTHER: Final = "see the list of people on terminals, and decide there."


def ask(terminal: Terminal, employee: Employee, finger: int, *, user: Any, actor: object) -> Enrolment:
    """Ask for a finger (0 to 9) of a person to be enrolled by the next visit to a terminal, which is called.

    ``user`` is who may see both, None for a command; ``actor`` the user or their request. Raises ValidationError.
    """
    expire()
    _require_sense(terminal, employee, finger, user=user)
    try:
        with transaction.atomic():
            hold_terminals([terminal.pk])
            enrolment = Enrolment.objects.create(
                terminal=terminal, employee=employee, finger=finger, created_by=user, sentence=WAITING
            )
            _note(enrolment, actor=actor, action="iclock.ask_to_enrol")
            call_terminals([terminal.pk])
    except IntegrityError as error:
        raise ValidationError(_occupied(terminal, user)) from error
    enrolment.refresh_from_db()
    return enrolment


def waits_at(terminal_id: int) -> bool:
    """Whether there is one to be claimed, or one that was broken off. One that may not be carried out any more ends."""
    _end_unfit(terminal_id)
    return Enrolment.objects.open().filter(terminal=terminal_id).exists()


def claim(terminal_id: int, *, since: datetime) -> Enrolment | None:
    """The enrolment that the caller carries out now, given to one caller only; what was asked of it is asked again.

    The caller alone speaks to the terminal since ``since``: one that was begun before then was broken off.
    """
    with transaction.atomic():
        of_terminal = Enrolment.objects.filter(terminal=terminal_id)
        _end(of_terminal.filter(state=State.RUNNING, started_at__lt=since), State.FAILED, INTERRUPTED)
        _end_unfit(terminal_id)
        waiting = of_terminal.filter(state=State.QUEUED, expires_at__gt=Now())
        if not waiting.update(state=State.RUNNING, started_at=Now(), sentence=""):
            return None
        return of_terminal.select_related("terminal", "employee", "created_by").get(state=State.RUNNING)


def is_wanted(enrolment: Enrolment) -> bool:
    """Whether a claimed one is still the caller's to carry out, and nobody cancelled it."""
    return _mine(enrolment).exists()


def advance(enrolment: Enrolment, *, scans: int, sentence: str) -> bool:
    """Say how a claimed one stands; False when it is over already."""
    return _mine(enrolment).update(scans=min(scans, SCANS), sentence=sentence[:300]) == 1


def finish(enrolment: Enrolment, state: str, sentence: str) -> bool:
    """Say what came of a claimed one, in the trail too; False when it is over already."""
    with transaction.atomic():
        if not _mine(enrolment).update(state=state, sentence=sentence[:300], finished_at=Now()):
            return False
        _note_end(enrolment, state, sentence)
    return True


def cancel(enrolment: Enrolment, *, actor: object) -> bool:
    """Nobody is enrolled any more; who carries it out notices and says so to the terminal. False when it was over."""
    with transaction.atomic():
        ended = _end(Enrolment.objects.open().filter(pk=enrolment.pk), State.CANCELLED, CANCELLED)
        if ended:
            _note(enrolment, actor=actor, action="iclock.cancel_enrolment")
    return ended == 1


def expire() -> int:
    """End what no terminal came for and what nobody will tell of any more; how many these were."""
    overdue = _end(Enrolment.objects.filter(_OVERDUE), State.EXPIRED, NOBODY_CAME)
    return overdue + _end(Enrolment.objects.filter(_GIVEN_UP), State.FAILED, INTERRUPTED)


def purge() -> int:
    """Forget what was over ``RUN_HISTORY_DAYS`` ago, a batch at a time; how many these were."""
    limit = Now() - timedelta(days=settings.RUN_HISTORY_DAYS)
    old = Enrolment.objects.filter(finished_at__lt=limit).order_by("pk").values_list("pk", flat=True)
    deleted, _ = Enrolment.objects.filter(pk__in=list(old[:_BATCH])).delete()
    return deleted


def stored_digest(enrolment: Enrolment, *, version: str) -> str | None:
    """Of the template that is stored of this finger, None when there is none."""
    stored = Biodata.objects.filter(
        employee=enrolment.employee_id,
        bio_type=Biodata.Type.FINGERPRINT,
        bio_no=enrolment.finger,
        bio_index=0,
        major_ver=version,
    )
    return stored.values_list("digest", flat=True).first()


def _require_sense(terminal: Terminal, employee: Employee, finger: int, *, user: Any) -> None:
    if finger not in FINGERS:
        raise ValidationError(f"Fingers are numbered 0 to 9; there is no finger {finger}.")
    if user is not None and not _sees(user, terminal, employee):
        raise ValidationError("This terminal or this person is outside of your limits.")
    if refusal := _why_not(terminal, employee, who=str(employee)):
        raise ValidationError(refusal)
    if not TerminalPresence.objects.filter(terminal=terminal, expected=True).exists():
        raise ValidationError(
            f"Nobody polls {terminal}, or it was never reached: nobody would ask for the finger there."
        )


def _why_not(terminal: Terminal, employee: Employee, *, who: str) -> str:
    """Why nobody may ask for a finger of this person (``who``, in the sentence) there; "" when they may."""
    if terminal.admission != Terminal.Admission.APPROVED:
        return f"{terminal} is not approved: approve the terminal first."
    if terminal.direction == Direction.OFF:
        return f"The people of {terminal} are its own (direction “off”): nothing is taken from it."
    if not belonging_to(terminal).filter(pk=employee.pk).exists():
        return (
            f"{who} doesn't belong on {terminal}: only who is in one of its areas, works here and takes part in"
            " attendance is enrolled there."
        )
    if settings.BIOMETRIC_CONSENT and not employee.biometric_consent:
        return f"{who} did not agree to biometrics: note that on the employee first."
    return f"On {terminal} this code is somebody else's: {_ANOTHER}" if _is_another(terminal, employee) else ""


def _is_another(terminal: Terminal, employee: Employee) -> bool:
    """Whether the unit may mean somebody else by this person's code."""
    row = TerminalPerson.objects.filter(terminal=terminal, emp_code=employee.emp_code, held=True).first()
    if row is None:
        return False
    return row.employee_uuid not in {None, employee.uuid} or standing_of([row])[row.pk] == Standing.DOUBTFUL


def _end_unfit(terminal_id: int) -> None:
    """Since it was asked for, the terminal was blocked, say, or the person left, or took back their consent."""
    waiting = Enrolment.objects.filter(terminal=terminal_id, state=State.QUEUED)
    enrolment = waiting.select_related("terminal", "employee", "created_by").first()
    if enrolment is None:
        return
    refusal = _why_not(enrolment.terminal, enrolment.employee, who=enrolment.employee.emp_code)[:300]
    with transaction.atomic():
        if refusal and _end(waiting.filter(pk=enrolment.pk), State.FAILED, refusal):
            _note_end(enrolment, State.FAILED, refusal)


def _sees(user: Any, terminal: Terminal, employee: Employee) -> bool:
    visible = Terminal.objects.visible_to(user).filter(pk=terminal.pk).exists()
    return visible and Employee.objects.visible_to(user).filter(pk=employee.pk).exists()


def _occupied(terminal: Terminal, user: Any) -> str:
    """Names only whom ``user`` may read of."""
    other = Enrolment.objects.open().filter(terminal=terminal).select_related("employee").first()
    if other is None:
        return f"{terminal} was enrolling somebody a moment ago: ask again."
    shown = user is None or (user.has_perm(_SEE_PEOPLE) and _sees(user, terminal, other.employee))
    which = f"finger {other.finger} of {other.employee}" if shown else "a finger of somebody"
    return f"{terminal} enrols {which} already: wait for that, or cancel it."


def _mine(enrolment: Enrolment) -> EnrolmentQuerySet:
    return Enrolment.objects.filter(pk=enrolment.pk, state=State.RUNNING, started_at=enrolment.started_at)


def _end(enrolments: EnrolmentQuerySet, state: str, sentence: str) -> int:
    return enrolments.update(state=state, sentence=sentence, finished_at=Now())


def _note_end(enrolment: Enrolment, state: str, sentence: str) -> None:
    result = {"asked_by": str(enrolment.created_by or ""), "state": str(state), "result": sentence[:300]}
    _note(enrolment, actor="sync", action="iclock.enrol", **result)


def _note(enrolment: Enrolment, *, actor: object, action: str, **more: object) -> None:
    detail = {"sn": enrolment.terminal.sn, "emp_code": enrolment.employee.emp_code, "finger": enrolment.finger}
    record(actor=actor, action=action, subject=str(enrolment), detail={**detail, "enrolment": enrolment.pk, **more})
