"""Taking many people, or many fingers, off a unit at once: read once, deleted one by one, looked for once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from devices import protocol
from devices.driver.errors import NotKeptError, RefusedError, TerminalError, UnknownUserError
from devices.driver.staffing import Outcome, Staffing
from devices.driver.templates import require_finger
from devices.driver.users import UnitUser

UserFinger = tuple[str, int]
"""A user id and a finger, 0 to 9."""


class Removing(Staffing):
    """The part of a session that takes people and fingers away."""

    def delete_people(self, user_ids: Collection[str]) -> dict[str, Outcome]:
        """Remove people with all their fingers: each one's outcome is what was there, or why it still is.

        An outcome is UnknownUserError, UnfitError, RefusedError or NotKeptError; an error of the session is raised.
        Each costs a round trip, and nobody can use the unit meanwhile: who has many, brings them in groups.
        """
        outcomes: dict[str, Outcome] = {}
        with self.disabled():
            roster = self._roster(self.sizes())
            for user_id in user_ids:
                try:
                    outcomes[user_id] = user = roster.find(user_id)
                    data = user.uid.to_bytes(2, "little")
                    self._wire.ask(protocol.CMD_DELETE_USER, data, to=f"delete user {user_id}")
                except TerminalError as error:
                    if not error.in_step:
                        raise
                    outcomes[user_id] = error
            gone = {user_id: user for user_id, user in outcomes.items() if isinstance(user, UnitUser)}
            if gone:
                outcomes |= self._missed(gone)
        return outcomes

    def delete_fingers(self, which: Collection[UserFinger]) -> dict[UserFinger, TerminalError | None]:
        """Remove fingers: None for each that the unit doesn't have any more, whoever took it away.

        Else UnfitError, RefusedError or NotKeptError; an error of the session is raised.
        """
        outcomes: dict[UserFinger, TerminalError | None] = {}
        held: dict[UserFinger, tuple[int, int]] = {}
        with self.disabled():
            roster = self._roster(self.sizes())
            for user_id, finger in which:
                try:
                    require_finger(finger)
                    held[user_id, finger] = roster.find(user_id).uid, finger
                except UnknownUserError:
                    outcomes[user_id, finger] = None
                except TerminalError as error:
                    outcomes[user_id, finger] = error
            forgotten = self._forget(held.values())
        return outcomes | {key: forgotten[finger] for key, finger in held.items()}

    def _missed(self, gone: Mapping[str, UnitUser]) -> dict[str, Outcome]:
        """What became of the people whom the unit says that it deleted, and of their fingers."""
        self._refresh()
        left = {user.uid for user in self.users()}
        outcomes: dict[str, Outcome] = {
            user_id: NotKeptError(f"{self._address} deleted user {user_id}, but still has them.")
            for user_id, user in gone.items()
            if user.uid in left
        }
        theirs = {user.uid: user_id for user_id, user in gone.items() if user_id not in outcomes}
        for (uid, _finger), error in self._forget(self._left_of(theirs)).items():
            if error is not None:
                outcomes[theirs[uid]] = error
        return outcomes

    def _left_of(self, uids: Collection[int]) -> list[tuple[int, int]]:
        """The next person to get one of these uids must not open the door with a finger that is still there."""
        return [(held.uid, held.finger) for held in self.templates().templates if held.uid in uids]

    def _forget(self, fingers: Collection[tuple[int, int]]) -> dict[tuple[int, int], TerminalError | None]:
        """Delete fingers by uid and index, and look what is left of them."""
        if not fingers:
            return {}
        refused: dict[tuple[int, int], TerminalError] = {}
        for uid, finger in fingers:
            data = uid.to_bytes(2, "little") + bytes((finger,))
            try:
                self._wire.ask(protocol.CMD_DELETE_USERTEMP, data, to=f"delete finger {finger} of uid {uid}")
            except RefusedError as error:  # it may be gone: many units don't delete what isn't there
                refused[uid, finger] = error
        self._refresh()
        left = self._held(fingers)
        kept: dict[tuple[int, int], TerminalError] = {
            (uid, finger): NotKeptError(f"{self._address} deleted finger {finger} of uid {uid}, but still has it.")
            for uid, finger in left
        }
        return {key: (kept | refused)[key] if key in left else None for key in fingers}
