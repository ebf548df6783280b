"""Who should be on a terminal, as the terminal would hold them, and what is sent of them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from iclock.domain.belonging import belonging_to
from iclock.domain.biodata import forgotten_digests
from iclock.domain.plan import Fields, Person
from iclock.models import Biodata, Terminal
from personnel.models import Employee
from personnel.models.employee import open_device_password
from zkbio import crypto

FitName = Callable[[str], str]
"""A name as the terminal would keep it."""

# A card's number on a terminal has 32 bits.
MOST_CARD: Final = 0xFFFF_FFFF
_TOLD: Final = (
    *("pk", "uuid", "emp_code", "first_name", "last_name", "card_no", "dev_privilege"),
    "device_password_sealed",
)
_UNFIT_CARD: Final = (
    "Card {} has no room on a terminal: a card's number is at most 4294967295. They are there without it."
)
_UNFIT_PIN: Final = "Their PIN has more than the {} digits that this unit takes. They are there without it."
_SEALED: Final = "The password can't be opened ({}). Nothing of this person is written or taken."
_SEALED_FINGER: Final = "Finger {} can't be opened ({}): restore FIELD_KEYS, or have it enrolled again."
_DURESS_FINGER: Final = "Finger {} is one for duress, which would be an ordinary one there: it isn't copied."
_WITHDRAWN: Final = "It was withdrawn meanwhile."


class Room(NamedTuple):
    """How a terminal keeps names, and how many digits of a password."""

    fit_name: FitName = str
    pin_digits: int = 8


class Wanted(NamedTuple):
    """Who should be on a terminal, by code; whom a code means; columns that have no room there; what is to be said of
    them; of whom nothing may be compared."""

    people: dict[str, Person]
    uuids: dict[str, UUID]
    unfit: dict[str, tuple[str, ...]]
    remarks: dict[str, str]
    untouched: frozenset[str]


def password_digest(code: str, pin: str) -> str:
    """Tells whether two passwords of one person are equal, and nothing else; "" for none."""
    if not pin:
        return ""
    key = crypto.purpose_key("device passwords on terminals")
    return hmac.new(key, f"{code}\0{pin}".encode(), hashlib.sha256).hexdigest()


def wanted_on(terminal: Terminal, room: Room, *, codes: Collection[str] | None = None) -> Wanted:
    """``codes``: of these people only."""
    belonging = belonging_to(terminal) if codes is None else belonging_to(terminal).filter(emp_code__in=codes)
    people = list(belonging.order_by().values_list(*_TOLD))
    ids = [row[0] for row in people]
    fingers, forgotten = _fingers_of(ids, terminal.fp_version), forgotten_digests(ids)
    wanted = Wanted({}, {}, {}, {}, frozenset())
    untouched = set()
    for pk, uuid, code, first, last, card_no, privilege, sealed in people:
        wanted.uuids[code] = uuid
        try:
            password, digits = _digest_of_sealed(code, bytes(sealed or b""), uuid)
        except crypto.SealError as error:
            untouched.add(code)
            wanted.remarks[code] = _SEALED.format(error)
            continue
        card = int(card_no or 0)
        if card > MOST_CARD:
            wanted.remarks[code], card = _UNFIT_CARD.format(card_no), 0
            wanted.unfit[code] = ("card",)
        if digits > room.pin_digits:
            wanted.remarks[code], password = _UNFIT_PIN.format(room.pin_digits), ""
            wanted.unfit[code] = (*wanted.unfit.get(code, ()), "password")
        name = room.fit_name(f"{first or ''} {last or ''}".strip())
        fields = Fields(name, card, privilege, password)
        wanted.people[code] = Person(fields, fingers.get(pk, {}), forgotten.get(pk, frozenset()))
    return wanted._replace(untouched=frozenset(untouched))


def pins_of(codes: Collection[str]) -> dict[str, str]:
    """The passwords themselves, for whoever is about to write them to a terminal."""
    people = Employee.objects.filter(emp_code__in=codes).values_list("emp_code", "device_password_sealed", "uuid")
    return {code: open_device_password(sealed, uuid) for code, sealed, uuid in people}


def templates_of(
    terminal: Terminal, which: Collection[tuple[str, int]]
) -> tuple[dict[tuple[str, int], bytes], dict[tuple[str, int], str]]:
    """The templates themselves, of people's fingers, for whoever is about to write them to this terminal; and why some
    aren't to be written."""
    codes = {code for code, _ in which}
    rows = _fingerprints(terminal.fp_version).filter(employee__emp_code__in=codes).select_related("employee")
    templates: dict[tuple[str, int], bytes] = {}
    refusals = dict.fromkeys(which, _WITHDRAWN)
    for row in rows:
        key = row.employee.emp_code, row.bio_no
        if key not in refusals:
            continue
        if row.duress:
            refusals[key] = _DURESS_FINGER.format(row.bio_no)
            continue
        try:
            templates[key] = row.template
        except crypto.SealError as error:
            refusals[key] = _SEALED_FINGER.format(row.bio_no, error)
        else:
            del refusals[key]
    return templates, refusals


@lru_cache(maxsize=1 << 14)  # one person is on many terminals
def _digest_of_sealed(code: str, sealed: bytes, uuid: UUID) -> tuple[str, int]:
    """And the number of its digits. Raises zkbio.crypto.SealError."""
    pin = open_device_password(sealed, uuid)
    return password_digest(code, pin), len(pin)


def _fingers_of(employee_ids: list[int], version: str) -> dict[int, dict[int, str]]:
    found: dict[int, dict[int, str]] = {}
    rows = _fingerprints(version).filter(employee__in=employee_ids) if version else Biodata.objects.none()
    for employee, finger, digest in rows.values_list("employee", "bio_no", "digest"):
        found.setdefault(employee, {})[finger] = digest
    return found


def _fingerprints(version: str) -> QuerySet[Biodata]:
    return Biodata.objects.filter(bio_type=Biodata.Type.FINGERPRINT, bio_index=0, major_ver=version).order_by()
