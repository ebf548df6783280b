"""Taking many people, or many fingers, off a unit at once: read once, deleted one by one, looked for once."""

from __future__ import annotations

from collections.abc import Collection, Set

from devices import protocol
from devices.driver.errors import NotKeptError, RefusedError, TerminalError, UnknownUserError, UnreadableError
from devices.driver.staffing import Outcome, Staffing
from devices.driver.templates import FINGERS, require_finger
from devices.driver.users import UnitUser

UserFinger = tuple[str, int]
"""A user id and a finger, 0 to 9."""


class Removing(Staffing):
    """The part of a session that takes people and fingers away."""

    def delete_people(self, user_ids: Collection[str]) -> dict[str, Outcome]:
        """Remove people with all their fingers: each one's outcome is what was there, or why it still is.

        Of a user id that several have, all of them go, and the outcome is the first. Else it is UnknownUserError,
        RefusedError or NotKeptError; an error of the session is raised. Each costs a round trip, and nobody can use
        the unit meanwhile: who has many, brings them in groups.
        """
        outcomes: dict[str, Outcome] = {}
        gone: list[UnitUser] = []
        with self.disabled():
            roster = self._roster(self.sizes())
            for user_id in user_ids:
                there = roster.all_with(user_id)
                refused = {user.uid: error for user in there if (error := self._refusal(user)) is not None}
                gone += [user for user in there if user.uid not in refused]
                told: list[Outcome] = [*refused.values(), *there]
                outcomes[user_id] = told[0] if told else UnknownUserError(f"The unit has no user {user_id[:40]!a}.")
            return outcomes | self._missed(gone)

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

    def _refusal(self, user: UnitUser) -> RefusedError | None:
        """Why the unit doesn't delete a person; None when it says that it does."""
        try:
            self._wire.ask(protocol.CMD_DELETE_USER, user.uid.to_bytes(2, "little"), to=f"delete user {user.user_id}")
        except RefusedError as error:
            return error
        return None

    def _missed(self, gone: Collection[UnitUser]) -> dict[str, TerminalError]:
        """Which of the people whom the unit says that it deleted are still there, or a finger of theirs."""
        if not gone:
            return {}
        self._refresh()
        left = {user.uid for user in self.users()}
        missed: dict[str, TerminalError] = {
            user.user_id: NotKeptError(f"{self._address} deleted user {user.user_id}, but still has them.")
            for user in gone
            if user.uid in left
        }
        theirs = {user.uid: user.user_id for user in gone if user.uid not in left}
        for (uid, _finger), error in self._forget(self._left_of(theirs.keys())).items():
            if error is not None:
                missed.setdefault(theirs[uid], error)
        return missed

    def _left_of(self, uids: Set[int]) -> list[tuple[int, int]]:
        """The next person to get one of these uids must not open the door with a finger that is still there.

        Whether a table can be read must not decide who can be removed: what it doesn't tell is asked for.
        """
        try:
            table = self.templates()
        except UnreadableError:
            return self._asked_hands(uids)
        doubtful = table.doubtful() & uids
        sure = [(held.uid, held.finger) for held in table.templates if held.uid in uids - doubtful]
        return sure + self._asked_hands(doubtful)

    def _asked_hands(self, uids: Set[int]) -> list[tuple[int, int]]:
        return list(self._asked_for([(uid, finger) for uid in sorted(uids) for finger in FINGERS]))

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
