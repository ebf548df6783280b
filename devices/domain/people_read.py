"""What a unit holds of people, as it is compared. Nothing of it is stored here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final, NamedTuple

from django.db import connection

from devices.driver.session import Sizes, TerminalSession
from devices.driver.templates import Template
from devices.driver.users import UnitUser, shown_name
from devices.models import Device
from iclock.domain.comparing import fingers_wanted
from iclock.domain.placements import FitName, Held, password_digest
from iclock.domain.plan import Fields
from iclock.models import SyncMark, Terminal
from iclock.models.biodata import digest_of

_INVALID: Final = 0
_TWICE: Final = "The unit has this code more than once, as numbers {}: delete all but one of them there."


class Unit(NamedTuple):
    """What was read of a terminal: people by code, what is wrong with some of them, templates by code and finger (None:
    not read), and how it would keep a name."""

    terminal: Terminal
    users: dict[str, UnitUser]
    remarks: dict[str, str]
    templates: dict[tuple[str, int], Template] | None
    fit_name: FitName

    def held(self) -> dict[str, Held]:
        return {code: held_of(user) for code, user in self.users.items()}

    def fingers(self) -> dict[str, dict[int, str]] | None:
        """Digests, by code."""
        if self.templates is None:
            return None
        found: dict[str, dict[int, str]] = {}
        for (code, finger), template in self.templates.items():
            found.setdefault(code, {})[finger] = digest_of(template.data)
        return found


def read_unit(device: Device, terminal: Terminal, mark: SyncMark, session: TerminalSession, sizes: Sizes) -> Unit:
    """Of the unit, which counts ``sizes``; its templates only if something may be new about them. Raises TerminalError.

    No connection is kept.
    """
    people = session.users()
    users, remarks = _by_code(people)
    width = len(people[0].raw) if people else (28 if device.transport == Device.Transport.UDP else 72)
    wanted = not sizes.fingers or fingers_wanted(terminal, mark, users.keys(), fingers=sizes.fingers)
    connection.close()
    templates = _templates(session, people) if wanted else None
    fit_name = partial(shown_name, width=width, encoding=device.encoding)
    return Unit(terminal, users, remarks, templates, fit_name)


def held_of(user: UnitUser) -> Held:
    """As it is compared."""
    password = password_digest(user.user_id, user.password)
    return Held(user.uid, Fields(user.name, user.card, user.privilege, password, user.disabled))


def _by_code(people: Iterable[UnitUser]) -> tuple[dict[str, UnitUser], dict[str, str]]:
    """Who has no code that can be read is nobody who can be compared."""
    users: dict[str, UnitUser] = {}
    uids: dict[str, list[int]] = {}
    for user in people:
        if user.user_id:
            users.setdefault(user.user_id, user)
            uids.setdefault(user.user_id, []).append(user.uid)
    twice = {code: _TWICE.format(", ".join(map(str, mine))) for code, mine in uids.items() if len(mine) > 1}
    return users, twice


def _templates(session: TerminalSession, people: Iterable[UnitUser]) -> dict[tuple[str, int], Template]:
    codes = {user.uid: user.user_id for user in people if user.user_id}
    valid = (each for each in session.templates().templates if each.valid != _INVALID and each.uid in codes)
    return {(codes[each.uid], each.finger): each for each in valid}
