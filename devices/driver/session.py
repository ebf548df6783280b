"""One conversation with one terminal. No pyzk type and no pyzk error gets here: `devices.driver.wire` is their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Protocol

from devices.driver.enrolling import Enrolling, Progress
from devices.driver.errors import TerminalError
from devices.driver.guarded import Address
from devices.driver.roster import When
from devices.driver.staffing import Outcome
from devices.driver.tables import Rows
from devices.driver.templates import Template, Templates
from devices.driver.unit import Identity, Sizes
from devices.driver.users import UnitUser, UserFields
from devices.driver.wire import Wire

__all__ = ["Identity", "Sizes", "TerminalSession", "open_session"]


class TerminalSession(Protocol):
    """What the platform asks of a terminal that it has connected to. Everything raises TerminalError."""

    def identity(self) -> Identity: ...
    def serial(self) -> str: ...
    def sizes(self) -> Sizes: ...
    def clock(self) -> datetime | None: ...
    def users(self) -> list[UnitUser]: ...
    def punch_rows(self, before: Sizes) -> Rows: ...
    def templates(self) -> Templates: ...
    def fingers(self, user_id: str) -> list[Template]: ...
    def template(self, uid: int, finger: int) -> bytes | None: ...

    def restart(self) -> None: ...
    def set_clock(self, moment: datetime) -> datetime: ...
    def disabled(self) -> AbstractContextManager[None]: ...

    def write_user(self, user_id: str, fields: UserFields, *, when: When = "any") -> UnitUser: ...
    def write_users(self, wanted: Mapping[str, UserFields], *, when: When = "any") -> dict[str, Outcome]: ...
    def delete_user(self, who: str | int) -> UnitUser: ...
    def write_templates(self, user_id: str, fingers: Mapping[int, bytes]) -> None: ...
    def delete_template(self, uid: int, finger: int) -> None: ...

    def start_enrolment(self, user_id: str, finger: int) -> None: ...
    def enrolment_progress(self, seconds: float = 60.0) -> Iterator[Progress]: ...
    def cancel_enrolment(self) -> None: ...


@contextmanager
def open_session(address: Address) -> Iterator[TerminalSession]:
    """Connect, authenticate, and hang up whatever happens. Raises TerminalError, also from the body.

    After an error that leaves the session out of step nothing is ever sent on it again, not even a farewell.
    """
    wire = Wire(address)
    try:
        wire.connect()
        yield Enrolling(wire)
    except TerminalError as error:
        if not error.in_step:
            wire.drop()
        raise
    finally:
        wire.hang_up()
