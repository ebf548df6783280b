"""What is changed on a terminal for somebody who waits: its people, its clock, an enrolment. The trail says who did it.

Nothing is changed on another unit than the one that is known to be there, and the platform's own knowledge of the
terminal is brought up to date from the unit's counters before the device is anybody else's; so it is when somebody
looks at the people and fingers of a unit, where others may have changed them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from django.conf import settings
from django.db import connection, transaction

from devices.domain.clocks import SET_CLOCK, agreed_time, wall_at, zone_of
from devices.domain.dialling import Bounds
from devices.domain.disabling import held_down
from devices.domain.lease import Lease
from devices.domain.live import Work, talk
from devices.domain.news import tell_counts
from devices.domain.schedule import request_sync_within
from devices.driver.errors import KnownUserError, TerminalError, UnfitError, UnknownUserError
from devices.driver.session import TerminalSession
from devices.driver.unit import Sizes
from devices.driver.users import UnitUser, UserFields
from devices.models import Device
from personnel.models import Employee
from zkbio.accounts.domain.audit import record

T = TypeVar("T")
# By then a person has put the finger on the sensor three times, or gone away.
_ENROLMENT: Final = timedelta(minutes=1)
# After these the unit is as it was; after any other error it may not be.
_NOT_DONE: Final = (KnownUserError, UnfitError, UnknownUserError)


class DoubtfulTimeError(TerminalError):
    """Nobody knows what time it is."""

    code = "doubtful_time"
    in_step = True


class NoConsentError(TerminalError):
    """Where consent is asked for, nobody's finger is enrolled without theirs."""

    code = "no_consent"
    in_step = True


def create_user(user_id: str, fields: UserFields, *, actor: object) -> Work[UnitUser]:
    """Raises KnownUserError where the unit has them already."""
    return _change(
        lambda _device, session: session.write_user(user_id, fields, when="new"),
        actor=actor,
        action="devices.create_user",
        detail={"user_id": user_id},
    )


def change_user(user_id: str, fields: UserFields, *, actor: object) -> Work[UnitUser]:
    """Raises UnknownUserError."""
    return _change(
        lambda _device, session: session.write_user(user_id, fields, when="known"),
        actor=actor,
        action="devices.change_user",
        detail={"user_id": user_id},
    )


def delete_user(user_id: str, *, actor: object) -> Work[UnitUser]:
    """With all their fingers. Raises UnknownUserError."""
    return _change(
        lambda _device, session: session.delete_user(user_id),
        actor=actor,
        action="devices.delete_user",
        detail={"user_id": user_id},
    )


def start_enrolment(user_id: str, finger: int, *, actor: object) -> Work[None]:
    """The unit then asks for the finger three times, and nobody waits for it: what came of it, the next visit finds.

    Raises UnknownUserError, and NoConsentError about an employee who didn't agree to biometrics.
    """
    begin = _change(
        lambda _device, session: session.start_enrolment(user_id, finger),
        actor=actor,
        action="devices.enrol",
        detail={"user_id": user_id, "finger": finger},
        disables=False,
        counts=False,
    )

    def work(lease: Lease, bounds: Bounds) -> None:
        _require_consent(user_id)
        begin(lease, bounds)
        request_sync_within(lease.device_id, _ENROLMENT)

    return work


def _require_consent(user_id: str) -> None:
    """Of a code that is nobody's here, nobody knows whose finger it is."""
    if settings.BIOMETRIC_CONSENT and Employee.objects.filter(emp_code=user_id, biometric_consent=False).exists():
        raise NoConsentError(f"Employee {user_id} did not agree to biometrics: note that on the employee first.")


def set_clock(*, actor: object) -> Work[datetime]:
    """To the time that it is where the terminal hangs."""
    return _change(
        lambda device, session: session.set_clock(wall_at(_time_for(device), zone_of(device))),
        actor=actor,
        action=SET_CLOCK,
        detail={},
        disables=False,
    )


def _time_for(device: Device) -> datetime:
    """Raises DoubtfulTimeError. Keeps no connection."""
    try:
        clock = agreed_time(device)
    finally:
        connection.close()
    if clock is None:
        raise DoubtfulTimeError("This server's clock and the database's differ: which is right? Nothing was set.")
    return clock.now()


def look(ask: Callable[[Device, TerminalSession], T]) -> Work[T]:
    """What ``ask`` learns of a unit, whose counters are taken note of."""

    def work(lease: Lease, bounds: Bounds) -> T:
        ask_and_count = talk(lambda device, session: (device, ask(device, session), _sizes(session)))
        device, outcome, sizes = ask_and_count(lease, bounds)
        _tell(device, sizes)
        return outcome

    return work


class _Changed(NamedTuple, Generic[T]):
    """What came of a change, and what the unit counts then, where it was asked."""

    device: Device
    outcome: T | TerminalError
    sizes: Sizes | None


def _change(
    change: Callable[[Device, TerminalSession], T],
    *,
    actor: object,
    action: str,
    detail: dict[str, Any],
    disables: bool = True,
    counts: bool = True,
) -> Work[T]:
    def ask(device: Device, session: TerminalSession, lease: Lease) -> _Changed[T]:
        word: AbstractContextManager[None] = held_down(device, lease) if disables else nullcontext()
        try:
            with word:
                outcome = change(device, session)
        except _NOT_DONE:
            raise
        except TerminalError as error:
            return _Changed(device, error, None)
        return _Changed(device, outcome, _sizes(session) if counts else None)

    def work(lease: Lease, bounds: Bounds) -> T:
        changed = talk(partial(ask, lease=lease))(lease, bounds)
        outcome = changed.outcome
        failed = {"error": str(outcome)} if isinstance(outcome, TerminalError) else {}
        with transaction.atomic():
            told = {"id": changed.device.key, **detail, **failed}
            record(actor=actor, action=action, subject=str(changed.device), detail=told)
            _tell(changed.device, changed.sizes)
        if isinstance(outcome, TerminalError):
            raise outcome
        return outcome

    return work


def _sizes(session: TerminalSession) -> Sizes | None:
    """The change is made, whether the unit then still tells what it counts or not; the next visit asks again."""
    try:
        return session.sizes()
    except TerminalError:
        return None


def _tell(device: Device, sizes: Sizes | None) -> None:
    if sizes is not None and device.terminal is not None:
        tell_counts(device.terminal, sizes)
