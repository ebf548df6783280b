"""The three sides of the plan as the database keeps them: who is on a terminal, who should be, what was agreed.

Whoever speaks to a terminal begins, notes what it holds, carries out the plan, notes what came of it and finishes; in
between no connection is needed. What was never said stays unknown, and what nobody wants any more is forgotten here
only once the terminal doesn't hold it either.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from iclock.domain.belonging import belonging_to
from iclock.domain.marks import hold_terminals
from iclock.domain.plan import (
    TAKES,
    Agreed,
    Fields,
    Intent,
    Person,
    Policy,
    is_doubtful,
    now_agreed,
    plan,
    sending,
)
from iclock.models import Biodata, PersonIntent, SyncMark, Terminal, TerminalPerson
from iclock.policy import Direction, Strangers
from personnel.models import Employee
from personnel.models.employee import open_device_password
from zkbio import crypto

FitName = Callable[[str], str]
"""A name as the terminal would keep it."""

# A card's number on a terminal has 32 bits.
MOST_CARD: Final = 0xFFFF_FFFF
# What a terminal refuses, or keeps otherwise than it was told, is tried again then, or once the person is edited.
RETRY: Final = timedelta(days=1)
_BATCH: Final = 1_000
_TOLD: Final = (
    "pk",
    "emp_code",
    "first_name",
    "last_name",
    "card_no",
    "dev_privilege",
    "device_password_sealed",
    "uuid",
)
_LONGEST: Final = 300

_OTHER_NAME: Final = (
    "The terminal knows {} as {}, the platform as {}: is it one person? Say so in the list of people on terminals;"
    " until then nothing of either goes to the other."
)
_UNFIT_CARD: Final = (
    "Card {} has no room on a terminal: a card's number is at most 4294967295. They are there without it."
)
_SEALED: Final = "The password can't be opened ({}). Nothing of this person is written or taken."


class Held(NamedTuple):
    """A person as a terminal tells of them; ``uid`` is its own number for them, where it has one."""

    uid: int | None
    fields: Fields


class Row(NamedTuple):
    """What is kept of one person on one terminal."""

    held: bool = False
    placed: bool = False
    uid: int | None = None
    held_fields: Mapping[str, Any] = {}
    held_fingers: Mapping[str, str] | None = None
    agreed_fields: Mapping[str, Any] = {}
    agreed_fingers: Mapping[str, str] = {}
    refusal: str = ""
    retry_at: Any = None

    def showing(self, person: Held) -> Row:
        """With what the terminal holds."""
        return self._replace(held=True, uid=person.uid, held_fields=person.fields._asdict())

    def gone(self) -> Row:
        """With nothing that the terminal holds."""
        return self._replace(held=False, uid=None, held_fields={}, held_fingers=None)

    def agreeing(self, agreed: Agreed) -> Row:
        return self._replace(placed=agreed.placed, agreed_fields=agreed.fields, agreed_fingers=_by_text(agreed.fingers))

    def refused(self, failure: Outcome | None) -> Row:
        if failure is None:
            return self._replace(refusal="", retry_at=None)
        retry_at = timezone.now() + RETRY if failure.later else None
        return self._replace(refusal=failure.sentence[:_LONGEST], retry_at=retry_at)

    @property
    def person(self) -> Person:
        fingers = None if self.held_fingers is None else _by_number(self.held_fingers)
        return Person(Fields(**self.held_fields), fingers)

    @property
    def agreed(self) -> Agreed:
        return Agreed(self.placed, self.agreed_fields, _by_number(self.agreed_fingers))


class Sides(NamedTuple):
    """A terminal's people by code. ``remarks``: why somebody is there otherwise than they should be, or untouched."""

    rows: dict[str, Row]
    wanted: dict[str, Person]
    remarks: dict[str, str]
    untouched: frozenset[str] = frozenset()


class Outcome(NamedTuple):
    """What came of an intent: "" or why it was not done. ``later``: not worth another try before long."""

    intent: Intent
    sentence: str = ""
    later: bool = False


def password_digest(code: str, pin: str) -> str:
    """Tells whether two passwords of one person are equal, and nothing else; "" for none."""
    if not pin:
        return ""
    key = crypto.purpose_key("device passwords on terminals")
    return hmac.new(key, f"{code}\0{pin}".encode(), hashlib.sha256).hexdigest()


def policy_of(terminal: Terminal, mark: SyncMark) -> Policy:
    return Policy(
        Direction(terminal.direction),
        Strangers(terminal.strangers),
        first=mark.compared_at is None,
        fingers=bool(terminal.fp_version),
    )


@lru_cache(maxsize=1 << 14)  # one person is on many terminals
def _digest_of_sealed(code: str, sealed: bytes, uuid: UUID) -> str:
    """Raises zkbio.crypto.SealError."""
    return password_digest(code, open_device_password(sealed, uuid))


def wanted_on(terminal: Terminal, *, fit_name: FitName) -> tuple[dict[str, Person], dict[str, str], frozenset[str]]:
    """Who should be on the terminal, what is to be said of them, and of whom nothing may be compared."""
    columns = (
        "pk",
        "emp_code",
        "first_name",
        "last_name",
        "card_no",
        "dev_privilege",
        "device_password_sealed",
        "uuid",
    )
    people = list(belonging_to(terminal).order_by().values_list(*columns))
    fingers = _fingers_of([row[0] for row in people], terminal.fp_version)
    wanted: dict[str, Person] = {}
    remarks: dict[str, str] = {}
    untouched = set()
    for pk, code, first, last, card_no, privilege, sealed, uuid in people:
        try:
            password = _digest_of_sealed(code, bytes(sealed or b""), uuid)
        except crypto.SealError as error:
            untouched.add(code)
            remarks[code] = _SEALED.format(error)
            continue
        card = int(card_no or 0)
        if card > MOST_CARD:
            remarks[code], card = _UNFIT_CARD.format(card_no), 0
        name = fit_name(f"{first or ''} {last or ''}".strip())
        wanted[code] = Person(Fields(name, card, privilege, password), fingers.get(pk, {}))
    return wanted, remarks, frozenset(untouched)


def sides_of(terminal: Terminal, *, fit_name: FitName) -> Sides:
    """As it was when the terminal was read last."""
    kept = TerminalPerson.objects.filter(terminal=terminal).order_by().values_list("emp_code", *Row._fields)
    rows = {code: Row(*columns) for code, *columns in kept}
    return Sides(rows, *wanted_on(terminal, fit_name=fit_name))


def note_held(
    terminal: Terminal,
    people: Mapping[str, Held],
    *,
    fingers: Mapping[str, Mapping[int, str]] | None,
    remarks: Mapping[str, str],
    fit_name: FitName,
) -> Sides:
    """The unit was read: these people, and ``fingers`` of those who should be there, None where they were not read.

    ``remarks`` are the reader's own, of people who are to be left as they are.
    """
    with transaction.atomic():
        hold_terminals([terminal.pk])
        before = sides_of(terminal, fit_name=fit_name)
        wanted = {code: person for code, person in before.wanted.items() if code not in remarks}
        untouched = before.untouched | remarks.keys()
        after = Sides({}, wanted, {**before.remarks, **remarks}, untouched)
        for code in before.rows.keys() | people.keys():
            row, person = before.rows.get(code, Row()), people.get(code)
            if person is None:
                after.rows[code] = row.gone()
            else:
                known = row.held_fingers if code in before.wanted else None
                if fingers is not None and code in before.wanted:
                    known = _by_text(fingers.get(code, {}))
                after.rows[code] = row.showing(person)._replace(held_fingers=known)
            after.rows[code] = _settled(after, code)
        _write(terminal, before.rows, after.rows)
    return after


def plan_for(terminal: Terminal, *, fit_name: FitName) -> list[Intent]:
    """What is to be done by what is known without asking the terminal again."""
    mark = SyncMark.objects.filter(terminal=terminal).first() or SyncMark(terminal=terminal)
    return intents_of(sides_of(terminal, fit_name=fit_name), policy_of(terminal, mark))


def intents_of(sides: Sides, policy: Policy) -> list[Intent]:
    """The plan, without what was refused a short while ago."""
    held = {code: row.person for code, row in sides.rows.items() if row.held and code not in sides.untouched}
    agreed = {code: row.agreed for code, row in sides.rows.items()}
    now = timezone.now()
    waiting = {code for code, row in sides.rows.items() if row.retry_at is not None and row.retry_at > now}
    intents = plan(held=held, wanted=sides.wanted, agreed=agreed, policy=policy)
    return [intent for intent in intents if intent.kind in TAKES or intent.code not in waiting] if waiting else intents


def note_sending(terminal: Terminal, sides: Sides, intents: Collection[Intent]) -> None:
    """These intents are about to be carried out. ``sides`` is brought up to date."""
    by_code: dict[str, list[Intent]] = {}
    for intent in intents:
        by_code.setdefault(intent.code, []).append(intent)
    before = {code: sides.rows[code] for code in by_code if code in sides.rows}
    for code, mine in by_code.items():
        row = sides.rows.get(code, Row())
        sides.rows[code] = row.agreeing(sending(mine, row.agreed))
    with transaction.atomic():
        hold_terminals([terminal.pk])
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
    for code, former in before.items():
        row = former
        if code in held:
            person = held[code]
            row = row.gone() if person is None else row.showing(person)
        if code in fingers:
            row = row._replace(held_fingers=_by_text(fingers[code]))
        sides.rows[code] = row.refused(failed.get(code))
        sides.rows[code] = _settled(sides, code)
    with transaction.atomic():
        hold_terminals([terminal.pk])
        _record(terminal, outcomes, before)
        _write(terminal, before, {code: sides.rows[code] for code in before})
        SyncMark.objects.filter(terminal=terminal).update(carried_out=F("carried_out") + len(outcomes))


def pins_of(codes: Collection[str]) -> dict[str, str]:
    """The passwords themselves, for whoever is about to write them to a terminal."""
    people = Employee.objects.filter(emp_code__in=codes).values_list("emp_code", "device_password_sealed", "uuid")
    return {code: open_device_password(sealed, uuid) for code, sealed, uuid in people}


def templates_of(terminal: Terminal, which: Collection[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
    """The templates themselves, of people's fingers, for whoever is about to write them to this terminal."""
    codes = {code for code, _ in which}
    rows = _fingerprints(terminal.fp_version).filter(employee__emp_code__in=codes).select_related("employee")
    return {
        (row.employee.emp_code, row.bio_no): row.template
        for row in rows
        if (row.employee.emp_code, row.bio_no) in which
    }


def _fingers_of(employee_ids: list[int], version: str) -> dict[int, dict[int, str]]:
    found: dict[int, dict[int, str]] = {}
    rows = _fingerprints(version).filter(employee__in=employee_ids) if version else Biodata.objects.none()
    for employee, finger, digest in rows.values_list("employee", "bio_no", "digest"):
        found.setdefault(employee, {})[finger] = digest
    return found


def _fingerprints(version: str) -> Any:
    return Biodata.objects.filter(bio_type=Biodata.Type.FINGERPRINT, bio_index=0, major_ver=version).order_by()


def _settled(sides: Sides, code: str) -> Row:
    """The row with what is agreed now, and what is to be said of the person."""
    row, ours = sides.rows[code], sides.wanted.get(code)
    remark = sides.remarks.get(code, "")
    if not row.held:
        # Whom nobody wants and the terminal doesn't hold is forgotten.
        kept = ours is not None or code in sides.untouched
        return row._replace(refusal=(remark or row.refusal)[:_LONGEST]) if kept else Row()
    if ours is None:
        return row._replace(refusal=(remark or row.refusal)[:_LONGEST])
    theirs, last = row.person, row.agreed
    if is_doubtful(ours, theirs, last):
        return row._replace(refusal=_OTHER_NAME.format(code, theirs.fields.name, ours.fields.name)[:_LONGEST])
    row = row.agreeing(now_agreed(ours, theirs, last))
    as_wanted = theirs.fields == ours.fields and theirs.fingers in (None, ours.fingers)
    if as_wanted:
        row = row._replace(refusal="", retry_at=None)
    return row._replace(refusal=remark[:_LONGEST]) if remark else row


def _record(terminal: Terminal, told: Iterable[Outcome], before: Mapping[str, Row]) -> None:
    """What is refused over and over again is told once."""
    PersonIntent.objects.bulk_create(
        (
            PersonIntent(
                terminal=terminal,
                emp_code=intent.code,
                kind=intent.kind,
                columns=",".join(intent.columns),
                finger=intent.finger,
                done=not sentence,
                sentence=sentence[:_LONGEST],
            )
            for intent, sentence, _ in told
            if not sentence or sentence[:_LONGEST] != before[intent.code].refusal
        ),
        batch_size=_BATCH,
    )


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
    gone = [code for code, row in changed.items() if row == Row()]
    TerminalPerson.objects.filter(terminal=terminal, emp_code__in=gone).delete()


def _by_number(fingers: Mapping[str, str]) -> dict[int, str]:
    return {int(finger): digest for finger, digest in fingers.items()}


def _by_text(fingers: Mapping[int, str]) -> dict[str, str]:
    return {str(finger): fingers[finger] for finger in sorted(fingers)}
