"""A unit that dials: the client of the PUSH protocol around the state of a terminal."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Final, Self

from devices.simulator.push_block import (
    Settings,
    read_settings,
    wall_time,
    wall_time_of_rttime,
)
from devices.simulator.push_desk import Carried, Desk
from devices.simulator.push_dialer import Dialer, Exchange, NotTaken
from devices.simulator.push_diary import Album
from devices.simulator.push_faults import PushFaults
from devices.simulator.push_generation import PUSH_2_4, Generation, Habits
from devices.simulator.push_lines import Scribe, SimBio
from devices.simulator.push_orders import facts
from devices.simulator.push_uploads import Uploads
from devices.simulator.push_wire import Answer, NoAnswer
from devices.simulator.state import TerminalState
from devices.simulator.terminal import SimulatedTerminal

_CLOCK_TOLERANCE: Final = timedelta(seconds=2)
_USUAL: Final = Habits()


@dataclass(frozen=True, slots=True)
class Round:
    """What happened in one round; ``error`` says why it was broken off."""

    exchanges: tuple[Exchange, ...]
    commands: tuple[Carried, ...]
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


class Pusher:
    """``with Pusher(state, "http://127.0.0.1:8097") as pusher:`` dials until the end, in a thread of its own.

    Without ``start()``, `step` makes one round. The unit remembers over ``stop()`` and ``start()`` how far its log was
    taken, and what its menu has to tell. ``faults`` may be assigned at any time; ``requests`` and ``commands`` are its
    journal, ``forbidden`` the commands that no honest server sends.
    """

    def __init__(
        self, state: TerminalState, url: str, *, generation: Generation = PUSH_2_4, habits: Habits = _USUAL
    ) -> None:
        self.state, self.generation, self.habits = state, generation, habits
        self.settings = Settings()
        self.reboots = 0
        self._dialer = Dialer(state.spec.serial, url, habits)
        self._scribe = Scribe(generation, habits.code_page or state.spec.encoding, habits.line_end)
        self._uploads = Uploads(state, self._scribe, self._dialer, habits.batch)
        self._desk = Desk(state, self._scribe, self._dialer, self._uploads)
        self._shaken = False
        self._in_round = Lock()
        self._wake = Event()
        self._thread: Thread | None = None
        state.watchers.append(self._wake.set)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def faults(self) -> PushFaults:
        return self._dialer.faults

    @faults.setter
    def faults(self, faults: PushFaults) -> None:
        self._dialer.faults = faults

    @property
    def requests(self) -> deque[Exchange]:
        return self._dialer.requests

    @property
    def commands(self) -> deque[Carried]:
        return self._desk.journal

    @property
    def forbidden(self) -> deque[str]:
        return self._desk.forbidden

    @property
    def album(self) -> Album:
        """Faces, palms, pictures and photos on the unit."""
        return self._uploads.album

    @property
    def acknowledged(self) -> int:
        """How many rows of the log were answered 200."""
        return self._uploads.acknowledged

    def caught_up(self) -> bool:
        """Whether the server took everything the log holds."""
        return self._uploads.caught_up()

    # Life

    def start(self) -> None:
        """Bring the unit onto the network: it shakes hands first. Nothing happens when it is there."""
        if self._thread is not None:
            return
        self._dialer.stop, self._shaken = Event(), False
        self._thread = Thread(target=self._live, name=f"{self.state.spec.serial}-push", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Begin to `stop`, without waiting for its end: many units leave at once."""
        self._dialer.hang_up()
        self._wake.set()

    def stop(self) -> None:
        """Take it off the network, in the middle of whatever it does."""
        self.leave()
        if self._thread is not None:
            self._thread.join(timeout=2 * self.habits.timeout)
            self._thread = None

    def step(self) -> Round:
        """One round: the handshake if it is due, what is to be told, a getrequest, its commands and their answers."""
        if self._thread is None:
            self._dialer.stop = Event()
        return self._round(heartbeat=True)

    def reboot(self, down_for: float = 0.0) -> None:
        """The unit restarts: commands that it has not carried out are forgotten, it will shake hands again."""
        self.reboots += 1
        self._shaken = False
        self._desk.forget()
        if isinstance(self.state, SimulatedTerminal):
            self.state.reboot(down_for)
        self.state.disabled = False
        self._wake.set()

    def take_photo(self, user_id: str, jpeg: bytes) -> None:
        """The camera takes a picture of who punches now."""
        self.album.photos.append((f"{self.state.now():%Y%m%d%H%M%S}-{user_id}.jpg", jpeg))
        self._wake.set()

    def present_bio(self, bio: SimBio) -> None:
        """Somebody enrols a face or a palm at the menu."""
        self.album.bios[bio.key] = bio
        self.album.untold.append(bio)
        self._wake.set()

    def _live(self) -> None:
        stop, due, upload_due = self._dialer.stop, 0.0, 0.0
        while not stop.is_set():
            self._wake.clear()
            now, boots = time.monotonic(), self.reboots
            heartbeat = now >= due or not self._shaken
            happened = self._round(heartbeat=heartbeat, upload=self.settings.realtime or now >= upload_due)
            if now >= upload_due:
                upload_due = now + self.settings.trans_interval * 60
            if heartbeat:
                due = time.monotonic() + _first(self.habits.delay, self.settings.delay)
            if self.reboots != boots:
                stop.wait(self.habits.reboot_seconds)
            elif not happened.ok:
                stop.wait(_first(self.habits.error_delay, self.settings.error_delay))
                due = upload_due = 0.0
            elif happened.commands or not self._shaken:
                due = 0.0  # there may be more
            elif not (self.settings.realtime and self._uploads.more()):
                self._wake.wait(max(0.0, due - time.monotonic()))

    # A round

    def _round(self, *, heartbeat: bool, upload: bool = True) -> Round:
        with self._in_round:
            self._dialer.round, self._desk.round, error = [], [], ""
            try:
                self._talk(heartbeat, upload)
            except NoAnswer as lost:
                self._shaken = self._shaken and lost.reached
                error = str(lost)
            except NotTaken as refused:
                error = str(refused)
            return Round(tuple(self._dialer.round), tuple(self._desk.round), error)

    def _talk(self, heartbeat: bool, upload: bool) -> None:
        """A server that doesn't take what it is told is asked for commands all the same."""
        if not self._shaken:
            self._shake_hands()
        refused = self._uploads.tell() if upload else None
        if heartbeat:
            if self.generation.access and not refused:
                self._uploads.tell_doors()
            self._desk.ask()
            self._obey()
        if refused:
            raise refused

    def _obey(self) -> None:
        """A reboot is answered first, if it can be; commands behind it are forgotten."""
        then = self._desk.obey(self.faults)
        self._shaken = self._shaken and not then
        try:
            self._desk.post_answers()
        finally:
            if then == "reboot":
                self.reboot(self.habits.reboot_seconds)

    def _shake_hands(self) -> None:
        habits, generation = self.habits, self.generation
        params = {"options": "all", "pushver": generation.pushver, "language": str(habits.language)}
        if habits.comm_key:
            params["pushcommkey"] = habits.comm_key
        if generation.access:
            params["DeviceType"] = "acc"
        answer = self._dialer.get("cdata", params)
        if generation.access:
            self._register()
        elif not answer.body.startswith(b"GET OPTION FROM:"):
            raise NotTaken("the server did not shake hands")
        else:
            self._take_settings(answer)
            self._set_clock(wall_time(answer.date, self.settings.time_zone))
        if generation.tells_options:
            self._dialer.post("cdata", {"table": "options"}, self._scribe.encode(",".join(self._facts())))
        self._desk.introduce()
        self._shaken = True

    def _register(self) -> None:
        told = ",".join(["DeviceType=acc", *self._facts()])
        answer = self._dialer.post("registry", {}, self._scribe.encode(told))
        if not answer.body.startswith(b"RegistryCode="):
            raise NotTaken("the server did not register the unit")
        self._take_settings(self._dialer.post("push", {}, b""))
        self._set_clock(wall_time_of_rttime(self._text(self._dialer.get("rtdata", {"type": "rttime"}))))

    def _facts(self) -> list[str]:
        return [f"{key}={value}" for key, value in facts(self.state).items()]

    def _take_settings(self, answer: Answer) -> None:
        self.settings = read_settings(self._text(answer))
        for table, key in self.generation.stamps.items():
            if self.settings.from_start(key):
                self._uploads.start_over(table)

    def _set_clock(self, told: datetime | None) -> None:
        """A difference below the resolution of what was told is none: the display would jump within a second."""
        if told is None:
            return
        if self.habits.sets_clock and abs(told - self.state.now()) >= _CLOCK_TOLERANCE:
            self.state.set_clock(told)
        for fault in self.faults.strike("clock"):
            self.state.shift_clock(timedelta(seconds=fault.clock_error()))

    def _text(self, answer: Answer) -> str:
        return answer.body.decode(self._scribe.code_page, "replace")


def _first(chosen: float | None, asked: float) -> float:
    return asked if chosen is None else chosen
