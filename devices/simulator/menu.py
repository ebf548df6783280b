"""What somebody does at the unit's own menu: people, their cards and their fingers change without the platform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from devices.simulator.enrolment import finger_data
from devices.simulator.spec import SimTemplate, SimUser
from devices.simulator.state import Refused, TerminalState

_DISABLED_BIT: Final = 0x01


class Menu:
    """Somebody stands at ``terminal``. Everything raises Refused, also while the unit is disabled."""

    def __init__(self, terminal: TerminalState) -> None:
        self._terminal = terminal
        self._enrolments = 0

    def put(
        self,
        user_id: str,
        *,
        name: str | None = None,
        card: int | None = None,
        password: str | None = None,
        privilege: int | None = None,
        disabled: bool | None = None,
    ) -> SimUser:
        """Enter a person, or change one; what isn't told stays."""
        uid = self._uid(user_id)
        user = SimUser(0, user_id) if uid is None else self._user(uid)
        level = user.privilege & ~_DISABLED_BIT if privilege is None else privilege
        off = bool(user.privilege & _DISABLED_BIT) if disabled is None else disabled
        told: dict[str, Any] = {"name": name, "card": card, "password": password, "privilege": level | off}
        return self._terminal.add_user(replace(user, **{key: new for key, new in told.items() if new is not None}))

    def enrol(self, user_id: str, finger: int, data: bytes = b"", *, duress: bool = False) -> SimTemplate:
        """Put a finger on the sensor; each time it gives another template than before, or ``data``."""
        uid = self._known(user_id)
        self._enrolments += 1
        template = SimTemplate(uid, finger, data or finger_data(uid, finger, self._enrolments), 3 if duress else 1)
        self._terminal.put_template(template)
        return template

    def delete_finger(self, user_id: str, finger: int) -> None:
        self._terminal.delete_template(self._known(user_id), finger)

    def delete_person(self, user_id: str) -> None:
        """With all their fingers."""
        self._terminal.delete_user(self._known(user_id))

    def _known(self, user_id: str) -> int:
        uid = self._uid(user_id)
        if uid is None:
            raise Refused(f"nobody has user id {user_id!r}")
        return uid

    def _uid(self, user_id: str) -> int | None:
        if self._terminal.disabled:
            raise Refused("the unit is disabled")
        return self._terminal.uid_of(user_id)

    def _user(self, uid: int) -> SimUser:
        return next(user for user in self._terminal.users() if user.uid == uid)
