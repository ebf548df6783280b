"""A simulated terminal: what the driver, the end-to-end tests and a demonstration talk to when no hardware is at hand.

A `TerminalSpec` declares the unit, `SimulatedTerminal` serves it, `Faults` spoil it, its ledger remembers every punch.
"""

from devices.simulator.faults import (
    Close,
    CountOff,
    Drip,
    Fault,
    Faults,
    ForeignReply,
    ForeignSession,
    Garbage,
    HugeFrame,
    JunkPrefix,
    Latency,
    LateReply,
    PunchAfter,
    Reboot,
    RefuseKey,
    RowWidth,
    ShortSizes,
    Silent,
    SmallFrames,
    StrayEvent,
)
from devices.simulator.rows import bad_punch_row
from devices.simulator.spec import SimPunch, SimTemplate, SimUser, TerminalSpec
from devices.simulator.state import Clearing, Counts, Refused, SessionRecord
from devices.simulator.terminal import SimulatedTerminal

__all__ = [
    "Clearing",
    "Close",
    "CountOff",
    "Counts",
    "Drip",
    "Fault",
    "Faults",
    "ForeignReply",
    "ForeignSession",
    "Garbage",
    "HugeFrame",
    "JunkPrefix",
    "LateReply",
    "Latency",
    "PunchAfter",
    "Reboot",
    "RefuseKey",
    "Refused",
    "RowWidth",
    "SessionRecord",
    "ShortSizes",
    "Silent",
    "SimPunch",
    "SimTemplate",
    "SimUser",
    "SimulatedTerminal",
    "SmallFrames",
    "StrayEvent",
    "TerminalSpec",
    "bad_punch_row",
]
