"""What changes a terminal itself: its clock, its log, whether it can be used, a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from devices import protocol
from devices.driver.errors import MayBeLockedError, NotKeptError, TerminalError, UnfitError, UnreachableError
from devices.driver.reading import Reading
from devices.driver.wire import Wire

# The protocol's count of years has two digits.
_FIRST_MOMENT: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - a terminal's clock knows no zone
_LAST_MOMENT: Final = datetime(2099, 12, 31, 23, 59, 59)  # noqa: DTZ001
_CLOCK_TOLERANCE: Final = timedelta(seconds=2)
# How long a session may take whose only purpose is to enable the unit, in timeouts.
_ENABLING: Final = 4


class Writing(Reading):
    """The part of a session that changes the unit itself."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._disabled = False

    def restart(self) -> None:
        """Restart the unit; the session is over. Many units leave without an answer."""
        try:
            self._wire.ask(protocol.CMD_RESTART, to="restart")
        except UnreachableError:
            return
        self._wire.drop()

    def set_clock(self, moment: datetime, *, tolerance: timedelta = _CLOCK_TOLERANCE) -> datetime:
        """Set the wall clock to the naive ``moment`` and return what it shows then.

        Raises UnfitError outside the years 2000 to 2099, NotKeptError when it then shows anything else.
        """
        if moment.tzinfo is not None or not _FIRST_MOMENT <= moment <= _LAST_MOMENT:
            raise UnfitError(f"A terminal's clock shows a local time of the years 2000 to 2099, not {moment}.")
        start = time.monotonic()
        self._wire.ask(protocol.CMD_SET_TIME, protocol.encode_time(moment).to_bytes(4, "little"), to="set its clock")
        shown = self.clock()
        latest = moment + timedelta(seconds=time.monotonic() - start) + tolerance
        if shown is None or not moment - tolerance <= shown <= latest:
            raise NotKeptError(f"{self._address} took {moment} for its clock, but shows {shown or 'no time'}.")
        return shown

    def clear_log(self) -> None:
        """Empty the punch log; for whoever has stored every row of it. Raises NotKeptError when it then holds any."""
        self._wire.ask(protocol.CMD_CLEAR_ATTLOG, to="clear its punch log")
        left = self.sizes().punches
        if left:
            raise NotKeptError(f"{self._address} said that its punch log is cleared, but counts {left} punches in it.")

    def enable(self) -> None:
        """Let the unit be used, whoever disabled it."""
        self._wire.ask(protocol.CMD_ENABLEDEVICE, to="be enabled")

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Nobody can use the unit meanwhile; it is enabled again whatever happens, by a new session if need be.

        Raises MayBeLockedError when that fails too. One within another does nothing.
        """
        if self._disabled:
            yield
            return
        self._wire.require_open()
        self._disabled = True
        try:
            self._wire.ask(protocol.CMD_DISABLEDEVICE, to="be disabled")
            yield
        finally:
            self._disabled = False
            self._enable()

    def _refresh(self) -> None:
        """What was written counts from here on."""
        self._wire.ask(protocol.CMD_REFRESHDATA, to="refresh its data")

    def _enable(self) -> None:
        try:
            self.enable()
        except TerminalError:
            self._wire.close()  # a unit has one session at a time, and this one is of no use any more
            self._enable_anew()

    def _enable_anew(self) -> None:
        """Once, in a short session of its own; also while this process stops."""
        brief = min(self._address.session_seconds, _ENABLING * self._address.timeout)
        wire = Wire(replace(self._address, session_seconds=brief), though_stopping=True)
        try:
            wire.connect()
            wire.ask(protocol.CMD_ENABLEDEVICE, to="be enabled")
        except TerminalError as error:
            raise MayBeLockedError(
                f"{self._address} was disabled and could not be enabled again: it may take no finger until it is"
                f" enabled or restarted. {error}"
            ) from error
        finally:
            wire.hang_up()
