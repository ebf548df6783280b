"""What can go wrong with a terminal, declared as values.

A fault strikes at a command: at the ``nth`` matching one since it was armed, and ``times`` times from there (None:
for ever). ``command`` None matches every command, so ``nth`` then counts the commands of all kinds. A chunk is the
nth ``CMD_READ_BUFFER``. Faults that cut or drip bytes are meant for TCP.
"""

from typing import Final

from devices.simulator.faults.base import Fault, Faults, HangUp, Hold, Pause, PowerCycle, Send, Step
from devices.simulator.faults.reading import CountOff, JunkPrefix, PunchAfter, RowWidth, ShortSizes
from devices.simulator.faults.wire import (
    Close,
    Drip,
    ForeignReply,
    ForeignSession,
    Garbage,
    HugeFrame,
    Latency,
    LateReply,
    Reboot,
    RefuseKey,
    Silent,
    SmallFrames,
    StrayEvent,
)
from devices.simulator.faults.writing import (
    Capitals,
    EnrolmentEnds,
    FillsUp,
    Full,
    LostBetween,
    Misread,
    NobodyComes,
    Pretend,
    Refuse,
    RefuseUpload,
)

_CLASSES: Final = (
    Silent,
    Close,
    Drip,
    Latency,
    LateReply,
    SmallFrames,
    ForeignSession,
    ForeignReply,
    StrayEvent,
    Garbage,
    HugeFrame,
    Reboot,
    RefuseKey,
    CountOff,
    ShortSizes,
    RowWidth,
    JunkPrefix,
    PunchAfter,
    Refuse,
    RefuseUpload,
    Full,
    FillsUp,
    Pretend,
    Misread,
    Capitals,
    LostBetween,
    EnrolmentEnds,
    NobodyComes,
)
KINDS: Final[dict[str, type[Fault]]] = {kind.__name__: kind for kind in _CLASSES}

__all__ = [
    "KINDS",
    "Capitals",
    "Close",
    "CountOff",
    "Drip",
    "EnrolmentEnds",
    "Fault",
    "Faults",
    "FillsUp",
    "ForeignReply",
    "ForeignSession",
    "Full",
    "Garbage",
    "HangUp",
    "Hold",
    "HugeFrame",
    "JunkPrefix",
    "LateReply",
    "Latency",
    "LostBetween",
    "Misread",
    "NobodyComes",
    "Pause",
    "PowerCycle",
    "Pretend",
    "PunchAfter",
    "Reboot",
    "Refuse",
    "RefuseKey",
    "RefuseUpload",
    "RowWidth",
    "Send",
    "ShortSizes",
    "Silent",
    "SmallFrames",
    "Step",
    "StrayEvent",
]
