"""What a terminal that dials us says, as values; `iclock.push.codec` reads them from its bytes. Pure; no Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from iclock.punch import Punch, Reject

PictureKind = Literal["user", "bio", "capture"]
OperationSource = Literal["menu", "door"]


@dataclass(frozen=True, slots=True)
class UserLine:
    """A person as the unit has them, codes raw. The password on their line is never kept. A ``card`` of 0 is none."""

    pin: str
    name: str = ""
    privilege: int = 0
    card: int = 0
    group: str = ""
    time_zones: str = ""
    verify: str = ""


@dataclass(frozen=True, slots=True)
class TemplateLine:
    """A template; ``bio_type`` as the protocol numbers them (1 finger, 2 face, 7 vein, 8 palm, 9 visible face).

    ``number`` is which finger, ``index`` which part of a kind that has several. A version is "" where the line tells
    none: old lines of fingers and faces.
    """

    pin: str
    bio_type: int
    number: int
    index: int = 0
    valid: bool = True
    duress: bool = False
    major_ver: str = ""
    minor_ver: str = ""
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class PictureLine:
    """A photo: of a person ("user"), one that a face is recognised by ("bio"), or taken at a punch ("capture").

    Nobody has looked into ``data`` yet. ``pin`` is "" where a capture shows somebody who wasn't recognised.
    """

    pin: str
    kind: PictureKind
    taken: datetime | None = None
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class OperationLine:
    """Somebody did something at the unit's menu, or something happened at its door; codes and values raw.

    ``person`` is the unit's user id, "" where it tells none.
    """

    code: int
    person: str = ""
    moment: datetime | None = None
    values: tuple[str, ...] = ()
    source: OperationSource = "menu"


Line = UserLine | TemplateLine | PictureLine | OperationLine


@dataclass(frozen=True, slots=True)
class Answer:
    """What a unit says of a command: ``returned`` is 0 or more when it is done, less why not.

    ``told`` are the further lines ``key=value`` behind it, of an INFO or a VERIFY SUM.
    """

    command_id: int
    returned: int
    command: str = ""
    told: Mapping[str, str] = field(default_factory=dict)


class Answers(NamedTuple):
    """What a post about commands says, and how many of its lines can't be read."""

    answers: Sequence[Answer]
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What a post brought; ``punches`` only where its lines bring both, those of the 3.x tables.

    ``ignored`` are lines of known kinds that nothing here has a use for, and that are therefore not kept.
    """

    lines: Sequence[Line]
    rejects: Sequence[Reject]
    punches: Sequence[Punch] = field(default_factory=list)
    ignored: int = 0

    @property
    def count(self) -> int:
        """What is acknowledged: every line, read or not."""
        return len(self.lines) + len(self.rejects) + len(self.punches) + self.ignored


@dataclass(frozen=True, slots=True)
class Attendance:
    """The punches of a post; ``operations`` are what it tells besides them."""

    punches: Sequence[Punch]
    rejects: Sequence[Reject]
    operations: Sequence[OperationLine] = field(default_factory=list)

    @property
    def count(self) -> int:
        """What is acknowledged: every line, read or not."""
        return len(self.punches) + len(self.rejects) + len(self.operations)


class Info(NamedTuple):
    """What a unit tells of itself beside a request for commands; None for what it leaves out."""

    firmware: str | None = None
    users: int | None = None
    fingers: int | None = None
    punches: int | None = None
    address: str | None = None
    finger_version: str | None = None
    face_version: str | None = None
    parts_of_a_face: int | None = None
    faces: int | None = None
    functions: str | None = None
