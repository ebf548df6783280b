"""The three sides of the plan as the database keeps them: who is on a terminal, who should be, what was agreed.

Whoever speaks to a terminal notes what it holds, carries out the plan, and notes what came of it; in between no
connection is needed. Rows are locked in the order terminals, their marks, people on terminals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import F, TextField
from django.db.models.functions import Cast, Collate, Now
from django.utils import timezone

from iclock.domain.kept import OTHER_NAME, Held, Outcome, Row, by_text
from iclock.domain.marks import hold_terminals
from iclock.domain.plan import TAKES, Intent, Kind, Person, Policy, is_doubtful, now_agreed, plan, sending
from iclock.domain.wanted import Room, Wanted, wanted_on
from iclock.models import PersonIntent, SyncMark, Terminal, TerminalPerson
from iclock.policy import Direction, Strangers
from zkbio.texts import in_print

_BATCH: Final = 1_000
_LONGEST: Final = 300
_DOCUMENTS: Final = ("held_fields", "held_fingers", "agreed_fields", "agreed_fingers")
_PLACES: Final = tuple(map(Row._fields.index, _DOCUMENTS))
# Who goes, and whose fingers go, doesn't wait for another try.
_AT_ONCE: Final = frozenset({*TAKES, Kind.REMOVE, Kind.DELETE_FINGER})

# Of a unit that dials.
_UNTOLD: Final = frozenset({"password", "disabled"})
_FORMER: Final = "On the unit this code is still somebody's who is no employee any more: they are to be removed first."


class Sides(NamedTuple):
    """A terminal's people by code. ``wanted`` are those who should be there, but for the ``successors``: people whose
    code still is somebody else's there.

    ``unfit`` are columns in which what is known here has no room there, so that nothing from there is news. ``asked``
    is what the terminal's mark wanted when all this was read, ``former`` the rows as they were before something was
    sent.
    """

    rows: dict[str, Row]
    wanted: dict[str, Person]
    successors: dict[str, Person]
    uuids: dict[str, UUID]
    unfit: dict[str, tuple[str, ...]]
    remarks: dict[str, str]
    untouched: frozenset[str]
    asked: int
    former: dict[str, Row]


def policy_of(terminal: Terminal, mark: SyncMark) -> Policy:
    return Policy(
        Direction(terminal.direction),
        Strangers(terminal.strangers),
        first=mark.compared_at is None,
        fingers=bool(terminal.fp_version),
    )


def sides_of(terminal: Terminal, room: Room, *, codes: Collection[str] | None = None) -> Sides:
    """As it was when the terminal was read last; ``codes``: of these people only."""
    asked = _asked(terminal)
    return _sides(terminal, _rows_of(terminal, codes), wanted_on(terminal, room, codes=codes), asked)


def note_held(
    terminal: Terminal,
    people: Mapping[str, Held],
    *,
    fingers: Mapping[str, Mapping[int, str]] | None,
    remarks: Mapping[str, str],
    room: Room,
) -> Sides:
    """The unit was read: these people, and ``fingers`` of those who should be there, None where they were not read.

    ``remarks`` are the reader's own, of people who are to be left as they are if they should be there.
    """
    # Read before the mark is held, which whoever edits people waits for; who is edited meanwhile is marked again.
    asked, wanted = _asked(terminal), wanted_on(terminal, room)
    with transaction.atomic():
        _hold(terminal)
        before = _rows_of(terminal)
        rows = {}
        for code in before.keys() | people.keys():
            row, person = _retried(before.get(code, Row())), people.get(code)
            if person is None:
                rows[code] = row.gone()
                continue
            known = row.held_fingers if code in wanted.uuids or row.placed else None
            if fingers is not None and code in wanted.uuids:
                known = by_text(fingers.get(code, {}))
            rows[code] = row.showing(person)._replace(held_fingers=known)
        left = remarks.keys() & wanted.uuids.keys()
        after = _sides(terminal, rows, wanted._replace(untouched=wanted.untouched | left), asked)
        after.remarks.update(remarks)
        _settle(terminal, before, after)
    return after


def note_told(
    terminal: Terminal,
    people: Mapping[str, Held],
    *,
    fingers: Mapping[str, Mapping[int, str | None]],
    room: Room,
) -> Sides:
    """The unit told of these people by itself, and of these ``fingers`` of theirs (None: not there any more).

    Of nobody else it said anything, nor of passwords: what was known of both stays. A finger of somebody of whom the
    unit never told says nothing.
    """
    codes = people.keys() | fingers.keys()
    asked, wanted = _asked(terminal), wanted_on(terminal, room, codes=codes)
    with transaction.atomic():
        _hold(terminal)
        before = _rows_of(terminal, codes)
        rows = {}
        for code in codes:
            row = _retried(before.get(code, Row()))
            if code in people:
                row = _told(row, people[code])
            if row.held:
                known = _told_fingers(row, fingers.get(code, {})) if code in wanted.uuids else row.held_fingers
                row = row._replace(held_fingers=known)
            rows[code] = row
        after = _sides(terminal, rows, wanted, asked)
        _settle(terminal, before, after)
        told = TerminalPerson.objects.filter(terminal=terminal, emp_code__in=people)
        told.update(told_at=Now())
    return after


def note_all_told(terminal: Terminal, since: datetime, *, room: Room) -> int:
    """A unit that dials told of everybody ``since``: who wasn't among them isn't on it, fingers that it didn't tell of
    aren't either. How many people it holds."""
    asked, wanted = _asked(terminal), wanted_on(terminal, room)
    with transaction.atomic():
        _hold(terminal)
        before = _rows_of(terminal)
        told = TerminalPerson.objects.filter(terminal=terminal, told_at__gte=since)
        there = set(told.values_list("emp_code", flat=True))
        rows = {**before}
        for code, row in before.items():
            if row.held and code not in there:
                rows[code] = row.gone()
            elif row.held and row.held_fingers is None and code in wanted.uuids:
                rows[code] = row._replace(held_fingers={})
        after = _sides(terminal, rows, wanted, asked)
        for code in rows:
            rows[code] = _settled(after, code)
        _write(terminal, before, rows)
    return sum(row.held for row in rows.values())


def plan_for(terminal: Terminal, room: Room) -> list[Intent]:
    """What is to be done by what is known without asking the terminal again."""
    mark = SyncMark.objects.filter(terminal=terminal).first() or SyncMark(terminal=terminal)
    return intents_of(sides_of(terminal, room), policy_of(terminal, mark))


def intents_of(sides: Sides, policy: Policy) -> list[Intent]:
    """The plan, without what was refused a short while ago."""
    held = {code: row.person for code, row in sides.rows.items() if row.held and code not in sides.untouched}
    agreed = {code: row.agreed for code, row in sides.rows.items() if held.get(code) != sides.wanted.get(code)}
    now = timezone.now()
    waiting = {code for code, row in sides.rows.items() if row.retry_at is not None and row.retry_at > now}
    intents = plan(held=held, wanted=sides.wanted, agreed=agreed, policy=policy)
    return [intent for intent in intents if intent.kind in _AT_ONCE or intent.code not in waiting]


def note_sending(terminal: Terminal, sides: Sides, intents: Collection[Intent]) -> None:
    """These intents are about to be carried out. ``sides`` is brought up to date."""
    by_code: dict[str, list[Intent]] = {}
    for intent in intents:
        by_code.setdefault(intent.code, []).append(intent)
    before = {code: sides.rows.get(code, Row()) for code in by_code}
    sides.former.update(before)
    for code, mine in by_code.items():
        meant = sides.uuids.get(code) if code in sides.wanted else before[code].employee_uuid
        sides.rows[code] = before[code].agreeing(sending(mine, before[code].agreed), meant)
    with transaction.atomic():
        _hold(terminal)
        _write(terminal, before, {code: sides.rows[code] for code in by_code})


def note_outcomes(
    terminal: Terminal,
    sides: Sides,
    outcomes: Collection[Outcome],
    *,
    held: Mapping[str, Held | None],
    fingers: Mapping[str, Mapping[int, str]],
) -> None:
    """What came of these intents: then the terminal ``held`` these people (None: not any more) and all ``fingers`` of
    these. ``sides`` is brought up to date."""
    failed = {outcome.intent.code: outcome for outcome in reversed(list(outcomes)) if outcome.sentence}
    before = {each.intent.code: sides.rows.get(each.intent.code, Row()) for each in outcomes}
    unsent: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.unsent:
            unsent.setdefault(outcome.intent.code, []).append(outcome)
    with transaction.atomic():
        edited = _hold(terminal) != sides.asked
        for code, former in before.items():
            row, failure = former, failed.get(code)
            for outcome in unsent.get(code, ()):
                row = row.without(outcome.intent, sides.former[code])
            if code in held:
                person = held[code]
                row = row.gone() if person is None else row.showing(person)
            if code in fingers:
                row = row._replace(held_fingers=by_text(fingers[code]))
            # Whoever was edited meanwhile is worth another try at once.
            sides.rows[code] = _refused(row, failure, now=edited)
            sides.rows[code] = _settled(sides, code)
            if sides.rows[code] == Row() and code in sides.successors:
                sides.wanted[code] = sides.successors.pop(code)
                sides.remarks.pop(code, None)
        _record(terminal, outcomes)
        _write(terminal, before, {code: sides.rows[code] for code in before})
        SyncMark.objects.filter(terminal=terminal).update(carried_out=F("carried_out") + len(outcomes))


def note_taken(terminal: Terminal, sides: Sides, outcomes: Collection[Outcome]) -> None:
    """What came of what was taken from a unit that dials, which may have told more of these people meanwhile."""
    with transaction.atomic():
        _hold(terminal)
        sides.rows.update(_rows_of(terminal, {outcome.intent.code for outcome in outcomes}))
        note_outcomes(terminal, sides, outcomes, held={}, fingers={})


def note_unanswered(
    terminal: Terminal,
    intents: Collection[Intent],
    sentence: str,
    *,
    pausing: Collection[str] = (),
    pause: timedelta = timedelta(0),
) -> None:
    """Nobody knows what came of these intents; the next comparison finds it. The people ``pausing`` aren't tried
    again before that time is over."""
    with transaction.atomic():
        _hold(terminal)
        rows = TerminalPerson.objects.filter(terminal=terminal, emp_code__in=pausing)
        # In the order in which whoever reconciles a terminal writes them.
        locked = rows.order_by(Collate("emp_code", "C")).select_for_update(no_key=True)
        TerminalPerson.objects.filter(pk__in=[row.pk for row in locked.only("pk")]).update(
            refusal=_said(sentence), retry_at=timezone.now() + pause
        )
        _record(terminal, [Outcome(intent, sentence) for intent in intents])


def _rows_of(terminal: Terminal, codes: Collection[str] | None = None) -> dict[str, Row]:
    """Opening so many small documents is most of the work, and orjson does it in a tenth of the time."""
    texts = {f"{name}_text": Cast(name, TextField()) for name in _DOCUMENTS}
    columns = [f"{name}_text" if name in _DOCUMENTS else name for name in Row._fields]
    kept = TerminalPerson.objects.filter(terminal=terminal).order_by().annotate(**texts)
    if codes is not None:
        kept = kept.filter(emp_code__in=codes)
    return {code: _row(values) for code, *values in kept.values_list("emp_code", *columns)}


def _row(values: list[Any]) -> Row:
    for place in _PLACES:
        if values[place] is not None:
            values[place] = orjson.loads(values[place])
    return Row(*values)


def _sides(terminal: Terminal, rows: dict[str, Row], wanted: Wanted, asked: int) -> Sides:
    """A code that means another person than on the unit is wanted only once that one is gone.

    Where nobody is ever removed, what was agreed about the former says nothing of the new one.
    """
    people = {code: person for code, person in wanted.people.items() if code not in wanted.untouched}
    successors: dict[str, Person] = {}
    remarks, untouched = dict(wanted.remarks), set(wanted.untouched)
    for code, uuid in wanted.uuids.items():
        row = rows.get(code, Row())
        if not (row.held and row.means_another(uuid)):
            continue
        if terminal.direction not in {Direction.EXPORT, Direction.BOTH}:
            rows[code] = row.as_before(Row())._replace(refusal="")
            continue
        untouched.discard(code)
        remarks[code] = _FORMER
        if code in people:
            successors[code] = people.pop(code)
    return Sides(rows, people, successors, wanted.uuids, wanted.unfit, remarks, frozenset(untouched), asked, {})


def _asked(terminal: Terminal) -> int:
    return SyncMark.objects.filter(terminal=terminal).values_list("wanted", flat=True).first() or 0


def _hold(terminal: Terminal) -> int:
    """What the terminal's mark wants; nobody changes it before the transaction ends, or deletes the terminal."""
    hold_terminals([terminal.pk])
    held = SyncMark.objects.select_for_update(no_key=True).filter(terminal=terminal)
    return held.values_list("wanted", flat=True).first() or 0


def _retried(row: Row) -> Row:
    """What was to wait for another try waits no longer, when its time has come."""
    due = row.retry_at is not None and row.retry_at <= timezone.now()
    return row._replace(retry_at=None) if due else row


def _told(row: Row, person: Held) -> Row:
    """A unit that dials tells neither its own numbers nor passwords, nor who is disabled."""
    kept = {name: value for name, value in row.held_fields.items() if name in _UNTOLD}
    return row.showing(Held(row.uid, person.fields._replace(**kept)))


def _told_fingers(row: Row, told: Mapping[int, str | None]) -> dict[str, str]:
    """Whoever is new there has those that are told, and no others."""
    known = {int(finger): digest for finger, digest in (row.held_fingers or {}).items()}
    return by_text({finger: digest for finger, digest in {**known, **told}.items() if digest is not None})


def _settle(terminal: Terminal, before: Mapping[str, Row], sides: Sides) -> None:
    for code in sides.rows:
        sides.rows[code] = _settled(sides, code)
    _write(terminal, before, sides.rows)


def _refused(row: Row, failure: Outcome | None, *, now: bool) -> Row:
    if failure is None:
        return row._replace(refusal="", retry_at=None)
    again = None if now or failure.again is None else timezone.now() + failure.again
    return row._replace(refusal=_said(failure.sentence), retry_at=again).doubting(failure.doubt)


def _settled(sides: Sides, code: str) -> Row:
    """The row with what is agreed now, and what is to be said of the person."""
    row, ours = sides.rows[code], sides.wanted.get(code)
    remark = _said(sides.remarks.get(code, ""))
    if not row.held:
        # Whom nobody wants and the terminal doesn't hold is forgotten.
        kept = ours is not None or code in sides.untouched
        former = row.means_another(sides.uuids.get(code))
        # Why they aren't there tells more than how they would be.
        return row._replace(refusal=row.refusal or remark) if kept and not former else Row()
    if ours is None:
        return row._replace(refusal=remark or row.refusal)
    theirs, last = row.person, row.agreed
    if is_doubtful(ours, theirs, last):
        return row._replace(refusal=_said(OTHER_NAME.format(code, theirs.fields.name, ours.fields.name)))
    row = row.agreeing(now_agreed(ours, theirs, last), sides.uuids[code]).doubting(sides.unfit.get(code, ()))
    if theirs.fields == ours.fields and theirs.fingers in (None, ours.fingers):
        row = row._replace(refusal="", retry_at=None)
    return row._replace(refusal=remark) if remark else row


def _said(sentence: str) -> str:
    """Sentences quote terminals."""
    return in_print(sentence)[:_LONGEST]


def _record(terminal: Terminal, outcomes: Collection[Outcome]) -> None:
    """What fails over and over again in the same way is told once."""
    failed = [each.intent.code for each in outcomes if each.sentence]
    told = _told_last(terminal, failed) if failed else {}
    rows = (
        PersonIntent(
            terminal=terminal,
            emp_code=each.intent.code,
            kind=each.intent.kind,
            columns=",".join(each.intent.columns),
            finger=each.intent.finger,
            done=not each.sentence,
            sentence=_said(each.sentence),
        )
        for each in outcomes
    )
    news = (row for row in rows if row.done or told.get(_what(row)) != row.sentence)
    PersonIntent.objects.bulk_create(news, batch_size=_BATCH)


def _told_last(terminal: Terminal, codes: Collection[str]) -> dict[tuple[str, str, str, int | None], str]:
    """The sentence of what came last of each such intent, "" if it was done."""
    what = ("emp_code", "kind", "columns", "finger")
    of_them = PersonIntent.objects.filter(terminal=terminal, emp_code__in=codes)
    return {_what(row): row.sentence for row in of_them.order_by(*what, "-id").distinct(*what)}


def _what(row: PersonIntent) -> tuple[str, str, str, int | None]:
    return row.emp_code, row.kind, row.columns, row.finger


def _write(terminal: Terminal, before: Mapping[str, Row], after: Mapping[str, Row]) -> None:
    """Only what changed."""
    changed = {code: row for code, row in after.items() if row != before.get(code, Row())}
    kept = sorted((code, row) for code, row in changed.items() if row != Row())
    TerminalPerson.objects.bulk_create(
        (TerminalPerson(terminal=terminal, emp_code=code, **row._asdict()) for code, row in kept),
        update_conflicts=True,
        unique_fields=["terminal", "emp_code"],
        update_fields=Row._fields,
        batch_size=_BATCH,
    )
    gone = sorted(code for code, row in changed.items() if row == Row() and code in before)
    TerminalPerson.objects.filter(terminal=terminal, emp_code__in=gone).delete()
