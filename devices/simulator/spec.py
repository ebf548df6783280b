"""What a simulated terminal is, as data: the unit, its people, its templates and its punches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

SecondConnection = Literal["wait", "refuse"]

PUNCH_WIDTHS: Final = (8, 16, 40)
USER_WIDTHS: Final = (28, 72)


@dataclass(frozen=True, slots=True)
class SimUser:
    """A person on the unit; ``uid`` 0 takes the next free one, ``privilege`` is the raw permission byte."""

    uid: int
    user_id: str
    name: str = ""
    privilege: int = 0
    password: str = ""
    card: int = 0
    group: int = 1
    time_zones: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SimPunch:
    """One punch as the unit wrote it: naive wall-clock time to the second, raw verification method and state."""

    user_id: str
    time: datetime
    verify: int = 1
    state: int = 0


@dataclass(frozen=True, slots=True)
class SimTemplate:
    """A fingerprint: ``valid`` is 0 invalid, 1 valid, 3 duress."""

    uid: int
    finger: int
    data: bytes
    valid: int = 1


@dataclass(frozen=True, kw_only=True)
class TerminalSpec:
    """A unit as it leaves its box; what happens to it later is the running terminal's state.

    ``clock_error`` is how far its clock is off, ``utc_offset`` where it hangs. ``second_connection`` says what a
    client meets while another one has the session. ``event_pace`` is the longest the unit waits for the
    acknowledgement of an enrolment event before it sends the next.
    """

    serial: str
    name: str = "K40/ID"
    platform: str = "ZLM60_TFT"
    firmware: str = "Ver 6.60 Apr 28 2017"
    mac: str = "00:17:61:c8:ec:17"
    comm_key: int = 0
    user_width: int = 72
    punch_width: int = 40
    user_capacity: int = 3_000
    finger_capacity: int = 3_000
    punch_capacity: int = 100_000
    face_capacity: int = 0
    pin_width: int = 9
    fp_version: str = "10"
    encoding: str = "utf-8"
    utc_offset: timedelta = timedelta(0)
    clock_error: timedelta = timedelta(0)
    options: Mapping[str, str] = field(default_factory=dict)
    users: tuple[SimUser, ...] = ()
    templates: tuple[SimTemplate, ...] = ()
    punches: tuple[SimPunch, ...] = ()
    second_connection: SecondConnection = "wait"
    idle_seconds: float = 120.0
    event_pace: float = 1.0

    def __post_init__(self) -> None:
        if self.user_width not in USER_WIDTHS or self.punch_width not in PUNCH_WIDTHS:
            raise ValueError(f"no such generation: users {self.user_width}, punches {self.punch_width} bytes")

    def all_options(self) -> dict[str, str]:
        """The option table: what every unit answers, overridden and extended by ``options``."""
        return {
            "~SerialNumber": self.serial,
            "~DeviceName": self.name,
            "~Platform": self.platform,
            "MAC": self.mac,
            "~ZKFPVersion": self.fp_version,
            "~PIN2Width": str(self.pin_width),
            "IPAddress": "192.168.1.201",
            "NetMask": "255.255.255.0",
            "GATEIPAddress": "192.168.1.1",
            **self.options,
        }
