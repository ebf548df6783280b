"""What a unit says of itself."""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """Who answers. Only the serial number is certain to be there."""

    serial: str
    model: str
    platform: str
    firmware: str


class Sizes(NamedTuple):
    """The counters of a terminal; a capacity or a free count of 0 means that the terminal doesn't tell it."""

    users: int
    fingers: int
    faces: int
    punches: int
    punch_capacity: int
    punches_free: int
    user_capacity: int = 0
    finger_capacity: int = 0
    face_capacity: int = 0

    @property
    def log_may_be_full(self) -> bool:
        """A full log drops its oldest rows at a constant count, so an unmoved counter proves nothing then."""
        return self.punch_capacity <= 0 or self.punches >= self.punch_capacity or self.punches_free <= 0

    def has_room_for_user(self) -> bool:
        """Whether another person may fit; a unit that tells no capacity is asked."""
        return self.user_capacity <= 0 or self.users < self.user_capacity

    def has_room_for_fingers(self, more: int) -> bool:
        """Whether so many more fingers may fit; a unit that tells no capacity is asked."""
        return self.finger_capacity <= 0 or self.fingers + more <= self.finger_capacity
