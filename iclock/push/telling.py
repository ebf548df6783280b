"""What a unit tells of itself, of a command, and the photo that it took at a punch. Pure."""

from __future__ import annotations

import re
from typing import Final

from iclock.lines import Answer, Answers, Info, PictureLine
from iclock.push.text import RefusalError, lines_of, moment_of, text_of

MOST_OPTIONS: Final = 200
MOST_ANSWERS: Final = 2_000

_MOST_BYTES: Final = 64 * 1024
_MOST_KEY: Final = 50
_MOST_VALUE: Final = 300
_MOST_HEAD: Final = 1024
_MOST_COUNT: Final = 2**31 - 1
# A comma that no key stands behind is a part of the value.
_COMMA: Final = re.compile(r",(?=[ ]?~?[A-Za-z]\w{0,48}[ ]?=)", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z]\w*", re.ASCII)
_SECRET: Final = re.compile(r"passw|pwd|comm?key|secret", re.IGNORECASE)
_COUNT: Final = re.compile(r"\d{1,10}", re.ASCII)
_ID: Final = re.compile(r"\d{1,10}", re.ASCII)
_MOST_UNSIGNED: Final = 2**32
_RETURNED: Final = re.compile(r"-?\d{1,10}", re.ASCII)
_PHOTO: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:-([\w-]{1,24}))?\.(?:jpe?g|JPE?G)")


def read_options(body: bytes, encoding: str = "utf-8") -> dict[str, str]:
    """``~DeviceName=X,FWVersion=Y``, also one a line, without the ``~``; keys and passwords are left out."""
    found: dict[str, str] = {}
    for line in lines_of(body[:_MOST_BYTES], _MOST_BYTES):
        for part in _COMMA.split(_text(line, encoding)):
            _take(found, part)
    return found


def _take(found: dict[str, str], part: str) -> bool:
    """Whether it is a ``key=value``."""
    key, equals, value = part.partition("=")
    name = key.strip().lstrip("~")
    if not equals or len(name) > _MOST_KEY or not _KEY.fullmatch(name):
        return False
    if (len(found) < MOST_OPTIONS or name in found) and not _SECRET.search(name):
        found[name] = "".join(character for character in value.strip() if character.isprintable())[:_MOST_VALUE]
    return True


def read_info(text: str) -> Info:
    """``INFO=firmware,users,fingers,punches,address,…``; what isn't told, or is no number where one is, is None."""
    values = [value.strip()[:_MOST_VALUE] for value in text[:_MOST_BYTES].removeprefix("INFO=").split(",", 20)]
    told = [value if value and value.isprintable() else None for value in (*values, *[""] * len(Info._fields))]
    counts = [int(value) if value and _COUNT.fullmatch(value) else None for value in told]
    counts = [count if count is not None and count <= _MOST_COUNT else None for count in counts]
    return Info(
        firmware=told[0],
        users=counts[1],
        fingers=counts[2],
        punches=counts[3],
        address=told[4],
        finger_version=told[5],
        face_version=told[6],
        parts_of_a_face=counts[7],
        faces=counts[8],
        functions=told[9],
    )


def read_answers(body: bytes, encoding: str = "utf-8") -> Answers:
    """``ID=1&Return=0&CMD=DATA``, one a line; the lines ``key=value`` behind one are what it told besides."""
    answers: list[Answer] = []
    told: dict[str, str] = {}
    ignored = 0
    for line in lines_of(body, _MOST_HEAD):
        text = _text(line, encoding)
        if _is_answer(text):
            answer = _answer(text, told := {})
            taken = answer is not None and len(answers) < MOST_ANSWERS
            answers += [answer] if answer and taken else []
        else:
            taken = bool(answers) and _take(told, text)
        ignored += not taken
    return Answers(answers, ignored)


def _is_answer(text: str) -> bool:
    return text.lstrip()[:3].lower() == "id="


def _answer(text: str, told: dict[str, str]) -> Answer | None:
    pairs = {key.strip().lower(): (key, value.strip()) for key, _, value in _pairs(text)}
    number, returned = (pairs.pop(key, ("", ""))[1] for key in ("id", "return"))
    command = pairs.pop("cmd", ("", ""))[1]
    code = _code(returned)
    if code is None or not _ID.fullmatch(number):
        return None
    for key, value in pairs.values():
        _take(told, f"{key}={value}")
    return Answer(int(number), code, command, told)


def _code(text: str) -> int | None:
    """A code of 32 bits; some units print those below 0 as if they had no sign. None for what is none."""
    code = int(text) if _RETURNED.fullmatch(text) else _MOST_UNSIGNED
    code -= _MOST_UNSIGNED if _MOST_COUNT < code < _MOST_UNSIGNED else 0
    return code if -_MOST_COUNT <= code <= _MOST_COUNT else None


def _pairs(text: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in text.split("&")]


def read_photo(body: bytes) -> PictureLine:
    """``PIN=20150731103012-123.jpg\\nSN=\\nsize=\\nCMD=uploadphoto\\0<jpeg>``; the name only says who and when.

    Raises RefusalError.
    """
    head, end, photo = body[:_MOST_HEAD].partition(b"\0")
    if not end:
        raise RefusalError("no photo follows")
    photo = body[len(head) + 1 :]
    told = dict(_pair(line) for line in _text(head, "utf-8").splitlines())
    if told.get("size") and told["size"] != str(len(photo)):
        raise RefusalError("the photo isn't as long as it says")
    if not photo:
        raise RefusalError("the photo is empty")
    match = _PHOTO.fullmatch(told.get("pin", ""))
    if match is None:
        raise RefusalError("its name isn't that of a photo")
    *parts, pin = match.groups()
    try:
        taken = moment_of("{}-{}-{} {}:{}:{}".format(*parts))
    except RefusalError:
        taken = None  # a clock that was never set takes photos too
    return PictureLine(pin if pin and pin.strip("0") else "", "capture", taken, photo)


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip().lower(), value.strip()


def _text(line: bytes, encoding: str) -> str:
    try:
        return text_of(line, _MOST_BYTES, encoding)
    except RefusalError:
        return line.decode("utf-8", "replace")
