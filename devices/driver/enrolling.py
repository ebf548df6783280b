"""Enrolling a finger at the terminal: the person puts it on the sensor three times, the terminal tells how it goes."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from devices import protocol
from devices.driver.templates import require_finger
from devices.driver.uploading import Uploading
from devices.driver.users import find_user

EVENT_ENROLLED: Final = 8
EVENT_SCANNED: Final = 256
_EVENTS: Final = EVENT_ENROLLED | EVENT_SCANNED
_GOOD_SCAN: Final = b"\x64\0"
# How often whoever waits for a finger looks whether it is still wanted, however much the unit tells meanwhile.
_LOOK: Final = 1.0
_RESULT: Final = struct.Struct("<HH")
_RESULTS: Final[dict[int, EnrolmentOutcome]] = {0: "enrolled", 4: "failed", 5: "duplicate", 6: "cancelled"}

EnrolmentOutcome = Literal["enrolled", "failed", "duplicate", "cancelled", "timeout"]


class Progress(NamedTuple):
    """How an enrolment stands: ``scans`` good ones of 3; ``outcome`` is None until the last one.

    "timeout" is ours, the terminal's own is "failed". ``size`` are the new template's bytes.
    """

    scans: int
    outcome: EnrolmentOutcome | None = None
    size: int = 0


class Enrolling(Uploading):
    """The part of a session that has fingers enrolled."""

    def start_enrolment(self, user_id: str, finger: int) -> None:
        """Have the terminal ask for ``finger`` (0 to 9); returns at once, when it does.

        Who wants to know how it goes on asks `enrolment_progress`; who leaves, leaves it to the person and the
        terminal. Raises UnfitError, UnknownUserError and RefusedError.
        """
        require_finger(finger)
        find_user(self.users(), user_id)
        self._wire.tell(protocol.CMD_CANCELCAPTURE)
        self._wire.ask(protocol.CMD_REG_EVENT, _EVENTS.to_bytes(4, "little"), to="tell of enrolments")
        self._wire.listen(True)
        to = f"enrol finger {finger} of user {user_id}"
        self._wire.ask(protocol.CMD_STARTENROLL, self._enrolment_of(user_id, finger), to=to)

    def enrolment_progress(
        self, seconds: float = 60.0, *, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[Progress]:
        """How the enrolment goes that was just started; the last one has an outcome.

        Whoever isn't done within ``seconds`` is cancelled, and so is whoever is not wanted any more: ``cancelled`` is
        asked every second.
        """
        until = time.monotonic() + seconds
        look = min(until, time.monotonic() + _LOOK)
        progress = Progress(0)
        while progress.outcome is None:
            event = self._wire.next_event(max(0.0, look - time.monotonic()))
            if event is not None:
                progress = _advanced(progress, *event)
                yield progress
            if progress.outcome is None and (now := time.monotonic()) >= look:
                look = min(until, now + _LOOK)
                if (unwanted := cancelled()) or now >= until:
                    self._wire.tell(protocol.CMD_CANCELCAPTURE)
                    progress = progress._replace(outcome="cancelled" if unwanted else "timeout")
                    yield progress
        self._stop_listening()

    def cancel_enrolment(self) -> None:
        """End an enrolment, whoever started it. Raises RefusedError."""
        self._wire.ask(protocol.CMD_CANCELCAPTURE, to="cancel the enrolment")

    def _enrolment_of(self, user_id: str, finger: int) -> bytes:
        """Units that speak UDP alone know numbers alone."""
        if self._address.udp and user_id.isdecimal():
            return int(user_id).to_bytes(4, "little") + bytes((finger,))
        return user_id.encode().ljust(24, b"\0") + bytes((finger, 1))

    def _stop_listening(self) -> None:
        self._wire.listen(False)
        self._wire.tell(protocol.CMD_REG_EVENT, bytes(4))
        self._wire.tell(protocol.CMD_STARTVERIFY)


def _advanced(progress: Progress, code: int, data: bytes) -> Progress:
    """Where an event brings the enrolment; a result that nobody knows is no success."""
    if code == EVENT_SCANNED and data[:2] == _GOOD_SCAN:
        return progress._replace(scans=progress.scans + 1)
    if code == EVENT_ENROLLED and len(data) >= _RESULT.size:
        result, size = _RESULT.unpack_from(data)
        return progress._replace(outcome=_RESULTS.get(result, "failed"), size=0 if result else size)
    return progress
