"""Templates and pictures that commands of the PUSH protocol bring and take away."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Final

from devices.simulator.push_diary import Album
from devices.simulator.push_lines import SimBio
from devices.simulator.spec import SimTemplate, SimUser
from devices.simulator.state import TerminalState

OK: Final = 0
BAD_PARAMETER: Final = -1
PICTURE_SIZE: Final = -2
TEMPLATE_SIZE: Final = -9
NO_SUCH_PIN: Final = -10
BAD_TEMPLATE: Final = -11
FULL: Final = -1001
UNSUPPORTED: Final = -1002
MOST_BIOS: Final = 20_000
MOST_PICTURE: Final = 1 << 20


class Wrong(Exception):  # noqa: N818 - a unit's answer, not a defect
    """The unit refuses with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


def update_finger(state: TerminalState, told: Mapping[str, str]) -> SimUser:
    """Keep a finger; its Size may be that of the template or of its text. Raises Wrong, Refused when full."""
    user, finger = person_of(state, told), number_of(told, "fid")
    if not 0 <= finger <= 9:
        raise Wrong(BAD_PARAMETER)
    data = _template(told)
    state.put_template(SimTemplate(user.uid, finger, data, number_of(told, "valid", 1)))
    return user


def delete_finger(state: TerminalState, told: Mapping[str, str]) -> None:
    """Take one finger, or without FID all; those that aren't there needn't be taken."""
    user = state.person(told.get("pin", ""))
    wanted = [number_of(told, "fid")] if "fid" in told else list(range(10))
    if not told.get("pin"):
        raise Wrong(BAD_PARAMETER)
    for finger in wanted if user else ():
        if user and state.template(user.uid, finger):
            state.delete_template(user.uid, finger)


def update_biodata(state: TerminalState, album: Album, told: Mapping[str, str]) -> None:
    user = person_of(state, told)
    bio = SimBio(
        user.user_id,
        number_of(told, "type"),
        _template(told),
        number_of(told, "no", 0),
        number_of(told, "index", 0),
        number_of(told, "valid", 1),
        number_of(told, "duress", 0),
        told.get("majorver", "0"),
        told.get("minorver", "0"),
        told.get("format", "0"),
    )
    if bio.key not in album.bios and len(album.bios) >= (state.spec.face_capacity or MOST_BIOS):
        raise Wrong(FULL)
    album.bios[bio.key] = bio


def delete_biodata(album: Album, told: Mapping[str, str]) -> None:
    """Of one person; of one Type and No where they are told."""
    user_id = told.get("pin", "")
    if not user_id:
        raise Wrong(BAD_PARAMETER)
    for bio in album.bios_of(user_id):
        if bio.kind == number_of(told, "type", bio.kind) and bio.number == number_of(told, "no", bio.number):
            del album.bios[bio.key]


def update_picture(state: TerminalState, album: Album, told: Mapping[str, str]) -> None:
    user = person_of(state, told)
    content = told.get("content", "")
    picture = _bytes(content, PICTURE_SIZE)
    size = number_of(told, "size", len(content))
    if not picture or len(picture) > MOST_PICTURE or size not in (len(content), len(picture)):
        raise Wrong(PICTURE_SIZE)
    album.pictures[user.user_id] = picture


def person_of(state: TerminalState, told: Mapping[str, str]) -> SimUser:
    """Whom PIN names. Raises Wrong."""
    if not told.get("pin"):
        raise Wrong(BAD_PARAMETER)
    user = state.person(told["pin"])
    if user is None:
        raise Wrong(NO_SUCH_PIN)
    return user


def number_of(told: Mapping[str, str], name: str, default: int | None = None) -> int:
    """A number, which may be told as nothing where there is a default. Raises Wrong."""
    text = told.get(name)
    if text is None and default is not None:
        return default
    if text == "" and default is not None:
        return 0
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 1 << 32):
        raise Wrong(BAD_PARAMETER)
    return int(text)


def _template(told: Mapping[str, str]) -> bytes:
    text = told.get("tmp", "")
    data = _bytes(text, BAD_TEMPLATE)
    if not data:
        raise Wrong(BAD_TEMPLATE)
    if number_of(told, "size", len(data)) not in (len(data), len(text)):
        raise Wrong(TEMPLATE_SIZE)
    return data


def _bytes(text: str, code: int) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError) as error:
        raise Wrong(code) from error
