"""The text of the PUSH protocol as a unit writes it: lines of punches, people, fingers, faces and operations."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from devices.protocol import encode_time
from devices.simulator.push_generation import Generation
from devices.simulator.spec import SimPunch, SimTemplate, SimUser

FINGER: Final = 1


@dataclass(frozen=True, slots=True)
class SimBio:
    """A template that is no fingerprint; ``kind`` is the protocol's Type: 2 and 9 faces, 7 vein, 8 palm."""

    user_id: str
    kind: int
    data: bytes
    number: int = 0
    index: int = 0
    valid: int = 1
    duress: int = 0
    major: str = "0"
    minor: str = "0"
    format: str = "0"

    @property
    def key(self) -> tuple[str, int, int, int]:
        """What another one of this person replaces."""
        return self.user_id, self.kind, self.number, self.index


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes the lines of a unit of this generation, in its code page and with its line ends."""

    generation: Generation
    code_page: str = "utf-8"
    line_end: str = "\n"

    def body(self, lines: Iterable[str]) -> bytes:
        """What is posted. A character that the code page hasn't becomes a question mark."""
        return b"".join(self.encode(line + self.line_end) for line in lines)

    def encode(self, text: str) -> bytes:
        """``text`` in the unit's code page; bytes that were no text stay what they were."""
        try:
            return text.encode(self.code_page, "surrogateescape")
        except UnicodeEncodeError:
            return text.encode(self.code_page, "replace")

    def punch(self, punch: SimPunch, index: int) -> str:
        if self.generation.access:
            return (
                f"time={punch.time}\tpin={punch.user_id}\tcardno=0\teventaddr=1\tevent=0"
                f"\tinoutstatus={punch.state}\tverifytype={punch.verify}\tindex={index + 1}"
            )
        fields = punch.user_id, str(punch.time), str(punch.state), str(punch.verify), *self.generation.attlog_tail
        return "\t".join(fields)

    def queried_punch(self, punch: SimPunch) -> str:
        """The row of a 3.x unit's table of events."""
        return (
            f"transaction cardno=0\tpin={punch.user_id}\tverified={punch.verify}\tdoorid=1\teventtype=0"
            f"\tinoutstate={punch.state}\ttime_second={encode_time(punch.time)}"
        )

    def user(self, user: SimUser) -> str:
        card = user.card or ""
        zones = "".join(f"{zone & 0xFFFF:04X}" for zone in user.time_zones)
        return (
            f"USER PIN={user.user_id}\tName={user.name}\tPri={user.privilege}\tPasswd={user.password}"
            f"\tCard={card}\tGrp={user.group}\tTZ={zones}\tVerify=0"
        )

    def queried_user(self, user: SimUser) -> str:
        """The row of a 3.x unit's table of people."""
        return (
            f"user uid={user.uid}\tcardno={user.card}\tpin={user.user_id}\tpassword={user.password}"
            f"\tgroup={user.group}\tstarttime=0\tendtime=0\tname={user.name}\tprivilege={user.privilege}"
        )

    def finger(self, user_id: str, template: SimTemplate) -> str:
        text = b64encode(template.data).decode()
        return f"FP PIN={user_id}\tFID={template.finger}\tSize={len(text)}\tValid={template.valid}\tTMP={text}"

    def queried_finger(self, user_id: str, template: SimTemplate) -> str:
        """The row of a 3.x unit's table of fingers."""
        text = b64encode(template.data).decode()
        return (
            f"templatev10 size={len(text)}\tuid={template.uid}\tpin={user_id}\tfingerid={template.finger}"
            f"\tvalid={template.valid}\ttemplate={text}\tresverd=0\tendtag=0"
        )

    def bio(self, bio: SimBio) -> str:
        return (
            f"BIODATA Pin={bio.user_id}\tNo={bio.number}\tIndex={bio.index}\tValid={bio.valid}\tDuress={bio.duress}"
            f"\tType={bio.kind}\tMajorVer={bio.major}\tMinorVer={bio.minor}\tFormat={bio.format}"
            f"\tTmp={b64encode(bio.data).decode()}"
        )

    def operation(self, code: int, at: datetime, *values: str | int) -> str:
        """What somebody did at the menu; nobody had to identify himself, so the administrator is 0."""
        told = [str(value) for value in (*values, 0, 0, 0)[:3]]
        return "\t".join([f"OPLOG {code}", "0", str(at), *told])

    def photo(self, serial: str, name: str, jpeg: bytes) -> bytes:
        head = f"PIN={name}\nSN={serial}\nsize={len(jpeg)}\nCMD=uploadphoto"
        return head.encode() + b"\0" + jpeg

    def stamp(self, last: datetime) -> str:
        """The stamp of a post whose last line is of that moment."""
        return str(encode_time(last)) if self.generation.numbered else "9999"
