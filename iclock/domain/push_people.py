"""What a terminal that dials tells of people: noted, what is news of it taken, and the rest left to whoever feeds it.

The unit tells of somebody whenever something changed at its menu, of everybody when it is asked to. Templates are at
hand only here: what the plan wants taken is taken at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models.functions import Now

from iclock.domain import comparing, placements, taking
from iclock.domain.enrolments import PATIENCE
from iclock.domain.kept import Held, Outcome
from iclock.domain.marks import hold_terminals
from iclock.domain.placements import Sides
from iclock.domain.plan import TAKES, Fields, Intent, Kind, Policy, is_doubtful
from iclock.domain.push_room import room_of
from iclock.domain.wanted import Room
from iclock.lines import TemplateLine, UserLine
from iclock.models import Biodata, Enrolment, PushState, SyncMark, Terminal
from iclock.models.biodata import digest_of
from iclock.policy import Direction

_FINGER: Final = Biodata.Type.FINGERPRINT
# In which option a unit tells its algorithm of what old lines tell none of.
_VERSIONS: Final[Mapping[int, tuple[str, ...]]] = {
    Biodata.Type.FACE: ("FaceVersion", "~FaceVersion", "ZKFaceVersion"),
    Biodata.Type.FINGER_VEIN: ("FvVersion", "~FvVersion"),
}
_UNTOLD: Final = "0"

_log = logging.getLogger(__name__)


class _Told(NamedTuple):
    """What one post says, the last line of each: people, fingers as they are compared, and templates of other kinds."""

    users: dict[str, UserLine]
    fingers: dict[tuple[str, int], TemplateLine]
    others: list[TemplateLine]


def note_people(terminal: Terminal, users: Sequence[UserLine], templates: Sequence[TemplateLine]) -> None:
    """Raises django.db.Error."""
    if not users and not templates:
        return
    if terminal.admission != Terminal.Admission.APPROVED or terminal.direction == Direction.OFF:
        return
    _learn_version(terminal, templates)
    told, room = _sorted(terminal, users, templates), room_of(terminal.push)
    sides = _note(terminal, told, room)
    mark = SyncMark.objects.filter(terminal=terminal).first() or SyncMark(terminal=terminal)
    policy = placements.policy_of(terminal, mark)
    _take(terminal, sides, _takes(terminal, sides, policy, told), told, room)
    if policy.takes:
        _take_others(terminal, sides, told.others)
    _leave_the_rest(terminal, sides, policy)


def belongs(sides: Sides, code: str) -> bool:
    """Whether the unit certainly means by this code whom we mean."""
    row, ours = sides.rows.get(code), sides.wanted.get(code)
    return row is not None and row.held and ours is not None and not is_doubtful(ours, row.person, row.agreed)


def _learn_version(terminal: Terminal, templates: Iterable[TemplateLine]) -> None:
    """Of a unit that tells its algorithm on its templates only."""
    told = next((line.major_ver for line in templates if line.bio_type == _FINGER and line.major_ver), "")
    if told.isdecimal() and len(told) <= 5 and not terminal.fp_version:
        comparing.note_version(terminal, told)


def _sorted(terminal: Terminal, users: Iterable[UserLine], templates: Iterable[TemplateLine]) -> _Told:
    told = _Told({user.pin: user for user in users}, {}, [])
    for each in templates:
        line = replace(each, major_ver=each.major_ver or _version_of(terminal, each.bio_type))
        if line.bio_type == _FINGER and not line.index and line.major_ver == terminal.fp_version:
            told.fingers[line.pin, line.number] = line
        elif line.valid:
            told.others.append(line)
    return told


def _version_of(terminal: Terminal, bio_type: int) -> str:
    if bio_type == _FINGER:
        return terminal.fp_version
    options = terminal.push.options
    said = next((str(options[key]) for key in _VERSIONS.get(bio_type, ()) if options.get(key)), _UNTOLD)
    return said if said.isdecimal() else _UNTOLD


def _note(terminal: Terminal, told: _Told, room: Room) -> Sides:
    """In the order terminal, its PUSH state, its mark, its people: what is handed out meanwhile waits for it."""
    people = {code: Held(None, Fields(user.name, user.card, user.privilege)) for code, user in told.users.items()}
    fingers: dict[str, dict[int, str | None]] = {}
    for (code, finger), line in told.fingers.items():
        fingers.setdefault(code, {})[finger] = digest_of(line.data) if line.valid else None
    for line in told.others:
        fingers.setdefault(line.pin, {})  # for what is known of them
    with transaction.atomic():
        _hold(terminal)
        return placements.note_told(terminal, people, fingers=fingers, room=room)


def _takes(terminal: Terminal, sides: Sides, policy: Policy, told: _Told) -> list[Intent]:
    """Those of the plan that can be done with what is at hand, and the fingers that were asked for here."""
    planned = [_told_of(intent) for intent in placements.intents_of(sides, policy) if intent.kind in TAKES]
    at_hand = [each for each in planned if each.columns or (each.code, each.finger) in told.fingers]
    known = {(intent.code, intent.finger) for intent in at_hand}
    enrolled = sorted(key for key in _enrolled(terminal, told) if key not in known and _is_news(sides, told, *key))
    return [*at_hand, *(Intent(Kind.TAKE_FINGER, code, finger=finger) for code, finger in enrolled)]


def _told_of(intent: Intent) -> Intent:
    """Passwords never are."""
    return intent._replace(columns=tuple(column for column in intent.columns if column != "password"))


def _enrolled(terminal: Terminal, told: _Told) -> set[tuple[str, int]]:
    """Fingers that somebody here asked for a short while ago, whichever way people go."""
    asked = Enrolment.objects.filter(
        terminal=terminal,
        state__in=[Enrolment.State.RUNNING, Enrolment.State.DONE],
        started_at__gt=Now() - PATIENCE,
        employee__emp_code__in={code for code, _ in told.fingers},
    )
    return told.fingers.keys() & {*asked.values_list("employee__emp_code", "finger")}


def _is_news(sides: Sides, told: _Told, code: str, finger: int) -> bool:
    line = told.fingers[code, finger]
    return (
        line.valid and belongs(sides, code) and (sides.wanted[code].fingers or {}).get(finger) != digest_of(line.data)
    )


def _take(terminal: Terminal, sides: Sides, intents: Iterable[Intent], told: _Told, room: Room) -> None:
    outcomes = [
        _take_fields(terminal, sides, intent, room)
        if intent.finger is None
        else _take_finger(terminal, sides, intent, told.fingers[intent.code, intent.finger])
        for intent in intents
    ]
    if not outcomes:
        return
    with transaction.atomic():
        _hold(terminal)
        placements.note_taken(terminal, sides, outcomes)


def _take_fields(terminal: Terminal, sides: Sides, intent: Intent, room: Room) -> Outcome:
    """Each column for itself. A card that can't be taken, somebody else's say, is written back."""
    refusals = {column: _take_column(terminal, sides, intent.code, column, room) for column in intent.columns}
    sentence = " ".join(filter(None, refusals.values()))
    return Outcome(intent, sentence, doubt=("card",) if refusals.get("card") else ())


def _take_column(terminal: Terminal, sides: Sides, code: str, column: str, room: Room) -> str:
    ours, theirs = sides.wanted[code], sides.rows[code].person.fields
    sentence = taking.take_fields(
        terminal,
        code,
        person=sides.uuids[code],
        theirs=theirs,
        password="",
        columns=[column],
        seen=ours.fields,
        fit_name=room.fit_name,
    )
    if not sentence:
        taken: dict[str, Any] = {column: getattr(theirs, column)}
        sides.wanted[code] = replace(ours, fields=ours.fields._replace(**taken))
    return sentence


def _take_finger(terminal: Terminal, sides: Sides, intent: Intent, line: TemplateLine) -> Outcome:
    ours, finger = sides.wanted[intent.code], line.number
    sentence = taking.take_finger(
        terminal,
        intent.code,
        finger,
        line.data,
        person=sides.uuids[intent.code],
        version=line.major_ver,
        duress=line.duress,
        seen=(ours.fingers or {}).get(finger),
    )
    if not sentence:
        fingers = {**(ours.fingers or {}), finger: digest_of(line.data)}
        sides.wanted[intent.code] = replace(ours, fingers=fingers)
    return Outcome(intent, sentence)


def _take_others(terminal: Terminal, sides: Sides, lines: Iterable[TemplateLine]) -> None:
    for line in lines:
        if not belongs(sides, line.pin):
            continue
        if refusal := taking.take_template(terminal, line, person=sides.uuids[line.pin]):
            what = f"template of kind {line.bio_type} of {line.pin}"
            _log.info("A %s at terminal %s isn't kept: %s", what, terminal.sn, refusal)


def _leave_the_rest(terminal: Terminal, sides: Sides, policy: Policy) -> None:
    """To whoever feeds the terminal."""
    strangers = any(row.held and not row.placed and code not in sides.uuids for code, row in sides.rows.items())
    if strangers or placements.intents_of(sides, policy):
        PushState.objects.filter(terminal=terminal).update(due_at=Now())


def _hold(terminal: Terminal) -> None:
    hold_terminals([terminal.pk])
    PushState.objects.select_for_update(no_key=True).get(terminal=terminal)
