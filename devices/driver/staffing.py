"""Bringing people and fingers to a terminal and taking them away.

Everything written is read back and compared, for a unit that says yes may keep something else; meanwhile the unit is
disabled, for somebody at its keypad could take the number that was just found free.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Final

from devices import protocol
from devices.driver.errors import (
    FullError,
    NotKeptError,
    RefusedError,
    TerminalError,
    UnknownFingerError,
)
from devices.driver.roster import Roster, When
from devices.driver.tables import Rows
from devices.driver.templates import FINGERS, encode_upload
from devices.driver.unit import Sizes
from devices.driver.users import COMMON_IDS, IdRule, UnitUser, UserFields, decode_users, differences
from devices.driver.writing import Writing

# Under either name newer units say that they take letters for a user id.
_LETTER_OPTIONS: Final = ("IsSupportABCPin", "IsABCPinEnable")
_LONGEST_ID: Final = 24
_SAVE_UPLOAD: Final = struct.pack("<IHH", 12, 0, 8)

Outcome = UnitUser | TerminalError


class Staffing(Writing):
    """The part of a session that changes people and fingers."""

    def write_user(self, user_id: str, fields: UserFields, *, when: When = "any") -> UnitUser:
        """Create or change one person and return them as kept. Raises what `write_users` gives as an outcome."""
        outcome = self.write_users({user_id: fields}, when=when)[user_id]
        if isinstance(outcome, TerminalError):
            raise outcome
        return outcome

    def write_users(
        self, wanted: Mapping[str, UserFields], *, when: When = "any", avoid: Collection[int] = ()
    ) -> dict[str, Outcome]:
        """Create or change people by user id: each one's outcome is the person as kept, or why it was not done.

        What isn't in the fields stays as the unit has it, down to the byte. ``when`` "new" refuses people who are
        there, "known" those who aren't; nobody new gets a uid to ``avoid``. An outcome is UnfitError, FullError,
        KnownUserError, UnknownUserError, RefusedError or NotKeptError; an error of the session itself is raised, and
        then some may have been written.
        """
        outcomes: dict[str, Outcome] = {}
        with self.disabled():
            roster = self._roster(self.sizes(), creating=when != "known", avoid=avoid)
            sent: dict[str, UnitUser] = {}
            for user_id, fields in wanted.items():
                try:
                    sent[user_id] = self._send_user(roster, user_id, fields, when)
                except TerminalError as error:
                    if not error.in_step:
                        raise
                    outcomes[user_id] = error
            if sent:
                outcomes |= self._read_back(sent)
        return {user_id: outcomes[user_id] for user_id in wanted}

    def delete_user(self, who: str | int) -> UnitUser:
        """Remove a person, by user id or by uid, with all their fingers; return what was there.

        Raises UnknownUserError, RefusedError and NotKeptError.
        """
        with self.disabled():
            user = self._roster(self.sizes()).find(who)
            self._wire.ask(protocol.CMD_DELETE_USER, _uid(user), to=f"delete user {user.user_id}")
            self._refresh()
            if any(left.uid == user.uid for left in self.users()):
                raise NotKeptError(f"{self._address} deleted user {user.user_id}, but still has them.")
            self._delete_what_is_left(user)
        return user

    def write_templates(self, user_id: str, fingers: Mapping[int, bytes]) -> None:
        """Bring templates (by finger, 0 to 9) to a person who is on the unit; a finger that is there is replaced.

        Templates are good only for the algorithm version that they come from. Raises UnknownUserError, UnfitError,
        FullError, RefusedError and NotKeptError.
        """
        with self.disabled():
            user = self._roster(self.sizes()).find(user_id)
            self._bring_fingers(user, fingers)
            self._refresh()
            kept = self._held([(user.uid, finger) for finger in fingers])
            for outcome in self._judged(user, fingers, kept).values():
                if outcome is not None:
                    raise outcome

    def delete_template(self, uid: int, finger: int) -> None:
        """Remove one finger. Raises UnknownFingerError, RefusedError and NotKeptError."""
        if self.template(uid, finger) is None:
            raise UnknownFingerError(f"{self._address} has no finger {finger} of uid {uid}.")
        data = uid.to_bytes(2, "little") + bytes((finger,))
        self._wire.ask(protocol.CMD_DELETE_USERTEMP, data, to=f"delete finger {finger} of uid {uid}")
        self._refresh()
        if self.template(uid, finger) is not None:
            raise NotKeptError(f"{self._address} deleted finger {finger} of uid {uid}, but still has it.")

    def _roster(self, sizes: Sizes, *, creating: bool = False, avoid: Collection[int] = ()) -> Roster:
        rows = self._user_rows(sizes)
        width = rows.width or (28 if self._address.udp else 72)  # nobody there to tell; old units speak UDP
        return Roster(
            decode_users(rows, encoding=self._address.encoding),
            width=width,
            encoding=self._address.encoding,
            capacity=sizes.user_capacity,
            rule=self._id_rule if creating else COMMON_IDS,
            remembered=self._uids_in_log(sizes) if creating and width == 28 else (),
            avoid=avoid,
        )

    @cached_property
    def _id_rule(self) -> IdRule:
        width = self._wire.option("~PIN2Width")
        length = int(width) if width.isdecimal() and 0 < int(width) <= _LONGEST_ID else COMMON_IDS.length
        return IdRule(length, letters=any(self._wire.option(name) == "1" for name in _LETTER_OPTIONS))

    def _uids_in_log(self, sizes: Sizes) -> set[int]:
        """Whom the log's rows name by uid alone: who got such a number would get the punches of somebody else."""
        log = self.punch_rows(sizes) if sizes.punches else Rows(0, b"")
        if log.width != protocol.PUNCH_8.size:
            return set()
        return {row[0] for row in protocol.PUNCH_8.iter_unpack(log.data)}

    def _send_user(self, roster: Roster, user_id: str, fields: UserFields, when: When) -> UnitUser:
        row = roster.row_for(user_id, fields, when=when)
        if roster.holds(row):
            return roster.find(user_id)
        try:
            self._wire.ask(protocol.CMD_USER_WRQ, row, to=f"write user {user_id}")
        except RefusedError as error:
            if self.sizes().has_room_for_user():
                raise
            raise FullError(f"{self._address} is full: it takes no more people.") from error
        return roster.take(row)

    def _read_back(self, sent: Mapping[str, UnitUser]) -> dict[str, Outcome]:
        self._refresh()
        kept = {user.uid: user for user in self.users()}
        return {user_id: self._compared(user, kept.get(user.uid)) for user_id, user in sent.items()}

    def _compared(self, wanted: UnitUser, kept: UnitUser | None) -> Outcome:
        if kept is None:
            return NotKeptError(f"{self._address} took user {wanted.user_id}, but doesn't have them.")
        found = "; ".join(differences(wanted, kept))
        return NotKeptError(f"{self._address} took user {wanted.user_id}, but keeps {found}.") if found else kept

    def _bring_fingers(self, user: UnitUser, fingers: Mapping[int, bytes]) -> None:
        upload = encode_upload([(user.raw, fingers)])
        self._require_room(user, fingers)
        try:
            self._upload(upload, to=f"take the fingers of user {user.user_id}")
        except RefusedError as error:
            if (sizes := self.sizes()).has_room_for_fingers(1):
                raise
            raise self._full_of_fingers(sizes) from error

    def _judged(
        self, user: UnitUser, fingers: Mapping[int, bytes], kept: Mapping[tuple[int, int], bytes]
    ) -> dict[int, TerminalError | None]:
        """What is wrong with each finger that was brought. Which of its last zeros are a template's stays open."""
        return {
            finger: None
            if kept.get((user.uid, finger), b"").rstrip(b"\0") == data.rstrip(b"\0")
            else NotKeptError(f"{self._address} took finger {finger} of user {user.user_id}, but keeps another.")
            for finger, data in fingers.items()
        }

    def _delete_what_is_left(self, user: UnitUser) -> None:
        """The next person to get this uid must not open the door with the fingers of this one."""
        if not self.sizes().fingers:
            return
        for finger in FINGERS:
            if self.template(user.uid, finger) is not None:
                self.delete_template(user.uid, finger)

    def _require_room(self, user: UnitUser, fingers: Mapping[int, bytes]) -> None:
        sizes = self.sizes()
        if sizes.has_room_for_fingers(len(fingers)):
            return
        new = sum(self.template(user.uid, finger) is None for finger in fingers)
        if not sizes.has_room_for_fingers(new):
            raise self._full_of_fingers(sizes)

    def _full_of_fingers(self, sizes: Sizes) -> FullError:
        return FullError(f"{self._address} is full: it holds {sizes.fingers} of {sizes.finger_capacity} fingers.")

    def _upload(self, upload: bytes, *, to: str) -> None:
        self._wire.ask(protocol.CMD_FREE_DATA, to=to)
        self._wire.ask(protocol.CMD_PREPARE_DATA, len(upload).to_bytes(4, "little"), to=to)
        for start in range(0, len(upload), protocol.UPLOAD_CHUNK):
            self._wire.ask(protocol.CMD_DATA, upload[start : start + protocol.UPLOAD_CHUNK], to=to)
        self._wire.ask(protocol.CMD_SAVE_USERTEMPS, _SAVE_UPLOAD, to=to)


def _uid(user: UnitUser) -> bytes:
    return user.uid.to_bytes(2, "little")
