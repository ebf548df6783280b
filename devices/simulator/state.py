"""What a running terminal holds: people, templates, the punch log as a ring, options, a clock, and its ledger.

The log is kept as the bytes it is served as, so that serving it costs a copy; the ledger keeps every punch the unit
ever held, whatever was overwritten or cleared since: the oracle of tests that ask whether anything was lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Literal

from devices.simulator.rows import decode_user, encode_punch, encode_template, encode_user
from devices.simulator.spec import SimPunch, SimTemplate, SimUser, TerminalSpec

Table = Literal["users", "punches", "templates"]
MAX_UID = 65_534
MOST_SESSIONS = 10_000


class Refused(Exception):  # noqa: N818 - a unit's answer, not a defect
    """The unit says no: it is full, or does not know the person, or the user id is another person's."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The counters of the sizes reply."""

    users: int
    templates: int
    punches: int


@dataclass(slots=True)
class SessionRecord:
    """What one client asked of the terminal, in order."""

    number: int
    transport: Literal["tcp", "udp"]
    commands: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Clearing:
    """Somebody emptied the unit: the session and the command, or 0 and 0 for the unit's own menu."""

    session: int
    command: int


def utc_now() -> datetime:
    """The real time, naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


class TerminalState:
    """A terminal without its network. Every method may be called from any thread.

    ``revision`` counts what happened to people and fingers; ``watchers`` are called, briefly, after a punch or such.
    """

    def __init__(self, spec: TerminalSpec, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.spec = spec
        self.options = spec.all_options()
        self.disabled = False
        self.enrol_result = 0
        self.unlocks: list[float] = []
        self.journal: deque[SessionRecord] = deque(maxlen=MOST_SESSIONS)
        self.clearings: list[Clearing] = []
        self.watchers: list[Callable[[], None]] = []
        self.revision = 0
        self._clock = clock
        self._clock_error = spec.clock_error
        self._lock = RLock()
        self._users: dict[int, bytes] = {}
        self._uids: dict[str, int] = {}
        self._templates: dict[tuple[int, int], SimTemplate] = {}
        self._log = bytearray()
        self._ledger: list[SimPunch] = []
        self._furnish()

    def _furnish(self) -> None:
        for user in self.spec.users:
            self.add_user(user)
        for template in self.spec.templates:
            self.put_template(template)
        self.fill(self.spec.punches)

    # The clock

    def now(self) -> datetime:
        """What the unit's display shows, to the second."""
        return (self._clock() + self.spec.utc_offset + self._clock_error).replace(microsecond=0)

    def set_clock(self, moment: datetime) -> None:
        """Set the display to ``moment``; it runs on from there."""
        self._clock_error = moment - self._clock() - self.spec.utc_offset

    def shift_clock(self, by: timedelta) -> None:
        """Make the clock wrong by that much more."""
        self._clock_error += by

    # People

    def add_user(self, user: SimUser) -> SimUser:
        """Enter a person at the unit or overwrite the one with that uid. Raises Refused."""
        with self._lock:
            uid = user.uid or self._free_uid()
            row = encode_user(user, width=self.spec.user_width, encoding=self.spec.encoding)
            self.put_user_row(uid.to_bytes(2, "little") + row[2:])
            return self._user(uid)

    def put_user_row(self, row: bytes, *, capacity: int | None = None) -> None:
        """Keep a user row byte for byte (but its name ends with a NUL); another generation's row is converted.

        Raises Refused, also above ``capacity``, which is the spec's by default.
        """
        spec = self.spec
        user = decode_user(row, encoding=spec.encoding)
        if len(row) != spec.user_width:
            row = encode_user(user, width=spec.user_width, encoding=spec.encoding)
        with self._lock:
            self._check_user(user, spec.user_capacity if capacity is None else capacity)
            self._forget_user_id(user.uid)
            self._users[user.uid] = row if len(row) == 28 else row[:34] + b"\0" + row[35:]
            self._uids[user.user_id] = user.uid
            self._people_changed()

    def delete_user(self, uid: int) -> None:
        """Remove a person with their templates. Raises Refused for an unknown uid."""
        with self._lock:
            if uid not in self._users:
                raise Refused(f"no user with uid {uid}")
            self._forget_user_id(uid)
            del self._users[uid]
            self._templates = {key: kept for key, kept in self._templates.items() if key[0] != uid}
            self._people_changed()

    def users(self) -> tuple[SimUser, ...]:
        """The people on the unit."""
        with self._lock:
            return tuple(self._user(uid) for uid in self._users)

    def uid_of(self, user_id: str) -> int | None:
        """The unit's own number for a person."""
        with self._lock:
            return self._uids.get(user_id)

    def person(self, user_id: str) -> SimUser | None:
        """One person, if they are on the unit."""
        with self._lock:
            uid = self._uids.get(user_id)
            return None if uid is None else self._user(uid)

    def _people_changed(self) -> None:
        self.revision += 1
        self._tell_watchers()

    def _tell_watchers(self) -> None:
        for watcher in tuple(self.watchers):
            watcher()

    def _user(self, uid: int) -> SimUser:
        return decode_user(self._users[uid], encoding=self.spec.encoding)

    def _check_user(self, user: SimUser, capacity: int) -> None:
        if not 0 < user.uid <= MAX_UID or self._uids.get(user.user_id, user.uid) != user.uid:
            raise Refused(f"uid {user.uid} can't have user id {user.user_id!r}")
        if user.uid not in self._users and len(self._users) >= capacity:
            raise Refused("no room for another user")

    def _forget_user_id(self, uid: int) -> None:
        if uid in self._users:
            self._uids.pop(self._user(uid).user_id, None)

    def _free_uid(self) -> int:
        return max(self._users, default=0) + 1

    # Templates

    def put_template(self, template: SimTemplate, *, capacity: int | None = None) -> None:
        """Keep a finger of a known person. Raises Refused for an unknown uid, no finger, or when full."""
        most = self.spec.finger_capacity if capacity is None else capacity
        with self._lock:
            key = template.uid, template.finger
            if template.uid not in self._users or not 0 <= template.finger <= 9:
                raise Refused(f"no finger {template.finger} of uid {template.uid}")
            if key not in self._templates and len(self._templates) >= most:
                raise Refused("no room for another template")
            self._templates[key] = template
            self._people_changed()

    def template(self, uid: int, finger: int) -> SimTemplate | None:
        """One finger, if it is enrolled."""
        with self._lock:
            return self._templates.get((uid, finger))

    def delete_template(self, uid: int, finger: int) -> None:
        """Remove one finger. Raises Refused when it isn't there."""
        with self._lock:
            if self._templates.pop((uid, finger), None) is None:
                raise Refused(f"no finger {finger} of uid {uid}")
            self._people_changed()

    def templates(self) -> tuple[SimTemplate, ...]:
        """The fingers on the unit."""
        with self._lock:
            return tuple(self._templates.values())

    # Punches

    def punch(self, user_id: str, *, at: datetime | None = None, verify: int = 1, state: int = 0) -> SimPunch | None:
        """Somebody punches, now by the unit's clock or ``at``. None while the unit is disabled: it takes no finger."""
        with self._lock:
            if self.disabled:
                return None
            punch = SimPunch(user_id, (at or self.now()).replace(microsecond=0), verify, state)
            self.fill((punch,))
            return punch

    def fill(self, punches: Iterable[SimPunch]) -> None:
        """Write punches into the log in the given order; the oldest rows go when it is full."""
        width = self.spec.punch_width
        with self._lock:
            for punch in punches:
                self._log += encode_punch(punch, uid=self._uids.get(punch.user_id, 0), width=width)
                self._ledger.append(punch)
            self._drop_oldest()
            self._tell_watchers()

    def punch_raw(self, row: bytes) -> None:
        """Write a row as it is; the ledger, which holds what can be believed, does not get it."""
        if len(row) != self.spec.punch_width:
            raise ValueError(f"a row of this unit has {self.spec.punch_width} bytes, got {len(row)}")
        with self._lock:
            self._log += row
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        surplus = len(self._log) - self.spec.punch_capacity * self.spec.punch_width
        if surplus > 0:
            del self._log[:surplus]

    def clear_log(self, by: Clearing = Clearing(0, 0)) -> None:
        """Empty the punch log; the ledger remembers."""
        with self._lock:
            self._log.clear()
            self.clearings.append(by)

    def clear_data(self, by: Clearing = Clearing(0, 0)) -> None:
        """Empty the unit: people, templates and punches."""
        with self._lock:
            for held in (self._users, self._uids, self._templates):
                held.clear()
            self.clear_log(by)
            self._people_changed()

    def ledger(self) -> tuple[SimPunch, ...]:
        """Every punch the unit ever held, in the order it was written."""
        with self._lock:
            return tuple(self._ledger)

    def punches_after(self, position: int, most: int | None = None) -> tuple[int, tuple[SimPunch, ...]]:
        """The punches in the log behind ``position`` of the ledger, and where in the ledger they begin.

        What was overwritten or cleared is no longer in the log, so they may begin later.
        """
        with self._lock:
            oldest = len(self._ledger) - len(self._log) // self.spec.punch_width
            start = max(position, oldest, 0)
            return start, tuple(self._ledger[start : None if most is None else start + most])

    # What clients are served

    def counts(self) -> Counts:
        """How much is on the unit now."""
        with self._lock:
            return Counts(len(self._users), len(self._templates), len(self._log) // self.spec.punch_width)

    def table(self, name: Table) -> bytes:
        """The rows of a table as they are at this moment, without the leading total."""
        with self._lock:
            if name == "punches":
                return bytes(self._log)
            if name == "users":
                return b"".join(self._users.values())
            return b"".join(encode_template(template) for template in self._templates.values())

    def commands(self) -> list[int]:
        """Every command any client sent, in order of the sessions."""
        return [command for record in tuple(self.journal) for command in record.commands]
