"""What a handler of commands is: a session and the command's data in, the parts of the answer out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from devices import protocol as p

if TYPE_CHECKING:
    from devices.simulator.session import Session

Part = tuple[int, bytes]
Handler = Callable[["Session", bytes], list[Part]]

OK: Final[list[Part]] = [(p.CMD_ACK_OK, b"")]
ERROR: Final[list[Part]] = [(p.CMD_ACK_ERROR, b"")]
UNAUTHORISED: Final[list[Part]] = [(p.CMD_ACK_UNAUTH, b"")]
UNKNOWN: Final[list[Part]] = [(p.CMD_ACK_UNKNOWN, b"")]
