"""Orders about people: what is sent of somebody when it is handed out, and what came of it.

Only the intent waits; values are read as they are when the unit asks, and what isn't part of the plan any more by then
is not sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.db.models import F
from django.db.models.functions import Greatest, Now

from iclock import orders
from iclock.domain import comparing, placements
from iclock.domain.kept import Held, Outcome, Row
from iclock.domain.placements import Sides
from iclock.domain.plan import Fields, Intent, Kind
from iclock.domain.push_room import room_of, why_unfit
from iclock.domain.wanted import pins_of, templates_of
from iclock.models import PushCommand, SyncMark, Terminal, TerminalPerson
from iclock.models.biodata import digest_of

State = PushCommand.State

ORDERS: Final = {
    Kind.ADD: orders.Kind.UPDATE_USER,
    Kind.UPDATE: orders.Kind.UPDATE_USER,
    Kind.REMOVE: orders.Kind.DELETE_USER,
    Kind.COPY_FINGER: orders.Kind.UPDATE_FINGER,
    Kind.DELETE_FINGER: orders.Kind.DELETE_FINGER,
}
UNWANTED: Final = "It isn't to be done any more."
NOT_KEPT: Final = "The unit keeps it otherwise than it was sent, {} times within a day."

_COLUMNS: Final = ("name", "card", "privilege", "password")
_NO_SUCH_PERSON: Final = -10
_BUSY: Final = frozenset({-3, -10, -1003, -1005})
_SOON, _LATER = timedelta(minutes=5), timedelta(days=1)
# Who is busy whenever they are asked is asked every hour.
_HOURLY, _OFTEN, _LATELY = timedelta(hours=1), 3, timedelta(hours=6)
_SAME: Final = 3


class Prepared(NamedTuple):
    """An order that may be handed out now, what it says, and what of it is compared later."""

    row: PushCommand
    text: orders.Order
    intent: Intent
    sent: dict[str, Any]


class Preparation(NamedTuple):
    """``unwanted`` are orders that aren't to be carried out any more, ``refused`` those that can't be."""

    sides: Sides
    ready: dict[int, Prepared]
    unwanted: list[PushCommand]
    refused: list[tuple[PushCommand, Outcome]]


def intent_of(row: PushCommand) -> Intent:
    return Intent(Kind(row.intent), row.emp_code, tuple(filter(None, row.columns.split(","))), row.finger)


def order_of(terminal: Terminal, intent: Intent) -> PushCommand:
    """The order that carries the intent out, not saved."""
    return PushCommand(
        terminal=terminal,
        kind=ORDERS[intent.kind],
        emp_code=intent.code,
        finger=intent.finger,
        intent=intent.kind,
        columns=",".join(intent.columns),
    )


def prepare(terminal: Terminal, rows: Sequence[PushCommand]) -> Preparation:
    """What these orders say now."""
    sides = placements.sides_of(terminal, room_of(terminal.push), codes={row.emp_code for row in rows})
    mark = SyncMark.objects.filter(terminal=terminal).first() or SyncMark(terminal=terminal)
    intents = placements.intents_of(sides, placements.policy_of(terminal, mark))
    planned = {(intent.kind, intent.code, intent.finger): intent for intent in intents}
    told = _Told(terminal, sides, rows)
    done = Preparation(sides, {}, [], [])
    for row in rows:
        intent = planned.get((Kind(row.intent), row.emp_code, row.finger))
        if intent is None:
            done.unwanted.append(row)
            continue
        if row.times_sent and _was_another(sides, row.emp_code):
            comparing.doubt_fingers(terminal)
            done.unwanted.append(row)
            continue
        try:
            text, sent = told.order(intent)
        except ValueError as error:
            done.refused.append((row, Outcome(intent, str(error), again=_LATER)))
            continue
        done.ready[row.pk] = Prepared(row, text, intent, sent)
    _leave_what_is_not_kept(terminal, done)
    return done


def _was_another(sides: Sides, code: str) -> bool:
    """The unit may have somebody else by this code since it was sent, with their fingers: that is asked first."""
    return code in sides.wanted and sides.rows.get(code, Row()).means_another(sides.uuids.get(code))


def note_answered(terminal: Terminal, answered: Sequence[tuple[PushCommand, int]]) -> None:
    """What came of these orders, by the unit's return codes; in the order in which they were handed out."""
    sides = placements.sides_of(terminal, room_of(terminal.push), codes={row.emp_code for row, _ in answered})
    told_at = dict(
        TerminalPerson.objects.filter(terminal=terminal, emp_code__in=sides.rows).values_list("emp_code", "told_at")
    )
    before = _counted(sides)
    held: dict[str, Held | None] = {}
    fingers: dict[str, dict[int, str]] = {}
    outcomes = []
    often = _failing(terminal, sides.rows)
    for row, code in answered:
        outcomes.append(_outcome(row, code, busy=_HOURLY if (row.emp_code, row.finger) in often else _SOON))
        told = told_at.get(row.emp_code)
        # What the unit told of somebody since then is newer, or is told again.
        if told is None or row.sent_at is None or told <= row.sent_at:
            _follow(row, code, sides.rows.get(row.emp_code, Row()), held, fingers)
    placements.note_outcomes(terminal, sides, outcomes, held=held, fingers=fingers)
    after = _counted(sides)
    _move_counts(terminal, people=after[0] - before[0], fingers=after[1] - before[1])


class _Told:
    """The secrets that some orders say are read for all of them at once."""

    def __init__(self, terminal: Terminal, sides: Sides, rows: Iterable[PushCommand]) -> None:
        self._state, self._sides = terminal.push, sides
        known = {row.emp_code for row in rows if row.emp_code in sides.wanted}
        self._pins = pins_of([code for code in known if sides.wanted[code].fields.password])
        which = {(row.emp_code, row.finger) for row in rows if row.finger is not None}
        copied = {(code, finger) for code, finger in which if code in known}
        self._templates, self._left = templates_of(terminal, copied) if copied else ({}, {})

    def order(self, intent: Intent) -> tuple[orders.Order, dict[str, Any]]:
        """And what of it is compared. Raises ValueError."""
        code, finger = intent.code, intent.finger or 0
        if intent.kind is Kind.REMOVE:
            return orders.delete_user(code), {}
        if intent.kind is Kind.DELETE_FINGER:
            return orders.delete_finger(code, finger), {}
        if sentence := why_unfit(self._state, code):
            raise ValueError(sentence)
        if intent.kind is not Kind.COPY_FINGER:
            return self._user(intent)
        if left := self._left.get((code, finger)):
            raise ValueError(left)
        template = self._templates[code, finger]
        return orders.update_finger(code, finger, template), {"digest": digest_of(template)}

    def _user(self, intent: Intent) -> tuple[orders.Order, dict[str, Any]]:
        code = intent.code
        wanted, is_new = self._sides.wanted[code].fields, intent.kind is Kind.ADD
        columns = {*_COLUMNS} if is_new else self._columns(intent, wanted)
        told: dict[str, Any] = {**wanted._asdict(), "password": self._pins.get(code, "") if wanted.password else ""}
        text = orders.update_user(code, **{name: told[name] for name in columns}, group=1 if is_new else None)
        return text, {name: value for name, value in wanted._asdict().items() if name in columns}

    def _columns(self, intent: Intent, wanted: Fields) -> set[str]:
        """Some firmware resets what is left out: so what the unit holds already is said again."""
        there = self._sides.rows.get(intent.code, Row()).held_fields
        alike = {name for name in _COLUMNS if getattr(wanted, name) and there.get(name) == getattr(wanted, name)}
        return {*_COLUMNS} & ({*intent.columns} | alike)


def _leave_what_is_not_kept(terminal: Terminal, done: Preparation) -> None:
    """What a unit said it did and tells otherwise, over and over, is left for a day."""
    told = PushCommand.objects.filter(
        terminal=terminal,
        state=State.DONE,
        finished_at__gt=Now() - _LATER,
        emp_code__in={each.row.emp_code for each in done.ready.values()},
    )
    last: dict[tuple[str, int | None], list[tuple[str, Any]]] = {}
    for code, finger, kind, sent in told.order_by("-id").values_list("emp_code", "finger", "kind", "sent"):
        mine = last.setdefault((code, finger), [])
        if len(mine) < _SAME:
            mine.append((kind, sent))
    for pk, each in list(done.ready.items()):
        row = each.row
        if last.get((row.emp_code, row.finger)) == [(row.kind, each.sent)] * _SAME:
            done.refused.append((row, Outcome(each.intent, NOT_KEPT.format(_SAME), again=_LATER)))
            del done.ready[pk]


def _failing(terminal: Terminal, codes: Collection[str]) -> set[tuple[str, int | None]]:
    """Of whom, and of which finger, it was busy several times."""
    failed = PushCommand.objects.filter(
        terminal=terminal, state=State.FAILED, returned__in=_BUSY, finished_at__gt=Now() - _LATELY, emp_code__in=codes
    )
    times = Counter(failed.order_by().values_list("emp_code", "finger"))
    return {what for what, count in times.items() if count >= _OFTEN}


def _outcome(row: PushCommand, code: int, *, busy: timedelta) -> Outcome:
    kind, intent = orders.Kind(row.kind), intent_of(row)
    if is_done(row, code):
        return Outcome(intent)
    again = busy if code in _BUSY else _LATER
    return Outcome(intent, orders.return_in_words(code, kind), again=again)


def is_done(row: PushCommand, code: int) -> bool:
    """Whether the unit did it; who isn't there needn't be taken away."""
    gone = code == _NO_SUCH_PERSON and row.intent in {Kind.REMOVE, Kind.DELETE_FINGER}
    return gone or orders.is_done(code, orders.Kind(row.kind))


def _follow(
    row: PushCommand, code: int, there: Row, held: dict[str, Held | None], fingers: dict[str, dict[int, str]]
) -> None:
    """What the unit holds after the order, by what is known so far."""
    who, intent = row.emp_code, row.intent
    if code == _NO_SUCH_PERSON:
        held[who] = None
        fingers.pop(who, None)
        return
    if not is_done(row, code):
        return
    if intent == Kind.REMOVE:
        held[who] = None
        fingers.pop(who, None)
    elif intent in {Kind.ADD, Kind.UPDATE}:
        known = held.get(who)
        before: Mapping[str, Any] = known.fields._asdict() if known else there.held_fields
        held[who] = Held(there.uid, Fields(**{**before, **row.sent}))
        if intent == Kind.ADD and not there.held:
            fingers[who] = {}  # who is new there has none
    elif row.finger is not None:
        _follow_finger(row, there, fingers)


def _follow_finger(row: PushCommand, there: Row, fingers: dict[str, dict[int, str]]) -> None:
    if row.emp_code not in fingers:
        if there.held_fingers is None:
            return
        fingers[row.emp_code] = {int(finger): digest for finger, digest in there.held_fingers.items()}
    mine = fingers[row.emp_code]
    mine.pop(row.finger or 0, None)
    if row.intent == Kind.COPY_FINGER:
        mine[row.finger or 0] = row.sent["digest"]


def _counted(sides: Sides) -> tuple[int, int]:
    there = [row for row in sides.rows.values() if row.held]
    return len(there), sum(len(row.held_fingers or {}) for row in there)


def _move_counts(terminal: Terminal, *, people: int, fingers: int) -> None:
    """What the unit should count from now on: if it tells otherwise, somebody changed something there."""
    if not people and not fingers:
        return
    SyncMark.objects.filter(terminal=terminal).update(
        people_there=Greatest(F("people_there") + people, 0), fingers_there=Greatest(F("fingers_there") + fingers, 0)
    )
    Terminal.objects.filter(pk=terminal.pk).update(
        user_count=Greatest(F("user_count") + people, 0), fp_count=Greatest(F("fp_count") + fingers, 0)
    )


def note_dropped(
    terminal: Terminal, sides: Sides, refused: Collection[tuple[PushCommand, Outcome]], *, unwanted: int
) -> None:
    """None of these was sent."""
    if refused:
        placements.note_outcomes(terminal, sides, [outcome for _, outcome in refused], held={}, fingers={})
    if unwanted:
        SyncMark.objects.filter(terminal=terminal).update(carried_out=F("carried_out") + unwanted)
