"""People, templates, photos and operations on the lines of OPERLOG, BIODATA and alike, and of the 3.x tables. Pure.

A line is ``WORD key=value<TAB>key=value``; where the word is missing, the table's name stands for it. Passwords on
lines about people are never read.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from iclock.lines import Line, OperationLine, PictureKind, PictureLine, TemplateLine, Uploaded, UserLine
from iclock.punch import Punch, Reject
from iclock.push.attendance import event_of
from iclock.push.text import (
    MOST_PIN,
    MOST_RAW,
    MOST_REASON,
    RefusalError,
    fields_of,
    lines_of,
    moment_of,
    number_of,
    pin_of,
    reject_of,
    text_of,
    without_secrets,
)

# A photo is the longest that stands on a line.
MOST_LINE: Final = 1024 * 1024

_FINGER, _FACE, _VEIN = 1, 2, 7
_DURESS: Final = 16
_MOST_VALUES: Final = 10
_MOST_VALUE: Final = 64
_MOST_NAME: Final = 100
_WORD: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9]{1,19})[ \t]+")
_CARD: Final = re.compile(r"\d{1,19}", re.ASCII)
_CARD_BYTES: Final = re.compile(r"\[([0-9A-Fa-f]{2}){1,8}\]", re.ASCII)
_PASSWORD: Final = re.compile(r"passw\w{0,20}=", re.IGNORECASE)

Read = Callable[[str], Line | Punch | None]


def read_lines(body: bytes, table: str, encoding: str = "utf-8") -> Uploaded:
    """What a post of OPERLOG, BIODATA, FVEIN, IDCARD or ERRORLOG brings; a bad line is a reject without its secrets."""
    return _read(body, _READERS, table.lower(), encoding)


def read_querydata(body: bytes, tablename: str, encoding: str = "utf-8") -> Uploaded:
    """What a 3.x unit answers when it is asked for a table: ``user``, ``templatev10``, ``transaction`` and others."""
    return _read(body, _TABLES, tablename.lower(), encoding)


def _read(body: bytes, readers: Mapping[str, Read], table: str, encoding: str) -> Uploaded:
    lines: list[Line] = []
    rejects: list[Reject] = []
    punches: list[Punch] = []
    ignored = 0
    for raw in lines_of(body, MOST_LINE):
        try:
            found = _read_line(text_of(raw, MOST_LINE, encoding), readers, table)
        except RefusalError as refusal:
            rejects.append(_reject(raw, table, str(refusal)))
            continue
        if isinstance(found, Punch):
            punches.append(found)
        elif found:
            lines.append(found)
        else:
            ignored += 1
    return Uploaded(lines, rejects, punches, ignored)


def _read_line(text: str, readers: Mapping[str, Read], table: str) -> Line | Punch | None:
    match = _WORD.match(text)
    word = match[1].lower() if match else ""
    if match and word in readers:
        return readers[word](text[match.end() :])
    if table not in readers:
        raise RefusalError(f"lines of the kind {(word or table)[:20]!a} aren't known")
    return readers[table](text)


def _reject(raw: bytes, table: str, reason: str) -> Reject:
    """Events of doors and operations are kept as they are, to be read again; of others nothing secret is kept."""
    word = raw[:20].split(maxsplit=1)[0].lower() if raw[:20].strip() else b""
    if word in {b"oplog", b"transaction"} or (table == "transaction" and word.startswith((b"cardno=", b"pin="))):
        return reject_of(raw, reason)
    return Reject(without_secrets(raw[:MOST_RAW]), reason[:MOST_REASON])


def _user(text: str) -> UserLine:
    told = fields_of(text)
    name = told.get("name", "")
    if _PASSWORD.search(name):
        raise RefusalError("its fields aren't separated by TABs")
    return UserLine(
        pin_of(told),
        "".join(character for character in name[:_MOST_NAME] if character.isprintable()),
        number_of(_first(told, "pri", "privilege"), "privilege"),
        _card(_first(told, "card", "cardno")),
        _code(_first(told, "grp", "group")),
        _code(told.get("tz", "")),
        _code(told.get("verify", "")),
    )


def _card(text: str) -> int:
    """Decimal, or its bytes between brackets, the lowest first; none is 0."""
    if not text or _CARD.fullmatch(text):
        return int(text or 0)
    if _CARD_BYTES.fullmatch(text):
        return int.from_bytes(bytes.fromhex(text[1:-1]), "little")
    raise RefusalError("its card is no number")


def _code(text: str) -> str:
    """A short code, as it was told; anything else isn't one."""
    if len(text) > _MOST_VALUE or "=" in text or not text.isprintable():
        raise RefusalError("its group, time zones or verification are no codes")
    return text


def _finger(text: str) -> TemplateLine:
    told = fields_of(text)
    number, valid = _small(_first(told, "fid", "fingerid"), "finger"), _validity(told)
    # The fingers that raise an alarm are counted from 16 on some units, and marked by a validity of 3 on others.
    duress = number >= _DURESS or valid == 3
    number -= _DURESS if number >= _DURESS else 0
    if number not in range(10):
        raise RefusalError("there are only the fingers 0 to 9")
    return TemplateLine(pin_of(told), _FINGER, number, 0, valid != 0, duress, "", "", _data(told, "tmp", "template"))


def _finger_of_version(text: str, version: str) -> TemplateLine:
    line = _finger(text)
    return TemplateLine(line.pin, _FINGER, line.number, 0, line.valid, line.duress, version, "0", line.data)


def _parts(text: str, bio_type: int) -> TemplateLine:
    """Faces and veins of the older lines: FID counts the parts of the one face, but tells fingers apart."""
    told = fields_of(text)
    fid, index = _small(told.get("fid", ""), "FID"), _small(told.get("index", ""), "index")
    number, index = (0, fid) if bio_type == _FACE else (fid, index)
    valid = _validity(told)
    data = _data(told, "tmp")
    return TemplateLine(pin_of(told), bio_type, number, index, valid != 0, valid == 3, "", "", data)


def _biodata(text: str) -> TemplateLine:
    told = fields_of(text)
    if not told.get("type"):
        raise RefusalError("its kind of template is missing")
    bio_type, number, index = (_small(told.get(key, ""), key) for key in ("type", "no", "index"))
    duress = number_of(told.get("duress", ""), "duress") != 0
    major, minor = (_code(told.get(key, "")) for key in ("majorver", "minorver"))
    data = _data(told, "tmp")
    return TemplateLine(pin_of(told), bio_type, number, index, _validity(told) != 0, duress, major, minor, data)


def _small(text: str, what: str) -> int:
    number = number_of(text, what)
    if not 0 <= number <= 255:
        raise RefusalError(f"its {what} is none of 0 to 255")
    return number


def _validity(told: Mapping[str, str]) -> int:
    return number_of(told.get("valid") or "1", "validity")


def _picture(text: str, kind: PictureKind) -> PictureLine:
    told = fields_of(text)
    return PictureLine(pin_of(told), kind, None, _data(told, "content", "tmp"))


def _data(told: Mapping[str, str], *keys: str) -> bytes:
    encoded = _first(told, *keys)
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as error:
        raise RefusalError("its template or photo is no base64") from error
    if not data:
        raise RefusalError("its template or photo is empty")
    # Units count the characters, some the bytes behind them; with less than that something was cut off.
    size = told.get("size", "")
    if size.isascii() and size.isdigit() and len(size) < 10 and int(size) > len(encoded):
        raise RefusalError("its template or photo is shorter than it says")
    return data


def _operation(text: str) -> OperationLine:
    code, admin, told, *values = (*(field.strip() for field in text.split("\t")), "", "", "")
    if not code:
        raise RefusalError("it names no operation")
    person = admin if admin.strip("0") else ""
    if len(person) > MOST_PIN or not person.isprintable():
        raise RefusalError("who did it is no user id")
    kept = [value[:_MOST_VALUE] for value in values[:_MOST_VALUES]]
    while kept and not kept[-1]:
        kept.pop()
    return OperationLine(number_of(code, "operation"), person, moment_of(told) if told else None, tuple(kept))


def _ignore(_: str) -> None:
    """Read by nobody: identity cards hold more of a person than is any business of ours, error logs only prose."""


def _first(told: Mapping[str, str], *keys: str) -> str:
    return next((told[key] for key in keys if told.get(key)), "")


_READERS: Final[Mapping[str, Read]] = {
    "user": _user,
    "fp": _finger,
    "face": partial(_parts, bio_type=_FACE),
    "fvein": partial(_parts, bio_type=_VEIN),
    "biodata": _biodata,
    "userpic": partial(_picture, kind="user"),
    "biophoto": partial(_picture, kind="bio"),
    "oplog": _operation,
    "idcard": _ignore,
    "errorlog": _ignore,
}
_TABLES: Final[Mapping[str, Read]] = {
    "user": _user,
    "template": _finger,
    "templatev10": partial(_finger_of_version, version="10"),
    "biodata": _biodata,
    "facev7": partial(_parts, bio_type=_FACE),
    "userpic": partial(_picture, kind="user"),
    "biophoto": partial(_picture, kind="bio"),
    "transaction": event_of,
}
