"""What a unit holds of people, as it is compared. Nothing of it is stored here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final, NamedTuple

from django.db import connection

from devices.driver.errors import UnreadableError
from devices.driver.session import Sizes, TerminalSession
from devices.driver.templates import Template, Templates
from devices.driver.users import UnitUser, password_digits, shown_name
from devices.models import Device
from iclock.domain.comparing import fingers_wanted
from iclock.domain.kept import Held
from iclock.domain.plan import Fields
from iclock.domain.wanted import Room, password_digest
from iclock.models import SyncMark, Terminal
from iclock.models.biodata import digest_of

_INVALID: Final = 0
_UNREADABLE: Final = "Its people are up to date, but its fingers could not be read: {}"
_TWICE: Final = "The unit has this code more than once, as numbers {}: delete all but one of them there."


class Unit(NamedTuple):
    """What was read of a terminal: people by code, what is wrong with some of them, templates by code and finger (None:
    not read, with ``error`` if they can't be), and how it keeps names and passwords.

    ``used`` are the numbers that have fingers, None where they weren't read.
    """

    terminal: Terminal
    users: dict[str, UnitUser]
    remarks: dict[str, str]
    templates: dict[tuple[str, int], Template] | None
    used: frozenset[int] | None
    error: str
    room: Room

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
    room = Room(partial(shown_name, width=width, encoding=device.encoding), password_digits(width))
    wanted = not sizes.fingers or fingers_wanted(terminal, mark, users.keys(), fingers=sizes.fingers)
    connection.close()
    read, error = read_templates(session) if wanted else (None, "")
    found = None if read is None else by_person(read, people)
    return Unit(terminal, users, remarks, found, numbers_with_fingers(read), error, room)


def read_templates(session: TerminalSession) -> tuple[Templates | None, str]:
    """A table of fingers that can't be read is no reason not to bring people up to date. Raises TerminalError."""
    try:
        return session.templates(), ""
    except UnreadableError as error:
        return None, _UNREADABLE.format(error)


def numbers_with_fingers(read: Templates | None) -> frozenset[int] | None:
    """Nobody new gets one of these: whoever had it may be gone, and the fingers not."""
    return None if read is None else frozenset({template.uid for template in read.templates} | read.doubtful())


def by_person(read: Templates, users: Iterable[UnitUser]) -> dict[tuple[str, int], Template]:
    """The valid ones, by code and finger."""
    codes = {user.uid: user.user_id for user in users if user.user_id}
    valid = (template for template in read.templates if template.valid != _INVALID and template.uid in codes)
    return {(codes[template.uid], template.finger): template for template in valid}


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
