"""The generations of PUSH firmware, and the habits in which units of one generation differ, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

NEW_STAMPS: Final = {"ATTLOG": "ATTLOGStamp", "OPERLOG": "OPERLOGStamp", "BIODATA": "BIODATAStamp"}
OLD_STAMPS: Final = {"ATTLOG": "Stamp", "OPERLOG": "OpStamp"}


@dataclass(frozen=True, kw_only=True)
class Generation:
    """``stamps`` are the keys of the option block that the firmware reads, ``attlog_tail`` the fields behind the
    verification method, ``numbered`` says that a post's stamp is the time of its last line (else 9999).
    """

    name: str
    pushver: str
    stamps: Mapping[str, str] = field(default_factory=lambda: NEW_STAMPS)
    attlog_tail: tuple[str, ...] = ("0", "0", "0")
    numbered: bool = False
    biodata: bool = True
    tells_options: bool = True
    access: bool = False

    @property
    def punch_table(self) -> str:
        """The table that punches are posted to."""
        return "rtlog" if self.access else "ATTLOG"


PUSH_2_2: Final = Generation(
    name="2.2", pushver="2.2.14", stamps=OLD_STAMPS, numbered=True, biodata=False, tells_options=False
)
PUSH_2_4: Final = Generation(name="2.4", pushver="2.4.1", attlog_tail=("0", "0", "0", "255", "0.0"))
PUSH_3: Final = Generation(name="3", pushver="3.1.2", access=True, tells_options=False)
GENERATIONS: Final = {generation.name: generation for generation in (PUSH_2_2, PUSH_2_4, PUSH_3)}


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How one unit is set up: the spelling of its requests, and its patience in seconds.

    ``code_page`` None is that of its state. ``delay`` and ``error_delay`` overrule what the server asks for.
    ``batch`` is the most lines a post has. ``sets_clock`` False keeps a wrong clock wrong. ``source`` is the address
    it dials from, "" for whichever.
    """

    suffix: Literal["", ".aspx", "/"] = ""
    names: Literal["usual", "upper", "lower"] = "usual"
    code_page: str | None = None
    line_end: Literal["\n", "\r\n"] = "\n"
    comm_key: str = ""
    language: int = 69
    insecure: bool = False
    sets_clock: bool = True
    batch: int = 500
    delay: float | None = None
    error_delay: float | None = None
    timeout: float = 10.0
    reboot_seconds: float = 1.0
    source: str = ""
