"""What a terminal that dials us can be told to do, and the text of it. Pure; no Django.

There is a function for every command that exists here, each argument typed and bounded, and none takes a command as
text: a TAB or line end in a value would start another field or another command. Commands that run programs on a unit,
move its files or change its firmware don't exist. A ValueError's sentence names the argument, never its value: some
are secrets.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

MOST_ORDERS: Final = 200
# A batch has fewer bytes than this.
MOST_BYTES: Final = 40 * 1024
MOST_NAME: Final = 23
# As base64 it has to fit into a batch.
MOST_TEMPLATE: Final = 24 * 1024
PRIVILEGES: Final = frozenset({0, 2, 6, 10, 14})

_MOST_ID: Final = 2**31 - 1
_MOST_PIN: Final = 24
_OPTION_KEY: Final = re.compile(r"~?[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)
_VERSION: Final = re.compile(r"\d{1,3}(\.\d{1,3})?", re.ASCII)


class Kind(StrEnum):
    """Which command it is."""

    UPDATE_USER = "update_user"
    DELETE_USER = "delete_user"
    UPDATE_FINGER = "update_finger"
    DELETE_FINGER = "delete_finger"
    UPDATE_BIODATA = "update_biodata"
    DELETE_BIODATA = "delete_biodata"
    QUERY_ATTLOG = "query_attlog"
    QUERY_USERS = "query_users"
    VERIFY_SUM = "verify_sum"
    CHECK = "check"
    LOG = "log"
    INFO = "info"
    RELOAD_OPTIONS = "reload_options"
    SET_OPTION = "set_option"
    ENROL_FINGER = "enrol_finger"
    CLEAR_PHOTOS = "clear_photos"
    REBOOT = "reboot"
    UNLOCK = "unlock"


# A unit that reboots forgets what else it was told in that answer.
IS_LAST: Final = frozenset({Kind.REBOOT})
# Done twice, these do something twice: somebody has to put their finger on it again, photos that were taken since are
# gone, a door opens again.
_ONCE: Final = frozenset({Kind.ENROL_FINGER, Kind.CLEAR_PHOTOS, Kind.REBOOT, Kind.UNLOCK})
_IN_WORDS: Final[Mapping[int, str]] = {
    0: "Done.",
    -1: "The unit doesn't understand an argument of the command.",
    -2: "The photo's size isn't what was announced.",
    -3: "The unit could not read or write its memory.",
    -9: "The template's size isn't what was announced.",
    -10: "The unit doesn't know this person.",
    -11: "The unit doesn't accept the template: its form is wrong.",
    -12: "The unit doesn't accept the template: it is invalid.",
    -1001: "The unit is full.",
    -1002: "The unit doesn't support this command.",
    -1003: "The unit was not done in time.",
    -1004: "The command doesn't fit how the unit is configured.",
    -1005: "The unit is busy.",
    -1006: "The command is too long for the unit.",
    -1007: "The unit is out of memory.",
}
_ENROLMENT_IN_WORDS: Final[Mapping[int, str]] = {
    2: "This finger is already there.",
    4: "The finger could not be read.",
    5: "Somebody else is already enrolled with this finger.",
    6: "It was cancelled at the unit.",
    7: "The unit is busy.",
}


class Order(NamedTuple):
    """A command; its text may hold a template or a password, and is not shown."""

    kind: Kind
    text: str

    def __repr__(self) -> str:
        return f"Order({self.kind}, {len(self.text)} characters)"


def update_user(
    pin: str,
    *,
    name: str | None = None,
    privilege: int | None = None,
    password: str | None = None,
    card: int | None = None,
    group: int | None = 1,
) -> Order:
    """Write a person; what is None isn't sent. An empty password takes theirs away, a card of 0 their card."""
    fields = [f"PIN={_pin(pin)}"]
    if name is not None:
        fields.append(f"Name={_text('name', name, most=64)}")
    if privilege is not None:
        fields.append(f"Pri={_privilege(privilege)}")
    if password is not None:
        fields.append(f"Passwd={_password(password)}")
    if card is not None:
        fields.append(f"Card={_number('card', card, range(1 << 32))}")
    if group is not None:
        fields.append(f"Grp={_number('group', group, range(1, 256))}")
    return _order(Kind.UPDATE_USER, "DATA UPDATE USERINFO", *fields)


def delete_user(pin: str) -> Order:
    """Take a person away, and what identifies them."""
    return _order(Kind.DELETE_USER, "DATA DELETE USERINFO", f"PIN={_pin(pin)}")


def update_finger(pin: str, finger: int, template: bytes, valid: int = 1) -> Order:
    """Write a finger's template of a person whom the unit has; ``valid`` is 0 no, 1 yes, 3 under duress."""
    if valid not in {0, 1, 3}:
        raise ValueError("The validity of a finger is 0, 1 or 3.")
    encoded = _template(template)
    return _order(
        Kind.UPDATE_FINGER,
        "DATA UPDATE FINGERTMP",
        f"PIN={_pin(pin)}",
        f"FID={_finger(finger)}",
        f"Size={len(encoded)}",
        f"Valid={valid}",
        f"TMP={encoded}",
    )


def delete_finger(pin: str, finger: int) -> Order:
    """Take a finger's template away."""
    return _order(Kind.DELETE_FINGER, "DATA DELETE FINGERTMP", f"PIN={_pin(pin)}", f"FID={_finger(finger)}")


def update_biodata(
    pin: str,
    *,
    bio_type: int,
    number: int,
    template: bytes,
    major_ver: str,
    minor_ver: str = "0",
    index: int = 0,
    valid: bool = True,
    duress: bool = False,
) -> Order:
    """Write a template of any kind of a person whom the unit has, in the unit's own format."""
    return _order(
        Kind.UPDATE_BIODATA,
        "DATA UPDATE BIODATA",
        f"Pin={_pin(pin)}",
        f"No={_number('number', number, range(256))}",
        f"Index={_number('index', index, range(256))}",
        f"Valid={valid:d}",
        f"Duress={duress:d}",
        f"Type={_number('kind of template', bio_type, range(1, 100))}",
        f"MajorVer={_version(major_ver)}",
        f"MinorVer={_version(minor_ver)}",
        "Format=0",
        f"Tmp={_template(template)}",
    )


def delete_biodata(pin: str, *, bio_type: int, number: int | None = None) -> Order:
    """Take a person's templates of a kind away: one of them, or all."""
    fields = [f"Pin={_pin(pin)}", f"Type={_number('kind of template', bio_type, range(1, 100))}"]
    if number is not None:
        fields.append(f"No={_number('number', number, range(256))}")
    return _order(Kind.DELETE_BIODATA, "DATA DELETE BIODATA", *fields)


def query_attlog(start: datetime, end: datetime) -> Order:
    """Have the punches of these times by the unit's clock, both included, sent again."""
    return _order(Kind.QUERY_ATTLOG, "DATA QUERY ATTLOG", *_span(start, end))


def query_users(pin: str | None = None) -> Order:
    """Have everybody whom the unit has sent, or one person."""
    return _order(Kind.QUERY_USERS, "DATA QUERY USERINFO", *([] if pin is None else [f"PIN={_pin(pin)}"]))


def verify_sum(start: datetime, end: datetime) -> Order:
    """Have the unit say how many punches of these times it holds."""
    return _order(Kind.VERIFY_SUM, "VERIFY SUM ATTLOG", *_span(start, end))


def check() -> Order:
    """Have the unit look for what it hasn't sent."""
    return Order(Kind.CHECK, "CHECK")


def log() -> Order:
    """Have the unit send its new punches and operations now."""
    return Order(Kind.LOG, "LOG")


def info() -> Order:
    """Have the unit tell of itself."""
    return Order(Kind.INFO, "INFO")


def reload_options() -> Order:
    """Have the unit ask for its options again, its time zone among them."""
    return Order(Kind.RELOAD_OPTIONS, "RELOAD OPTIONS")


def set_option(key: str, value: str) -> Order:
    """Set one option of the unit."""
    if not _OPTION_KEY.fullmatch(key):
        raise ValueError("The option is named by letters, digits and underscores, perhaps behind a ~.")
    return Order(Kind.SET_OPTION, f"SET OPTION {key}={_ascii('value of the option', value, most=200)}")


def enrol_finger(pin: str, finger: int, retry: int = 3, overwrite: bool = True) -> Order:
    """Have the unit ask a person whom it has for a finger."""
    return _order(
        Kind.ENROL_FINGER,
        "ENROLL_FP",
        f"PIN={_pin(pin)}",
        f"FID={_finger(finger)}",
        f"RETRY={_number('number of tries', retry, range(1, 11))}",
        f"OVERWRITE={overwrite:d}",
    )


def clear_photos() -> Order:
    """Have the unit forget the photos that it took."""
    return Order(Kind.CLEAR_PHOTOS, "CLEAR PHOTO")


def reboot() -> Order:
    """Start the unit again."""
    return Order(Kind.REBOOT, "REBOOT")


def unlock() -> Order:
    """Open the unit's door."""
    return Order(Kind.UNLOCK, "AC_UNLOCK")


def line_bytes(command_id: int, order: Order, encoding: str) -> bytes:
    """The order as its line, "?" for what the unit's code page hasn't. Raises ValueError."""
    require_code_page(encoding)
    number = _number("number of the command", command_id, range(1, _MOST_ID + 1))
    return f"C:{number}:{order.text}\n".encode(encoding, "replace")


def fit_batch(pairs: Iterable[tuple[int, Order]], encoding: str) -> list[tuple[int, Order]]:
    """As many of the orders, from the first, as one answer holds; nothing behind one that has to be the last."""
    fitting: list[tuple[int, Order]] = []
    size = 0
    for command_id, order in pairs:
        size += len(line_bytes(command_id, order, encoding))
        if size >= MOST_BYTES or len(fitting) == MOST_ORDERS:
            break
        fitting.append((command_id, order))
        if order.kind in IS_LAST:
            break
    return fitting


def encode_batch(pairs: Iterable[tuple[int, Order]], encoding: str) -> bytes:
    """The answer that hands these orders out; `fit_batch` says which. Raises ValueError for more than it holds."""
    orders = list(pairs)
    batch = b"".join(line_bytes(command_id, order, encoding) for command_id, order in orders)
    if len(orders) > MOST_ORDERS or len(batch) >= MOST_BYTES:
        raise ValueError(f"An answer holds {MOST_ORDERS} orders and less than {MOST_BYTES} bytes.")
    if any(order.kind in IS_LAST for _, order in orders[:-1]):
        raise ValueError("Nothing is handed out behind a reboot.")
    return batch


def fit_name(name: str, encoding: str = "utf-8", most: int = MOST_NAME) -> str:
    """The name as a unit keeps it: ``most`` bytes in its code page, ending with a whole character.

    Characters that no display can show are dropped, "?" stands for those that the code page hasn't.
    """
    printable = "".join(character for character in name if character.isprintable())
    text = unicodedata.normalize("NFC", printable).strip()[:most]
    while len(text.encode(encoding, "replace")) > most:
        text = text[:-1]
    return text.encode(encoding, "replace").decode(encoding).rstrip()


def is_done(code: int, kind: Kind) -> bool:
    """Whether the unit did it; what counts something returns how many."""
    return code == 0 or (code > 0 and kind is not Kind.ENROL_FINGER)


def return_in_words(code: int, kind: Kind) -> str:
    """What came of a command, in a sentence."""
    words = _ENROLMENT_IN_WORDS.get(code) if kind is Kind.ENROL_FINGER else None
    if words is None:
        words = _IN_WORDS[0] if is_done(code, kind) else _IN_WORDS.get(code)
    return words or f"The unit answered with the code {code}, which isn't known here."


def is_repeatable(kind: Kind) -> bool:
    """Whether it may be handed out again when no answer came: done twice, it leaves the unit as done once."""
    return kind not in _ONCE


def require_code_page(encoding: str) -> None:
    """Raises ValueError for what is no code page of Python's, or one that ASCII isn't a part of."""
    try:
        fits = "C:1:A=1\t~+\n".encode(encoding) == b"C:1:A=1\t~+\n"
    except (LookupError, ValueError) as error:
        raise ValueError("The code page isn't known.") from error
    if not fits:
        raise ValueError("A terminal's code page holds ASCII as it is.")


def _order(kind: Kind, words: str, *fields: str) -> Order:
    return Order(kind, f"{words} " + "\t".join(fields) if fields else words)


def _text(what: str, value: str, *, most: int) -> str:
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise ValueError(f"The {what} holds a TAB, a line end or another control character.")
    if len(value) > most:
        raise ValueError(f"The {what} has more than {most} characters.")
    return value


def _ascii(what: str, value: str, *, most: int) -> str:
    if not _text(what, value, most=most).isascii():
        raise ValueError(f"The {what} holds a character that is no ASCII.")
    return value


def _pin(pin: str) -> str:
    # A character that the unit's code page hasn't would make it another person.
    if not _ascii("user id", pin, most=_MOST_PIN).strip("0 "):
        raise ValueError("The user id is empty or zero.")
    if " " in pin:
        raise ValueError("The user id holds a blank.")
    return pin


def _password(password: str) -> str:
    if password and not (password.isascii() and password.isdigit() and len(password) <= 8):
        raise ValueError("The password is typed on a keypad: it has 1 to 8 digits.")
    return password


def _privilege(privilege: int) -> int:
    if privilege not in PRIVILEGES:
        raise ValueError(f"The privilege is one of {', '.join(map(str, sorted(PRIVILEGES)))}.")
    return int(privilege)


def _number(what: str, value: int, allowed: range) -> int:
    if value not in allowed:
        raise ValueError(f"The {what} is a number from {allowed[0]} to {allowed[-1]}.")
    return int(value)


def _finger(finger: int) -> int:
    return _number("finger", finger, range(10))


def _version(version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise ValueError("The version is a number, such as 10 or 12.0.")
    return version


def _template(template: bytes) -> str:
    if not 0 < len(template) <= MOST_TEMPLATE:
        raise ValueError(f"The template has 1 to {MOST_TEMPLATE} bytes.")
    return base64.b64encode(template).decode()


def _span(start: datetime, end: datetime) -> tuple[str, str]:
    for what, moment in (("beginning", start), ("end", end)):
        if moment.tzinfo is not None:
            raise ValueError(f"The {what} is by the unit's clock, which has no time zone.")
        if not 2000 <= moment.year < 2100:
            raise ValueError(f"The {what} is in none of the years 2000 to 2099.")
    if end < start:
        raise ValueError("The end is before the beginning.")
    return f"StartTime={start:%Y-%m-%d %H:%M:%S}", f"EndTime={end:%Y-%m-%d %H:%M:%S}"
