"""Carrying out the plan of one terminal: what was entered there is taken, the rest written, batch by batch.

Before a batch is sent the database says so, and once it was read back it says what came of it; in between nobody knows,
and then the platform's word counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import connection

from devices.domain.disabling import held_down
from devices.domain.lease import Lease
from devices.domain.people_read import Unit, by_person, held_of, numbers_with_fingers, read_templates
from devices.driver.errors import FullError, NotKeptError, RefusedError, TerminalError, UnfitError, UnknownUserError
from devices.driver.session import Sizes, TerminalSession
from devices.driver.uploading import Upload, Written, batches
from devices.driver.users import UnitUser, UserFields
from devices.models import Device
from iclock.domain import placements, taking
from iclock.domain.kept import Held, Outcome
from iclock.domain.placements import Sides
from iclock.domain.plan import TAKES, Fields, Intent, Kind
from iclock.domain.wanted import pins_of, templates_of
from iclock.models.biodata import digest_of

T = TypeVar("T")
# People, or fingers, taken or removed in one go: then what came of it is noted, and the unit can be used for a moment.
_AT_ONCE: Final = 50
# People whose templates and passwords are loaded at a time.
_LOADED: Final = 1_000
_DURESS: Final = 3
_CARD: Final = ("card",)
_AGAIN: Final = {RefusedError: timedelta(minutes=5), NotKeptError: timedelta(days=1)}
_UNANSWERED: Final = "Nobody knows what came of it, the next comparison finds it: {}"
_ANOTHER: Final = "The unit holds another by now."


class Reconciliation:
    """One conversation in which people are brought up to date."""

    def __init__(self, device: Device, lease: Lease, session: TerminalSession, unit: Unit, sides: Sides) -> None:
        self._device, self._lease, self._session = device, lease, session
        self._unit, self.terminal, self._sides = unit, unit.terminal, sides
        self._until = time.monotonic() + settings.PEOPLE_VISIT_SECONDS
        self._more_people, self._more_fingers = 0, 0

    def carry_out(self, intents: Sequence[Intent]) -> bool:
        """False when the time was over before all of it was done. Raises TerminalError, SealError, LeaseLostError."""
        takes = [intent for intent in intents if intent.kind in TAKES and intent.code in self._unit.users]
        leaving = [intent for intent in intents if intent.kind is Kind.REMOVE]
        fingers = [intent for intent in intents if intent.kind is Kind.DELETE_FINGER]
        written = [intent for intent in intents if intent.kind not in {*TAKES, Kind.REMOVE, Kind.DELETE_FINGER}]
        return (
            self._in_turn(takes, self._take)
            and self._in_turn(leaving, self._remove)
            and self._in_turn(fingers, self._delete_fingers)
            and self._write(written)
        )

    def expected(self, before: Sizes) -> tuple[int, int]:
        """How many people and fingers the unit counts now, if nobody else changed anything meanwhile."""
        return max(0, before.users + self._more_people), max(0, before.fingers + self._more_fingers)

    def _in_turn(self, intents: Sequence[Intent], work: Callable[[Sequence[Intent]], None]) -> bool:
        for start in range(0, len(intents), _AT_ONCE):
            if self._is_over():
                return False
            work(intents[start : start + _AT_ONCE])
        return True

    def _is_over(self) -> bool:
        return time.monotonic() >= self._until

    def _take(self, intents: Sequence[Intent]) -> None:
        """Of an enrolled finger only the table tells whether it is one for duress."""
        if any(intent.kind is Kind.TAKE_FINGER for intent in intents):
            self._read_fingers()
        take = {Kind.TAKE_FIELDS: self._take_fields, Kind.TAKE_FINGER: self._take_finger}
        self._note([take[intent.kind](intent, self._unit.users[intent.code]) for intent in intents])

    def _take_fields(self, intent: Intent, user: UnitUser) -> Outcome:
        """Each column for itself. A card that can't be taken, somebody else's say, is written back."""
        refusals = {column: self._take_column(intent.code, column, user) for column in intent.columns}
        sentence = " ".join(filter(None, refusals.values()))
        return Outcome(intent, sentence, doubt=_CARD if refusals.get("card") else ())

    def _take_column(self, code: str, column: str, user: UnitUser) -> str:
        ours, theirs = self._sides.wanted[code], held_of(user).fields
        sentence = taking.take_fields(
            self.terminal,
            code,
            person=self._sides.uuids[code],
            theirs=theirs,
            password=user.password,
            columns=[column],
            seen=ours.fields,
            fit_name=self._unit.room.fit_name,
        )
        connection.close()
        if not sentence:
            taken: dict[str, Any] = {column: getattr(theirs, column)}
            self._sides.wanted[code] = replace(ours, fields=ours.fields._replace(**taken))
        return sentence

    def _take_finger(self, intent: Intent, user: UnitUser) -> Outcome:
        finger, code = intent.finger or 0, intent.code
        ours, read = self._sides.wanted[code], (self._unit.templates or {}).get((code, finger))
        if read is None or digest_of(read.data) != (self._sides.rows[code].held_fingers or {}).get(str(finger)):
            return Outcome(intent, _ANOTHER)
        sentence = taking.take_finger(
            self.terminal,
            code,
            finger,
            read.data,
            person=self._sides.uuids[code],
            version=self.terminal.fp_version,
            duress=read.valid == _DURESS,
            seen=(ours.fingers or {}).get(finger),
        )
        connection.close()
        if not sentence:
            fingers = {**(ours.fingers or {}), finger: digest_of(read.data)}
            self._sides.wanted[code] = replace(ours, fingers=fingers)
        return Outcome(intent, sentence)

    def _remove(self, intents: Sequence[Intent]) -> None:
        gone = self._change(intents, lambda: self._session.delete_people([intent.code for intent in intents]))
        errors = {code: _error(left) for code, left in gone.items() if not isinstance(left, UnknownUserError)}
        outcomes = [_outcome(intent, errors.get(intent.code)) for intent in intents]
        self._note(outcomes, held={each.intent.code: None for each in outcomes if not each.sentence})

    def _delete_fingers(self, intents: Sequence[Intent]) -> None:
        which = [(intent.code, intent.finger or 0) for intent in intents]
        errors = self._change(intents, lambda: self._session.delete_fingers(which))
        left = {code: self._held_fingers(code) for code, _ in which}
        for code, finger in which:
            if errors[code, finger] is None:
                left[code].pop(finger, None)
        self._note([_outcome(each, errors[each.code, each.finger or 0]) for each in intents], fingers=left)

    def _write(self, intents: Sequence[Intent]) -> bool:
        by_code: dict[str, list[Intent]] = {}
        for intent in intents:
            by_code.setdefault(intent.code, []).append(intent)
        codes = sorted(by_code)
        if any(intent.kind is Kind.ADD for intent in intents):
            self._read_fingers()
        for start in range(0, len(codes), _LOADED):
            if self._is_over():
                return False
            uploads, left = self._uploads({code: by_code[code] for code in codes[start : start + _LOADED]})
            for batch in batches(uploads):
                if self._is_over():
                    return False
                self._write_batch(batch, {code: by_code[code] for code in batch}, left)
        return True

    def _read_fingers(self) -> None:
        """Those of the unit, if they weren't read; the time that takes is no part of what people have."""
        if self._unit.used is not None:
            return
        begun = time.monotonic()
        read, _ = read_templates(self._session)
        if read is not None:
            found = by_person(read, self._unit.users.values())
            self._unit = self._unit._replace(templates=found, used=numbers_with_fingers(read))
        self._until += time.monotonic() - begun

    def _uploads(self, by_code: Mapping[str, Sequence[Intent]]) -> tuple[dict[str, Upload], dict[tuple[str, int], str]]:
        """What is to be sent, and why some fingers aren't."""
        fingers = {(each.code, each.finger) for mine in by_code.values() for each in mine if each.finger is not None}
        pins = pins_of([code for code, mine in by_code.items() if any(map(_sets_password, mine))])
        templates, left = templates_of(self.terminal, fingers)
        connection.close()
        uploads = {}
        for code, mine in by_code.items():
            carried = {each.finger: templates.get((code, each.finger)) for each in mine if each.finger is not None}
            uploads[code] = Upload(
                _fields(mine, self._sides.wanted[code].fields, pins.get(code, "")),
                {finger: data for finger, data in carried.items() if data is not None},
            )
        return uploads, left

    def _write_batch(
        self,
        batch: Mapping[str, Upload],
        by_code: Mapping[str, Sequence[Intent]],
        left: Mapping[tuple[str, int], str],
    ) -> None:
        intents = [intent for mine in by_code.values() for intent in mine]
        written = self._change(intents, lambda: self._session.write_people(batch, avoid=self._unit.used or ()))
        outcomes = [self._written(intent, written[intent.code], left) for intent in intents]
        kept = {code: held_of(each.user) for code, each in written.items() if isinstance(each.user, UnitUser)}
        fingers = {code: self._fingers_after(code, batch[code], written[code]) for code in kept}
        self._note(outcomes, held=kept, fingers={code: there for code, there in fingers.items() if there is not None})

    def _written(self, intent: Intent, written: Written, left: Mapping[tuple[str, int], str]) -> Outcome:
        if isinstance(written.user, TerminalError):
            return _outcome(intent, written.user)
        if intent.finger is None:
            return Outcome(intent)
        if sentence := left.get((intent.code, intent.finger)):
            return Outcome(intent, sentence, unsent=True)
        return _outcome(intent, written.fingers[intent.finger])

    def _fingers_after(self, code: str, upload: Upload, written: Written) -> dict[int, str] | None:
        """All of the person's fingers on the unit; None where they aren't known. Who is new there has no others."""
        row = self._sides.rows[code]
        if row.held and row.held_fingers is None:
            return None
        kept = {finger: digest_of(data) for finger, data in upload.fingers.items() if written.fingers[finger] is None}
        return {**self._held_fingers(code), **kept}

    def _held_fingers(self, code: str) -> dict[int, str]:
        return {int(finger): digest for finger, digest in (self._sides.rows[code].held_fingers or {}).items()}

    def _change(self, intents: Sequence[Intent], change: Callable[[], T]) -> T:
        placements.note_sending(self.terminal, self._sides, intents)
        try:
            with held_down(self._device, self._lease):
                return change()
        except TerminalError as error:
            placements.note_unanswered(self.terminal, intents, _UNANSWERED.format(error))
            connection.close()
            raise

    def _note(
        self,
        outcomes: Collection[Outcome],
        *,
        held: Mapping[str, Held | None] | None = None,
        fingers: Mapping[str, Mapping[int, str]] | None = None,
    ) -> None:
        before = self._counted(outcomes)
        placements.note_outcomes(self.terminal, self._sides, outcomes, held=held or {}, fingers=fingers or {})
        connection.close()
        after = self._counted(outcomes)
        self._more_people += after[0] - before[0]
        self._more_fingers += after[1] - before[1]

    def _counted(self, outcomes: Iterable[Outcome]) -> tuple[int, int]:
        rows = [self._sides.rows.get(code) for code in {each.intent.code for each in outcomes}]
        there = [row for row in rows if row is not None and row.held]
        return len(there), sum(len(row.held_fingers or {}) for row in there)


def _fields(intents: Iterable[Intent], wanted: Fields, pin: str) -> UserFields:
    columns = {column for each in intents for column in (Fields._fields if each.kind is Kind.ADD else each.columns)}
    values = {**wanted._asdict(), "password": pin if wanted.password else ""}
    return UserFields(**{column: values[column] for column in columns})


def _sets_password(intent: Intent) -> bool:
    return intent.kind is Kind.ADD or "password" in intent.columns


def _error(outcome: UnitUser | TerminalError) -> TerminalError | None:
    return outcome if isinstance(outcome, TerminalError) else None


def _outcome(intent: Intent, error: TerminalError | None) -> Outcome:
    """A unit that refuses may be busy; what it keeps otherwise, it will keep otherwise in an hour, too."""
    again = next((wait for kind, wait in _AGAIN.items() if isinstance(error, kind)), None)
    # Whoever was just brought there by another name is no stranger.
    ours = isinstance(error, NotKeptError) and intent.kind is Kind.ADD
    unsent = isinstance(error, UnfitError | FullError)
    return Outcome(intent, str(error or ""), again=again, unsent=unsent, doubt=("name",) if ours else ())
