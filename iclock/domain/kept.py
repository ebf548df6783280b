"""What is kept of one person on one terminal, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from iclock.domain.plan import IN_DOUBT, Agreed, Fields, Intent, Kind, Person

OTHER_NAME: Final = (
    "The terminal knows {} as {}, the platform as {}: is it one person? Say so in the list of people on terminals;"
    " until then nothing of either goes to the other."
)


class Held(NamedTuple):
    """A person as a terminal tells of them; ``uid`` is its own number for them, where it has one."""

    uid: int | None
    fields: Fields


class Outcome(NamedTuple):
    """What came of an intent: "" or why it was not done.

    ``again``: when it is worth another try, None for the next comparison. ``unsent``: the terminal never heard of it.
    ``doubt``: columns in which the platform's word counts from now on.
    """

    intent: Intent
    sentence: str = ""
    again: timedelta | None = None
    unsent: bool = False
    doubt: tuple[str, ...] = ()


class Row(NamedTuple):
    """What is kept of one person on one terminal."""

    held: bool = False
    placed: bool = False
    uid: int | None = None
    employee_uuid: UUID | None = None
    held_fields: Mapping[str, Any] = {}
    held_fingers: Mapping[str, str] | None = None
    agreed_fields: Mapping[str, Any] = {}
    agreed_fingers: Mapping[str, str] = {}
    refusal: str = ""
    retry_at: datetime | None = None

    @property
    def person(self) -> Person:
        fingers = None if self.held_fingers is None else _by_number(self.held_fingers)
        return Person(Fields(**self.held_fields), fingers)

    @property
    def agreed(self) -> Agreed:
        return Agreed(self.placed, self.agreed_fields, _by_number(self.agreed_fingers))

    def showing(self, person: Held) -> Row:
        """With what the terminal holds."""
        return self._replace(held=True, uid=person.uid, held_fields=person.fields._asdict())

    def gone(self) -> Row:
        """With nothing that the terminal holds."""
        return self._replace(held=False, uid=None, held_fields={}, held_fingers=None)

    def agreeing(self, agreed: Agreed, person: UUID | None) -> Row:
        """``person`` is whom the code means."""
        return self._replace(
            placed=agreed.placed,
            employee_uuid=person,
            agreed_fields=agreed.fields,
            agreed_fingers=by_text(agreed.fingers),
        )

    def as_before(self, former: Row) -> Row:
        """The terminal never heard of what was to be agreed."""
        return self._replace(
            placed=former.placed,
            employee_uuid=former.employee_uuid,
            agreed_fields=former.agreed_fields,
            agreed_fingers=former.agreed_fingers,
        )

    def without(self, intent: Intent, former: Row) -> Row:
        """What the terminal never heard of this intent is as it was ``former``."""
        if intent.kind is Kind.ADD:
            return self.as_before(former)
        fields, fingers = {**self.agreed_fields}, {**self.agreed_fingers}
        for agreed, before, keys in (
            (fields, former.agreed_fields, intent.columns),
            (fingers, former.agreed_fingers, () if intent.finger is None else (str(intent.finger),)),
        ):
            for key in keys:
                agreed.pop(key, None)
                agreed.update({key: before[key]} if key in before else {})
        return self._replace(placed=former.placed, agreed_fields=fields, agreed_fingers=fingers)

    def doubting(self, columns: Iterable[str]) -> Row:
        return self._replace(agreed_fields={**self.agreed_fields, **dict.fromkeys(columns, IN_DOUBT)})

    def means_another(self, person: UUID | None) -> bool:
        return None not in {self.employee_uuid, person} and self.employee_uuid != person


def _by_number(fingers: Mapping[str, str]) -> dict[int, str]:
    return {int(finger): digest for finger, digest in fingers.items()}


def by_text(fingers: Mapping[int, str]) -> dict[str, str]:
    return {str(finger): fingers[finger] for finger in sorted(fingers)}
