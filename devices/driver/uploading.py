"""Bringing many people to a unit at once, with their fingers: one upload, read back and compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from devices.driver.errors import RefusedError, TerminalError, UnfitError
from devices.driver.removing import Removing
from devices.driver.roster import Roster
from devices.driver.staffing import Outcome
from devices.driver.templates import encode_upload, require_template, upload_bytes
from devices.driver.unit import Sizes
from devices.driver.users import UnitUser, UserFields

# The unit can't be used meanwhile: at 200 ms a round trip, 80 pieces and what goes with them are 20 s.
BATCH_BYTES: Final = 80 * 1024
# The same where they are written one by one.
_SINGLY: Final = 64


@dataclass(frozen=True, slots=True)
class Upload:
    """What to bring of one person: `UserFields`, and templates by finger (0 to 9)."""

    fields: UserFields
    fingers: Mapping[int, bytes] = field(default_factory=dict, repr=False)


class Written(NamedTuple):
    """What became of one person: as the unit keeps them, or why not; of each finger None when it is kept as sent."""

    user: UnitUser | TerminalError
    fingers: dict[int, TerminalError | None]


def batches(wanted: Mapping[str, Upload], limit: int = BATCH_BYTES) -> Iterator[dict[str, Upload]]:
    """The same people in their order, in uploads of at most ``limit`` bytes; one who is bigger comes alone."""
    batch: dict[str, Upload] = {}
    size = 0
    for user_id, upload in wanted.items():
        more = upload_bytes(upload.fingers)
        if batch and size + more > limit:
            yield batch
            batch, size = {}, 0
        batch[user_id] = upload
        size += more
    if batch:
        yield batch


@dataclass(slots=True)
class _Cargo:
    """A person as they shall be on the unit; ``there`` says that they are already, but for their fingers."""

    user: UnitUser
    fingers: dict[int, bytes]
    there: bool


class Uploading(Removing):
    """The part of a session that brings many people at once."""

    def write_people(self, wanted: Mapping[str, Upload], *, avoid: Collection[int] = ()) -> dict[str, Written]:
        """Create or change people, and bring them fingers; one that is there is replaced.

        Nobody new gets a uid to ``avoid``: the unit may still open the door to fingers of somebody who had it.

        What isn't in the fields stays as the unit has it, down to the byte; who is there exactly isn't sent. Of a
        person or a finger UnfitError, FullError, RefusedError and NotKeptError are outcomes; an error of the session
        itself is raised, and then some may have been written. How much to bring at once `batches` says.
        """
        misfits = {user_id: _misfits(upload.fingers) for user_id, upload in wanted.items()}
        fitting = {user_id: _without(upload, misfits[user_id]) for user_id, upload in wanted.items()}
        written = self._write_at_once(fitting, avoid)
        if written is None:
            written = self._write_singly(fitting, avoid)
        return {
            user_id: Written(written[user_id].user, written[user_id].fingers | misfits[user_id]) for user_id in wanted
        }

    def _write_at_once(self, wanted: Mapping[str, Upload], avoid: Collection[int]) -> dict[str, Written] | None:
        """None when the unit refuses the upload; part of it may be there then."""
        with self.disabled():
            sizes = self.sizes()
            users, cargo = _load(self._roster(sizes, creating=True, avoid=avoid), wanted)
            fingers = self._leave_behind(cargo, sizes)
            sent = {user_id: one for user_id, one in cargo.items() if one.fingers or not one.there}
            if sent:
                upload = encode_upload((one.user.raw, one.fingers) for one in sent.values())
                try:
                    self._upload(upload, to=f"take {len(sent)} people at once")
                except RefusedError:
                    return None
                users |= self._read_back({user_id: one.user for user_id, one in sent.items()})
        kept = self._held([(one.user.uid, finger) for one in sent.values() for finger in one.fingers])
        for user_id, one in sent.items():
            fingers[user_id] |= self._judged(one.user, one.fingers, kept)
        return {user_id: _told(users[user_id], upload, fingers.get(user_id)) for user_id, upload in wanted.items()}

    def _leave_behind(self, cargo: Mapping[str, _Cargo], sizes: Sizes) -> dict[str, dict[int, TerminalError | None]]:
        """Take off the fingers for which the unit has no room."""
        left: dict[str, dict[int, TerminalError | None]] = {user_id: {} for user_id in cargo}
        all_of_them = [(one.user.uid, finger) for one in cargo.values() for finger in one.fingers]
        if sizes.has_room_for_fingers(len(all_of_them)):
            return left
        there, room = self._held(all_of_them), max(0, sizes.finger_capacity - sizes.fingers)
        full = self._full_of_fingers(sizes._replace(fingers=sizes.fingers + room))
        for user_id, one in cargo.items():
            for finger in [finger for finger in one.fingers if (one.user.uid, finger) not in there]:
                room -= 1
                if room < 0:
                    del one.fingers[finger]
                    left[user_id][finger] = full
        return left

    def _write_singly(self, wanted: Mapping[str, Upload], avoid: Collection[int]) -> dict[str, Written]:
        """For units that take no such upload, in groups: people can use the unit between two of them."""
        written: dict[str, Written] = {}
        people = list(wanted)
        for start in range(0, len(people), _SINGLY):
            group = people[start : start + _SINGLY]
            users = self.write_users({user_id: wanted[user_id].fields for user_id in group}, avoid=avoid)
            there = {user_id: user for user_id, user in users.items() if isinstance(user, UnitUser)}
            fingers = self._bring_singly({user_id: (user, wanted[user_id].fingers) for user_id, user in there.items()})
            written |= {user_id: _told(user, wanted[user_id], fingers.get(user_id)) for user_id, user in users.items()}
        return written

    def _bring_singly(
        self, wanted: Mapping[str, tuple[UnitUser, Mapping[int, bytes]]]
    ) -> dict[str, dict[int, TerminalError | None]]:
        """The fingers of people who are there."""
        outcomes: dict[str, dict[int, TerminalError | None]] = {}
        bearers = {user_id: (user, fingers) for user_id, (user, fingers) in wanted.items() if fingers}
        if not bearers:
            return outcomes
        with self.disabled():
            for user_id, (user, fingers) in bearers.items():
                try:
                    self._bring_fingers(user, fingers)
                except TerminalError as error:
                    if not error.in_step:
                        raise
                    outcomes[user_id] = dict.fromkeys(fingers, error)
            self._refresh()
        brought = {user_id: one for user_id, one in bearers.items() if user_id not in outcomes}
        kept = self._held([(user.uid, finger) for user, fingers in brought.values() for finger in fingers])
        return outcomes | {user_id: self._judged(*one, kept) for user_id, one in brought.items()}


def _misfits(fingers: Mapping[int, bytes]) -> dict[int, TerminalError | None]:
    """What is no finger, and why."""
    found: dict[int, TerminalError | None] = {}
    for finger, data in fingers.items():
        try:
            require_template(finger, data)
        except UnfitError as error:
            found[finger] = error
    return found


def _without(upload: Upload, misfits: Collection[int]) -> Upload:
    return Upload(upload.fields, {finger: data for finger, data in upload.fingers.items() if finger not in misfits})


def _load(roster: Roster, wanted: Mapping[str, Upload]) -> tuple[dict[str, Outcome], dict[str, _Cargo]]:
    """Everybody as they shall be, or why they can't be; and what there is to send of those who can."""
    users: dict[str, Outcome] = {}
    cargo: dict[str, _Cargo] = {}
    for user_id, upload in wanted.items():
        try:
            row = roster.row_for(user_id, upload.fields, when="any")
        except TerminalError as error:
            users[user_id] = error
        else:
            there = roster.holds(row)
            users[user_id] = user = roster.take(row)
            cargo[user_id] = _Cargo(user, dict(upload.fingers), there)
    return users, cargo


def _told(user: Outcome, upload: Upload, fingers: dict[int, TerminalError | None] | None) -> Written:
    """The fingers of a person who isn't there have the person's reason."""
    if fingers is None:
        fingers = dict.fromkeys(upload.fingers, user if isinstance(user, TerminalError) else None)
    return Written(user, fingers)
