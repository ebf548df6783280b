"""What has to be done so that a terminal holds the right people. Pure: the same plan for terminals that are dialled and
for those that dial.

Three sides are compared, person by person and column by column: what is *wanted* there, what the terminal *holds*,
and what was *agreed* last, that is what both held once. The third tells who changed something since: without it a card
entered at the terminal's own menu could not be told from one that was taken away here.

Nothing is forgotten by inference: what is empty on the terminal erases nothing here, and what was never known here
erases nothing there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from iclock.policy import Direction, Strangers


class Kind(StrEnum):
    """What is done: to what is known here (take…), or to the terminal (all others)."""

    TAKE_FIELDS = "take_fields"
    TAKE_FINGER = "take_finger"
    REMOVE = "remove"
    ADD = "add"
    UPDATE = "update"
    ENABLE = "enable"
    DELETE_FINGER = "delete_finger"
    COPY_FINGER = "copy_finger"


class Fields(NamedTuple):
    """What a terminal knows of a person, as it would keep it: ``name`` cut to its room, ``password`` as a keyed digest.

    The empty value of a column means that there is none.
    """

    name: str = ""
    card: int = 0
    privilege: int = 0
    password: str = ""
    disabled: bool = False


Fingers = Mapping[int, str]
"""Digests of templates (hex) by finger, 0 to 9."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person as they are wanted, or as a terminal holds them; ``fingers`` None: not read yet.

    ``forgotten`` are digests of templates that were taken back here: they don't come again from anywhere.
    """

    fields: Fields
    fingers: Fingers | None = field(default_factory=dict)
    forgotten: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the terminal and the platform held alike last: columns by name, fingers. ``placed``: they were wanted there
    once, and there, or on their way. What is on its way (`sending`) is ``IN_DOUBT``."""

    placed: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    fingers: Fingers = field(default_factory=dict)


class Policy(NamedTuple):
    """``first``: the terminal's people were never compared before; then no stranger is removed, whatever else is said.

    ``fingers``: templates go to and fro; not where the unit doesn't tell its algorithm.
    """

    direction: Direction = Direction.BOTH
    strangers: Strangers = Strangers.KEPT
    first: bool = False
    fingers: bool = True

    @property
    def writes(self) -> bool:
        return self.direction in {Direction.EXPORT, Direction.BOTH}

    @property
    def takes(self) -> bool:
        return self.direction in {Direction.IMPORT, Direction.BOTH}


class Intent(NamedTuple):
    """One thing to do with one person: with ``columns``, or with a ``finger``."""

    kind: Kind
    code: str
    columns: tuple[str, ...] = ()
    finger: int | None = None


NOTHING_AGREED: Final = Agreed()
# Was sent, and what came of it is not known yet: known to both, equal to nothing. So it is never taken for news.
IN_DOUBT: Final = "?"
TAKES: Final = frozenset({Kind.TAKE_FIELDS, Kind.TAKE_FINGER})
# Names and privileges are the platform's matter where people go both ways: a terminal cuts names and spells them in
# its own code page, and who is made an administrator at one menu isn't one everywhere.
_ENTERED_AT_TERMINALS: Final = frozenset({"card", "password"})
# What the platform replaced of these last stands beside the columns: a terminal that has it again was put back to an
# earlier state.
_FORMER: Final = {"card": "former_card", "password": "former_password"}
# What is taken comes first, lest it be overwritten; who leaves makes room, and gives back a card, for who comes.
_ORDER: Final = {kind: place for place, kind in enumerate(Kind)}
_BEHIND_THE_NAME: Final = Fields._fields[1:]
_SHORTEST_ALIKE: Final = 3


def plan(
    *,
    held: Mapping[str, Person],
    wanted: Mapping[str, Person],
    agreed: Mapping[str, Agreed],
    policy: Policy,
) -> list[Intent]:
    """The intents, in the order in which they are to be carried out. All mappings go by employee code."""
    intents: list[Intent] = []
    for code, person in wanted.items():
        there = held.get(code)
        if there is None:
            intents += _bring(code, person, policy)
        elif there != person:
            intents += _reconcile(code, person, there, agreed.get(code, NOTHING_AGREED), policy)
    for code in held.keys() - wanted.keys():
        if _goes(agreed.get(code, NOTHING_AGREED), policy):
            intents.append(Intent(Kind.REMOVE, code))
    wishes = [intent for intent in intents if (policy.takes if intent.kind in TAKES else policy.writes)]
    return sorted(wishes, key=lambda intent: (_ORDER[intent.kind], intent.code, intent.finger or 0))


def is_doubtful(ours: Person, theirs: Person, last: Agreed) -> bool:
    """Whether the terminal may mean somebody else by this code: it has another name for it, and nobody ever said that
    both are one person. Then nothing of either goes to the other."""
    names = ours.fields.name, theirs.fields.name
    return "name" not in last.fields and all(names) and not are_alike(*names)


def are_alike(one: str, other: str) -> bool:
    """Whether two spellings may be one person's name: in whatever order, they have the same words, or all that count of
    the shorter one's begin like others of the longer one's. Particles and initials don't count."""
    words, others = _words(one), _words(other)
    if sorted(words) == sorted(others):
        return True
    few, many = sorted((list(filter(_counts, words)), list(filter(_counts, others))), key=len)
    for word in few:
        alike = next((another for another in many if _begin_alike(word, another)), None)
        if alike is None:
            return False
        many.remove(alike)
    return bool(few)


def now_agreed(ours: Person, theirs: Person, last: Agreed) -> Agreed:
    """What is agreed once both sides were seen, of a person whom the terminal holds and should hold."""
    if is_doubtful(ours, theirs, last):
        return last
    pairs = zip(Fields._fields, ours.fields, theirs.fields, strict=True)
    fields = {**last.fields, **{column: mine for column, mine, there in pairs if mine == there}}
    if ours.fingers is None or theirs.fingers is None:
        return Agreed(True, fields, last.fingers)
    fingers = {finger: digest for finger, digest in last.fingers.items() if finger in {*ours.fingers, *theirs.fingers}}
    alike = {finger: digest for finger, digest in ours.fingers.items() if theirs.fingers.get(finger) == digest}
    return Agreed(True, fields, {**fingers, **alike})


def sending(intents: Iterable[Intent], last: Agreed) -> Agreed:
    """What is agreed of a person while these intents of theirs are being carried out: if nobody hears what came of
    them, the platform's word counts, even where it takes back what was sent.

    Whether somebody new came there at all is told by their name, so that stays unknown.
    """
    placed, fields, fingers = last.placed, {**last.fields}, {**last.fingers}
    for intent in intents:
        placed = placed or intent.kind is not Kind.REMOVE
        columns = _BEHIND_THE_NAME if intent.kind is Kind.ADD else intent.columns
        for column, former in _FORMER.items():
            if column in columns and fields.get(column, IN_DOUBT) != IN_DOUBT:
                fields[former] = fields[column]
        fields.update(dict.fromkeys(columns, IN_DOUBT))
        if intent.finger is not None:
            fingers[intent.finger] = IN_DOUBT
    return Agreed(placed, fields, fingers)


def _bring(code: str, person: Person, policy: Policy) -> Iterator[Intent]:
    yield Intent(Kind.ADD, code)
    if policy.fingers:
        yield from (Intent(Kind.COPY_FINGER, code, finger=finger) for finger in person.fingers or ())


def _goes(last: Agreed, policy: Policy) -> bool:
    """Who was placed there by us and isn't wanted any more; a stranger only where the policy says so."""
    return last.placed or (policy.strangers == Strangers.REMOVED and not policy.first)


def _reconcile(code: str, person: Person, there: Person, last: Agreed, policy: Policy) -> Iterator[Intent]:
    if is_doubtful(person, there, last):
        return
    taken, written = [], []
    for column, ours, theirs in zip(Fields._fields, person.fields, there.fields, strict=True):
        base = last.fields.get(column)
        if ours == theirs:
            continue
        restored = column in _FORMER and theirs == last.fields.get(_FORMER[column])
        if theirs and not restored and _is_taken(column, ours, base, policy):
            taken.append(column)
        elif ours or base is not None:
            written.append(column)
    if taken:
        yield Intent(Kind.TAKE_FIELDS, code, tuple(taken))
    if "disabled" in written:
        yield Intent(Kind.ENABLE, code, ("disabled",))
    if columns := tuple(column for column in written if column != "disabled"):
        yield Intent(Kind.UPDATE, code, columns)
    if policy.fingers:
        yield from _reconcile_fingers(code, person, there, last.fingers, policy)


def _is_taken(column: str, ours: object, base: object | None, policy: Policy) -> bool:
    """The terminal's value is news: nothing was known here, or what is known here is still what was agreed."""
    if not policy.takes or column == "disabled":
        return False
    if column in _ENTERED_AT_TERMINALS or policy.direction == Direction.IMPORT:
        return not ours if base is None else ours == base
    return column == "name" and not ours and base is None


def _reconcile_fingers(code: str, person: Person, there: Person, last: Fingers, policy: Policy) -> Iterator[Intent]:
    if person.fingers is None or there.fingers is None:
        return
    for finger in sorted({*person.fingers, *there.fingers}):
        ours, theirs, base = person.fingers.get(finger), there.fingers.get(finger), last.get(finger)
        if theirs in person.forgotten:
            base = IN_DOUBT
        kind = None if ours == theirs else _finger(ours, theirs, base, policy)
        if kind is not None:
            yield Intent(kind, code, finger=finger)


def _finger(ours: str | None, theirs: str | None, base: str | None, policy: Policy) -> Kind | None:
    if theirs is None:
        return Kind.COPY_FINGER  # also one that was deleted at the terminal
    if policy.takes and theirs != base and ours == base:
        return Kind.TAKE_FINGER  # enrolled there, or once more
    if ours is None:
        return None if base is None else Kind.DELETE_FINGER  # withdrawn here; one that nobody ever knew is left alone
    return Kind.COPY_FINGER


def _words(name: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return "".join(c if c.isalnum() else " " for c in plain).split()


def _counts(word: str) -> bool:
    """In some scripts a letter is a word."""
    return len(word) >= _SHORTEST_ALIKE or not word.isascii()


def _begin_alike(word: str, other: str) -> bool:
    short, long = sorted((word, other), key=len)
    return long.startswith(short)
