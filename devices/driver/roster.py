"""Who is on a unit, and which row a change comes to. Pure: the unit's answers in, the row to write out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from devices.driver.errors import FullError, KnownUserError, UnknownUserError
from devices.driver.users import (
    COMMON_IDS,
    IdRule,
    UnitUser,
    UserFields,
    changed_row,
    decode_user,
    find_user,
    free_uid,
    new_row,
    require_fitting_id,
)

When = Literal["new", "known", "any"]


class Roster:
    """The people of one unit while they are being written; ``capacity`` 0 is one that the unit doesn't tell.

    ``remembered`` are the uids that the unit's log still refers to, ``avoid`` those that no new person may get.
    """

    def __init__(
        self,
        users: Iterable[UnitUser],
        *,
        width: int,
        encoding: str,
        capacity: int = 0,
        rule: IdRule = COMMON_IDS,
        remembered: Collection[int] = (),
        avoid: Collection[int] = (),
    ) -> None:
        self._users = {user.uid: user for user in users}
        self._uids: dict[str, set[int]] = {}
        for user in self._users.values():
            self._uids.setdefault(user.user_id, set()).add(user.uid)
        self._width = width
        self._encoding = encoding
        self._capacity = capacity
        self._rule = rule
        self._remembered = remembered
        self._avoid = frozenset(avoid)

    def find(self, who: str | int) -> UnitUser:
        """By user id, or by uid. Raises UnknownUserError, and UnfitError when two people have the user id."""
        uids = {who} & self._users.keys() if isinstance(who, int) else self._uids.get(who, set())
        return find_user([self._users[uid] for uid in sorted(uids)], who)

    def all_with(self, user_id: str) -> list[UnitUser]:
        """Everybody who has the user id, in the order of their uids."""
        return [self._users[uid] for uid in sorted(self._uids.get(user_id, ()))] if user_id else []

    def holds(self, row: bytes) -> bool:
        """Whether the unit has this very row already."""
        user = self._users.get(int.from_bytes(row[:2], "little"))
        return user is not None and user.raw == row

    def row_for(self, user_id: str, fields: UserFields, *, when: When) -> bytes:
        """The row that makes ``user_id`` be as ``fields`` say; `take` it once it is written.

        Raises UnfitError, FullError, KnownUserError and UnknownUserError; then nothing changes.
        """
        try:
            row = self.find(user_id).raw
        except UnknownUserError:
            if when == "known":
                raise
            row = self._blank_row(user_id)
        else:
            if when == "new":
                raise KnownUserError(f"The unit has user {user_id!a} already.")
        return changed_row(row, fields, encoding=self._encoding)

    def take(self, row: bytes) -> UnitUser:
        """The unit acknowledged the row, or gets it with others."""
        user = decode_user(row, encoding=self._encoding)
        self._users[user.uid] = user
        self._uids.setdefault(user.user_id, set()).add(user.uid)
        return user

    def _blank_row(self, user_id: str) -> bytes:
        require_fitting_id(user_id, self._rule, width=self._width)
        if self._capacity and len(self._users) >= self._capacity:
            raise FullError(f"The unit is full: it holds {len(self._users)} of {self._capacity} people.")
        taken = self._users.keys() | self._avoid
        return new_row(free_uid(taken, remembered=self._remembered), user_id, width=self._width)
