"""The people of a unit as rows of 72 or 28 bytes. Pure: what is written starts from the bytes that were read."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from devices.driver.errors import FullError, UnfitError, UnknownUserError
from devices.driver.tables import Rows, read_user_id

USER_WIDTHS: Final = (72, 28)
MAX_UID: Final = 0xFFFE
PRIVILEGES: Final = {0: "user", 2: "enroller", 6: "manager", 10: "user-defined", 14: "administrator"}
_DIGITS: Final = "This unit's user ids are digits; %(user_id)s can't be one."
_LETTERS_AND_DIGITS: Final = "This unit's user ids are letters and digits; %(user_id)s can't be one."
_PRIVILEGE_BITS: Final = 0x0E
_DISABLED_BIT: Final = 0x01


@dataclass(frozen=True, slots=True)
class UnitUser:
    """A person as one unit has them. ``uid`` is the unit's own index, recycled and different on every unit.

    ``user_id`` is "" where the unit holds none that can be believed. ``privilege`` is 0 user, 2 enroller, 6 manager,
    10 user-defined, 14 administrator; ``time_zones`` are the own-zones flag and three zones, on 28-byte units one zone
    alone.
    """

    uid: int
    user_id: str
    name: str = ""
    privilege: int = 0
    disabled: bool = False
    password: str = field(default="", repr=False)
    card: int = 0
    group: int = 1
    time_zones: tuple[int, ...] = ()
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFields:
    """What to write of a person; None leaves it as it is, or as a new person has it.

    A name is cut to what the unit holds, on a character's boundary; everything else must fit. "" takes a password
    away, 0 a card.
    """

    name: str | None = None
    privilege: int | None = None
    disabled: bool | None = None
    password: str | None = field(default=None, repr=False)
    card: int | None = None
    group: int | None = None


class IdRule(NamedTuple):
    """What a unit takes for a user id."""

    length: int = 9
    letters: bool = False


COMMON_IDS: Final = IdRule()


class _Layout(NamedTuple):
    """Where things stand in a row."""

    password: slice
    name: slice
    name_bytes: int
    card: slice
    group: int
    time_zones: slice
    user_id: slice


_PERMISSION: Final = 2
_LAYOUTS: Final = {
    72: _Layout(slice(3, 11), slice(11, 35), 23, slice(35, 39), 39, slice(40, 48), slice(48, 72)),
    28: _Layout(slice(3, 8), slice(8, 16), 8, slice(16, 20), 21, slice(22, 24), slice(24, 28)),
}


def decode_users(rows: Rows, *, encoding: str) -> list[UnitUser]:
    """The people of a unit. A name that isn't in the unit's code page keeps a mark where it can't be read."""
    starts = range(0, len(rows.data), rows.width) if rows.width else ()
    return [decode_user(rows.data[start : start + rows.width], encoding=encoding) for start in starts]


def decode_user(row: bytes, *, encoding: str) -> UnitUser:
    """The person in a row of 72 or 28 bytes."""
    at = _LAYOUTS[len(row)]
    zones = row[at.time_zones]
    return UnitUser(
        uid=_number(row[:2]),
        user_id=read_user_id(row[at.user_id]) if len(row) == 72 else str(_number(row[at.user_id]) or ""),
        name=_text(row[at.name], encoding),
        privilege=row[_PERMISSION] & _PRIVILEGE_BITS,
        disabled=bool(row[_PERMISSION] & _DISABLED_BIT),
        password=_text(row[at.password], encoding),
        card=_number(row[at.card]),
        group=row[at.group],
        time_zones=tuple(_number(zones[start : start + 2]) for start in range(0, len(zones), 2)),
        raw=row,
    )


def find_user(users: Iterable[UnitUser], who: str | int) -> UnitUser:
    """By user id, or by uid. Raises UnknownUserError, and UnfitError when two people have the user id."""
    found = [user for user in users if who and who == (user.uid if isinstance(who, int) else user.user_id)]
    if not found:
        raise UnknownUserError(f"The unit has no user {str(who)[:40]!a}.")
    if len(found) > 1:
        uids = ", ".join(str(user.uid) for user in found)
        sentence = "The unit has user %(user_id)s more than once, as uid %(uids)s: delete all but one of them first."
        raise UnfitError(sentence, user_id=ascii(who), uids=uids)
    return found[0]


def new_row(uid: int, user_id: str, *, width: int) -> bytes:
    """The row of a person of whom nothing is known yet: an ordinary user in group 1, with the group's time zones."""
    at = _LAYOUTS[width]
    row = bytearray(width)
    row[:2] = uid.to_bytes(2, "little")
    row[at.group] = 1
    row[at.user_id] = user_id.encode().ljust(24, b"\0") if width == 72 else int(user_id).to_bytes(4, "little")
    return bytes(row)


def changed_row(row: bytes, fields: UserFields, *, encoding: str) -> bytes:
    """The same row but for ``fields``; every other byte stays as the unit has it. Raises UnfitError."""
    at = _LAYOUTS[len(row)]
    new = bytearray(row)
    if fields.name is not None:
        new[at.name] = _fit_name(fields.name, at.name_bytes, encoding).ljust(at.name.stop - at.name.start, b"\0")
    if fields.privilege is not None:
        new[_PERMISSION] = new[_PERMISSION] & ~_PRIVILEGE_BITS | _fit_privilege(fields.privilege)
    if fields.disabled is not None:
        new[_PERMISSION] = new[_PERMISSION] & ~_DISABLED_BIT | int(fields.disabled)
    if fields.password is not None:
        size = at.password.stop - at.password.start
        new[at.password] = _fit_password(fields.password, size).ljust(size, b"\0")
    if fields.card is not None:
        new[at.card] = _fit_number("card", fields.card, 4).to_bytes(4, "little")
    if fields.group is not None:
        new[at.group] = _fit_number("group", fields.group, 1)
    return bytes(new)


def password_digits(width: int) -> int:
    """How many digits of a password have room in rows of ``width`` bytes."""
    at: slice[int, int, None] = _LAYOUTS[width].password
    return at.stop - at.start


@lru_cache(maxsize=1 << 14)  # one person is on many units
def shown_name(name: str, *, width: int, encoding: str) -> str:
    """The name as a unit with rows of ``width`` bytes keeps it; `UserFields` take it, and leave it as it is.

    Characters that no display can show are dropped, "?" stands for those that the unit's code page hasn't.
    """
    printable = "".join(character for character in name if character.isprintable())
    text = unicodedata.normalize("NFC", printable).strip()
    return _cut(text, _LAYOUTS[width].name_bytes, encoding, errors="replace").decode(encoding)


def require_fitting_id(user_id: str, rule: IdRule, *, width: int) -> None:
    """Raises UnfitError, with the reason, for a user id that the unit can't hold unchanged."""
    letters, shown = rule.letters and width == 72, ascii(user_id[:40])
    most = min(rule.length, 24)
    if not (user_id.isascii() and (user_id.isdigit() or (letters and user_id.isalnum()))):
        raise UnfitError(_LETTERS_AND_DIGITS if letters else _DIGITS, user_id=shown)
    if len(user_id) > most:
        sentence = "This unit's user ids have at most %(most)s characters; %(user_id)s has %(length)s."
        raise UnfitError(sentence, most=most, user_id=shown, length=len(user_id))
    if not user_id.strip("0"):
        raise UnfitError("%(user_id)s means nobody to a terminal.", user_id=shown)
    if width == 28 and (user_id.startswith("0") or int(user_id) > 0xFFFF_FFFF):
        sentence = "This unit keeps user ids as numbers up to 4294967295; %(user_id)s would become another one."
        raise UnfitError(sentence, user_id=shown)


def free_uid(taken: Collection[int], *, remembered: Collection[int] = ()) -> int:
    """An index for a new person: above all others, so that none is recycled that a log may still refer to.

    Only when there is nothing above is one taken again, and one that the log ``remembered`` last of all.
    Raises FullError.
    """
    highest = max((*taken, *remembered), default=0)
    if highest < MAX_UID:
        return highest + 1
    occupied, avoided = set(taken), set(taken) | set(remembered)
    free = [uid for uid in range(1, MAX_UID + 1) if uid not in occupied]
    if not free:
        raise FullError("The unit has no number left for another person.")
    return next((uid for uid in free if uid not in avoided), free[0])


def differences(wanted: UnitUser, kept: UnitUser) -> list[str]:
    """In words, what the unit keeps otherwise; a password's difference without the password.

    How wide the rows of an empty unit are is a guess; rows of the other width have other time zones.
    """
    names = ["uid", "user_id", "name", "privilege", "disabled", "card", "group"]
    if len(kept.raw) == len(wanted.raw):
        names.append("time_zones")
    told = [
        f"{name} {getattr(kept, name)!a} instead of {getattr(wanted, name)!a}"
        for name in names
        if getattr(kept, name) != getattr(wanted, name)
    ]
    return told if kept.password == wanted.password else [*told, "another password"]


def _fit_name(name: str, limit: int, encoding: str) -> bytes:
    text = unicodedata.normalize("NFC", name).strip()
    if not text.isprintable():
        raise UnfitError("%(name)s holds a character that no display can show.", name=ascii(name[:40]))
    try:
        return _cut(text, limit, encoding)
    except UnicodeEncodeError as error:
        sentence = "The unit's code page %(code_page)s has no %(text)s: change the name, or the device's code page."
        raise UnfitError(sentence, code_page=encoding, text=repr(error.object)) from error


def _cut(text: str, limit: int, encoding: str, *, errors: str = "strict") -> bytes:
    """What ``limit`` bytes hold of the text, ending with a whole character."""
    encoded = [character.encode(encoding, errors) for character in text[:limit]]
    while sum(map(len, encoded)) > limit:
        encoded.pop()
    return b"".join(encoded).rstrip()


def _fit_password(password: str, size: int) -> bytes:
    if password and not (password.isascii() and password.isdigit()):
        raise UnfitError("A terminal's password is typed on its keypad: it is made of digits.")
    if len(password) > size:
        raise UnfitError("This unit's passwords have at most %(most)s digits.", most=size)
    return password.encode()


def _fit_privilege(privilege: int) -> int:
    if privilege not in PRIVILEGES:
        known = ", ".join(map(str, PRIVILEGES))
        raise UnfitError("A privilege is one of %(known)s, not %(privilege)s.", known=known, privilege=privilege)
    return privilege


def _fit_number(what: str, value: int, size: int) -> int:
    most = 256**size - 1
    if not 0 <= value <= most:
        raise UnfitError(f"A {what} is a number from 0 to {most}, not {value}.")
    return value


def _number(field_bytes: bytes) -> int:
    return int.from_bytes(field_bytes, "little")


def _text(padded: bytes, encoding: str) -> str:
    return padded.split(b"\0", 1)[0].decode(encoding, errors="replace").strip()
