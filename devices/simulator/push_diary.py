"""What a unit has to tell of what happened at its menu: the difference between its people now and when it last looked.

What the server itself commanded is absorbed: the unit doesn't tell it back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from devices.simulator.push_lines import Scribe, SimBio
from devices.simulator.spec import SimTemplate, SimUser
from devices.simulator.state import TerminalState

MOST_ENTRIES: Final = 200_000
MOST_PHOTOS: Final = 1_000
_OP_FINGER: Final = 6
_OP_DELETE_USER: Final = 9
_OP_DELETE_FINGER: Final = 10
_OP_NEW_USER: Final = 30
_OP_CHANGE_USER: Final = 70


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to tell. Without an operation it is about a person, or with a finger about that finger, as it is now;
    with one, that this was done at ``at``.
    """

    user_id: str
    finger: int | None = None
    operation: int | None = None
    at: datetime | None = None


class Diary:
    """The operation log of ``state``, a ring like the unit's own; only the pusher's own thread uses it."""

    def __init__(self, state: TerminalState) -> None:
        self._state = state
        self.entries: deque[Entry] = deque(maxlen=MOST_ENTRIES)
        self.forget()

    def forget(self) -> None:
        """Everything is to be told again."""
        self.entries.clear()
        self._users: dict[str, SimUser] = {}
        self._fingers: dict[tuple[str, int], SimTemplate] = {}
        self._seen = -1

    def look(self) -> None:
        """Enter what changed since the last look. The first time, everybody is told without operations."""
        revision = self._state.revision
        if revision == self._seen:
            return
        first, at = self._seen < 0, self._state.now()
        users = {user.user_id: user for user in self._state.users()}
        ids = {user.uid: user.user_id for user in users.values()}
        held = (template for template in self._state.templates() if template.uid in ids)
        fingers = {(ids[template.uid], template.finger): template for template in held}
        self._enter_users(users, None if first else at)
        self._enter_fingers(fingers, users, None if first else at)
        self._users, self._fingers, self._seen = users, fingers, revision

    def _enter_users(self, users: dict[str, SimUser], at: datetime | None) -> None:
        for user_id in self._users.keys() - users.keys():
            self.entries.append(Entry(user_id, operation=_OP_DELETE_USER, at=at))
        for user_id, user in users.items():
            if user != self._users.get(user_id):
                code = _OP_CHANGE_USER if user_id in self._users else _OP_NEW_USER
                self._enter(Entry(user_id), code, at)

    def _enter_fingers(
        self, fingers: dict[tuple[str, int], SimTemplate], users: dict[str, SimUser], at: datetime | None
    ) -> None:
        for user_id, finger in self._fingers.keys() - fingers.keys():
            if user_id in users:
                self.entries.append(Entry(user_id, finger, _OP_DELETE_FINGER, at))
        for (user_id, finger), template in fingers.items():
            if template != self._fingers.get((user_id, finger)):
                self._enter(Entry(user_id, finger), _OP_FINGER, at)

    def _enter(self, entry: Entry, operation: int, at: datetime | None) -> None:
        if at is not None:
            self.entries.append(Entry(entry.user_id, entry.finger, operation, at))
        self.entries.append(entry)

    def absorb(self, user_id: str) -> None:
        """The server knows this person and their fingers as they are now: it commanded it."""
        user = self._state.person(user_id)
        self._users.pop(user_id, None)
        for finger in range(10):
            self._fingers.pop((user_id, finger), None)
        if user is None:
            return
        self._users[user_id] = user
        for finger in range(10):
            template = self._state.template(user.uid, finger)
            if template is not None:
                self._fingers[user_id, finger] = template

    def absorb_emptying(self) -> None:
        """The server knows that nobody is left."""
        self.entries.clear()
        self._users, self._fingers = {}, {}

    def lines(self, scribe: Scribe, most: int) -> tuple[int, list[str]]:
        """The next entries as lines, and how many entries they are; who is gone since has no line."""
        entries = [self.entries[index] for index in range(min(most, len(self.entries)))]
        lines = (self._line(scribe, entry) for entry in entries)
        return len(entries), [line for line in lines if line]

    def _line(self, scribe: Scribe, entry: Entry) -> str:
        if entry.operation is not None and entry.at is not None:
            values = (entry.user_id,) if entry.finger is None else (entry.user_id, entry.finger)
            return scribe.operation(entry.operation, entry.at, *values)
        user = self._state.person(entry.user_id)
        if user is None:
            return ""
        if entry.finger is None:
            return scribe.user(user)
        template = self._state.template(user.uid, entry.finger)
        return scribe.finger(entry.user_id, template) if template else ""

    def told(self, count: int) -> None:
        """The first ``count`` entries were answered 200."""
        for _ in range(min(count, len(self.entries))):
            self.entries.popleft()


class Album:
    """What the 4370 side of a unit doesn't have: faces, palms, pictures of people and photos taken at punches."""

    def __init__(self) -> None:
        self.bios: dict[tuple[str, int, int, int], SimBio] = {}
        self.pictures: dict[str, bytes] = {}
        self.untold: deque[SimBio] = deque(maxlen=MOST_PHOTOS)
        self.photos: deque[tuple[str, bytes]] = deque(maxlen=MOST_PHOTOS)

    def bios_of(self, user_id: str) -> list[SimBio]:
        return [bio for bio in tuple(self.bios.values()) if bio.user_id == user_id]

    def forget_person(self, user_id: str) -> None:
        """With the person go their templates and their picture."""
        self.pictures.pop(user_id, None)
        for bio in self.bios_of(user_id):
            self.bios.pop(bio.key, None)

    def clear(self) -> None:
        for held in (self.bios, self.pictures, self.untold, self.photos):
            held.clear()
