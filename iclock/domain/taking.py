"""What was entered at a terminal becomes known here: a card, a password, a name, a finger.

A terminal's word is checked as anybody's, and an edit made here since the plan was made wins: only what still is as
the plan saw it is overwritten, under the lock of the person's row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from iclock.domain.belonging import belonging_to
from iclock.domain.biodata import Kind, forget_digests, summarise
from iclock.domain.plan import Fields
from iclock.domain.wanted import FitName, password_digest
from iclock.lines import TemplateLine
from iclock.models import Biodata, ForgottenTemplate, Terminal, TerminalPerson
from iclock.models.biodata import digest_of
from personnel.domain.people import announce, areas_of, lock_employees, update_employee
from personnel.domain.photos import stored
from personnel.models import Employee
from personnel.validators import validate_pin
from zkbio.crypto import SealError

MOST_BYTES: Final = 16 * 1024
_MOST_BYTES_OF_OTHERS: Final = 128 * 1024
_CARD_DIGITS: Final = 20
_NAME_PART: Final = 25
_FINGERS: Final = range(10)
_PARTS: Final = range(256)
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_VERSION: Final = re.compile("[0-9]{1,5}", re.ASCII)

_MEANWHILE: Final = "The finger was changed here meanwhile."
_FORGOTTEN: Final = (
    "This template was withdrawn or replaced here, and isn't taken back: have the finger enrolled again."
)
_UNREADABLE: Final = (
    "The name on the terminal can't be read in the code page of its device: set the one in which the unit writes names."
)
_ANOTHER: Final = "There is another employee by this code by now."
_GONE: Final = "There is no such employee any more."
_ELSEWHERE: Final = "They don't belong on this terminal any more."
_SEALED: Final = "The PIN that is stored here can't be opened; set it again."
_NO_CONSENT: Final = (
    "Nothing is stored: they haven't agreed to biometrics. Note that they have on their page, or delete the finger at"
    " the terminal."
)


class _LeftError(Exception):
    """Nothing is taken; the sentence says why."""


def take_fields(
    terminal: Terminal,
    code: str,
    *,
    person: UUID,
    theirs: Fields,
    password: str,
    columns: Sequence[str],
    seen: Fields,
    fit_name: FitName,
) -> str:
    """Make these ``columns`` of an employee what the terminal has; "" or why not all of them were.

    ``seen`` is what was known here when it was decided, as the terminal would keep it (``fit_name``); ``password`` is
    the PIN itself, ``person`` whom the code meant. What the terminal hasn't takes nothing away.
    """
    with transaction.atomic():
        employee = _lock(terminal, code, person)
        if isinstance(employee, str):
            return employee
        refusals: list[str] = []
        values: dict[str, Any] = {}
        for column in columns:
            try:
                if _is_news(employee, column, theirs, seen, fit_name):
                    values |= _READ[column](terminal, employee, theirs, password)
            except ValidationError as error:
                refusals += error.messages
            except SealError:
                refusals.append(_SEALED)
        refusals += _write(employee, values)
    return " ".join(refusals)


def take_finger(
    terminal: Terminal,
    code: str,
    finger: int,
    template: bytes,
    *,
    person: UUID,
    version: str,
    duress: bool,
    seen: str | None,
) -> str:
    """Keep a finger that was enrolled at the terminal; "" or why it wasn't.

    ``seen`` is the digest of what was kept of this finger when it was decided, ``person`` whom the code meant then.
    Other algorithms' stay beside it. One that was withdrawn or replaced here doesn't come back.
    """
    line = TemplateLine(code, Kind.FINGERPRINT, finger, duress=duress, major_ver=version, data=template)
    if refusal := _why_no_template(line):
        return refusal
    with transaction.atomic():
        employee = _lock_agreed(terminal, code, person)
        if isinstance(employee, str):
            return employee
        known = _known(employee, line)
        now, digest = known.digest if known else None, digest_of(template)
        if now != seen:
            return "" if now == digest else _MEANWHILE
        if refusal := _keep(terminal, employee, line, known):
            return refusal
        announce(areas_of([employee.pk]), [employee])
        _note_agreed(terminal, employee, finger, digest)
    return ""


def take_template(terminal: Terminal, line: TemplateLine, *, person: UUID) -> str:
    """Keep a face, a vein, a palm, or a finger of another algorithm than the unit's; "" or why it wasn't.

    These go to no other terminal, and nobody plans for them: what came last counts. What was withdrawn or replaced
    here doesn't come back.
    """
    if refusal := _why_no_template(line):
        return refusal
    with transaction.atomic():
        employee = _lock_agreed(terminal, line.pin, person)
        if isinstance(employee, str):
            return employee
        known = _known(employee, line)
        if known is not None and known.digest == digest_of(line.data):
            return ""
        return _keep(terminal, employee, line, known)


def take_portrait(terminal: Terminal, code: str, photo: bytes, *, person: UUID) -> str:
    """Make a photo, one of our own making, that of an employee who has none; "" or why it isn't."""
    try:
        with stored(photo) as name, transaction.atomic():
            update_employee(_lock_without_photo(terminal, code, person).pk, {"photo": name})
    except _LeftError as left:
        return str(left)
    return ""


def names_of(name: str) -> dict[str, str | None]:
    """A terminal's name in two parts. Raises ValidationError."""
    if not name.isprintable() or _REPLACEMENT in name:
        raise ValidationError(_UNREADABLE)
    first, _, last = name.strip().partition(" ")
    return {"first_name": first[:_NAME_PART] or None, "last_name": last[:_NAME_PART].strip() or None}


def card_of(terminal: Terminal, card: int, *, employee: Employee | None = None) -> str:
    """A terminal's card as it is stored, for ``employee`` or for somebody new. Raises ValidationError.

    "0012" and 12 are one card. Whoever sees the terminal reads whose it is only if they belong there too.
    """
    text = str(card)
    if card < 0 or len(text) > _CARD_DIGITS:
        raise ValidationError("The card's number on the terminal can't be one.")
    spellings = [text.zfill(width) for width in range(len(text), _CARD_DIGITS + 1)]
    others = Employee.objects.filter(card_no__in=spellings)
    if employee is not None:
        others = others.exclude(pk=employee.pk)
    if others.exists():
        holder = belonging_to(terminal).filter(pk__in=others).first()
        whose = f"that of employee {holder.emp_code}" if holder else "somebody else's"
        raise ValidationError(f"Card {text} is {whose}.")
    return text


def privilege_of(privilege: int) -> int:
    """Raises ValidationError."""
    if privilege not in Employee.DevicePrivilege.values:
        raise ValidationError(f"The terminal's privilege {privilege} isn't known here.")
    return privilege


def _lock(terminal: Terminal, code: str, person: UUID) -> Employee | str:
    """The row of whom the terminal means, held until the transaction ends; or a sentence."""
    pk = Employee.objects.filter(emp_code=code).values_list("pk", flat=True).first()
    if pk is None:
        return _GONE
    try:
        [employee] = lock_employees([pk])
    except Employee.DoesNotExist:
        return _GONE
    if person != employee.uuid:
        return _ANOTHER
    return employee if belonging_to(terminal).filter(pk=pk).exists() else _ELSEWHERE


def _lock_agreed(terminal: Terminal, code: str, person: UUID) -> Employee | str:
    """The same of somebody of whom templates may be stored."""
    employee = _lock(terminal, code, person)
    if isinstance(employee, Employee) and settings.BIOMETRIC_CONSENT and not employee.biometric_consent:
        return _NO_CONSENT
    return employee


def _lock_without_photo(terminal: Terminal, code: str, person: UUID) -> Employee:
    """Raises _LeftError."""
    employee = _lock(terminal, code, person)
    if isinstance(employee, str):
        raise _LeftError(employee)
    if employee.photo:
        raise _LeftError
    return employee


def _known(employee: Employee, line: TemplateLine) -> Biodata | None:
    rows = Biodata.objects.select_for_update().filter(employee=employee, **_identity(line))
    return rows.first()


def _keep(terminal: Terminal, employee: Employee, line: TemplateLine, known: Biodata | None) -> str:
    digest = digest_of(line.data)
    if ForgottenTemplate.objects.filter(employee=employee, digest=digest).exists():
        return _FORGOTTEN
    if known is not None and known.digest != digest:
        forget_digests([(employee.pk, line.bio_type, known.digest)])
    row = known or Biodata(employee=employee, **_identity(line))
    row.employee = employee  # what is sealed is bound to them
    row.template, row.duress, row.sn = line.data, line.duress, terminal.sn
    row.minor_ver = line.minor_ver or row.minor_ver
    row.save()
    summarise([employee.pk])
    return ""


def _identity(line: TemplateLine) -> dict[str, Any]:
    return {
        "bio_type": line.bio_type,
        "bio_no": line.number,
        "bio_index": line.index,
        "major_ver": line.major_ver,
    }


def _note_agreed(terminal: Terminal, employee: Employee, finger: int, digest: str) -> None:
    """If it is withdrawn before the terminal is compared, the terminal is known to have had it from both.

    Comes last in a transaction: whoever reconciles a terminal locks its people last too.
    """
    kept = TerminalPerson.objects.select_for_update(no_key=True)
    row = kept.filter(terminal=terminal, emp_code=employee.emp_code).first()
    if row is None or row.employee_uuid not in {None, employee.uuid}:
        return
    row.agreed_fingers[str(finger)] = digest
    if row.held_fingers is not None:
        row.held_fingers[str(finger)] = digest
    row.save(update_fields=["agreed_fingers", "held_fingers"])


def _is_news(employee: Employee, column: str, theirs: Fields, seen: Fields, fit_name: FitName) -> bool:
    """Raises ValidationError when the column was changed here since it was ``seen``, and SealError."""
    now, there = _NOW[column](employee, fit_name), getattr(theirs, column)
    if not there or now == there:
        return False
    if now != getattr(seen, column):
        raise ValidationError(f"The {_WORDS[column]} was changed here meanwhile.")
    return True


def _write(employee: Employee, values: dict[str, Any]) -> list[str]:
    """Somebody else may be given the card at this very moment: then the rest is written."""
    if not values:
        return []
    try:
        with transaction.atomic():
            update_employee(employee.pk, values)
    except IntegrityError:
        card = values.pop("card_no")
        return [f"Card {card} is somebody else's.", *_write(employee, values)]
    return []


def _read_password(_terminal: Terminal, _employee: Employee, _theirs: Fields, password: str) -> dict[str, Any]:
    validate_pin(password)
    return {"device_password": password}


def _why_no_template(line: TemplateLine) -> str:
    if line.bio_type == Kind.FINGERPRINT:
        if line.number not in _FINGERS:
            return f"There is no finger {line.number}."
    elif line.bio_type not in Kind.values:
        return f"Templates of kind {line.bio_type} aren't kept."
    if line.number not in _PARTS or line.index not in _PARTS:
        return f"There is no template {line.number} with part {line.index}."
    if not _VERSION.fullmatch(line.major_ver) or not _VERSION.fullmatch(line.minor_ver or "0"):
        what = "fingerprints" if line.bio_type == Kind.FINGERPRINT else "templates"
        return f"The terminal doesn't tell the algorithm of its {what}."
    most = MOST_BYTES if line.bio_type == Kind.FINGERPRINT else _MOST_BYTES_OF_OTHERS
    if len(line.data) > most or not line.data.rstrip(b"\0"):
        return f"A template of {len(line.data)} bytes can't be one."
    return ""


_WORDS: Final = {"name": "name", "card": "card", "privilege": "privilege", "password": "PIN"}
# What is known here, as the terminal would tell it.
_NOW: Final[Mapping[str, Callable[[Employee, FitName], object]]] = {
    "name": lambda employee, fit_name: fit_name(employee.full_name.strip()),
    "card": lambda employee, _: int(employee.card_no or 0),
    "privilege": lambda employee, _: employee.dev_privilege,
    "password": lambda employee, _: password_digest(employee.emp_code, employee.device_password),
}
# What the terminal tells, as it is stored here. Each raises ValidationError.
_READ: Final[Mapping[str, Callable[[Terminal, Employee, Fields, str], dict[str, Any]]]] = {
    "name": lambda _terminal, _employee, theirs, _: names_of(theirs.name),
    "card": lambda terminal, employee, theirs, _: {"card_no": card_of(terminal, theirs.card, employee=employee)},
    "privilege": lambda _terminal, _employee, theirs, _: {"dev_privilege": privilege_of(theirs.privilege)},
    "password": _read_password,
}
