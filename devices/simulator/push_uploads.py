"""What a unit tells by itself: punches, what happened at its menu, faces, photos; each until it was answered 200."""

from __future__ import annotations

from typing import Final

from devices.simulator.push_dialer import Dialer, NotTaken
from devices.simulator.push_diary import Album, Diary
from devices.simulator.push_generation import Generation
from devices.simulator.push_lines import Scribe
from devices.simulator.state import TerminalState

MOST_BATCHES: Final = 100
_OPERLOG_BATCH: Final = 200  # a finger's line has a kilobyte


class Uploads:
    """How far the log of ``state`` was taken, and the posts that bring the rest; ``batch`` lines each at most."""

    def __init__(self, state: TerminalState, scribe: Scribe, dialer: Dialer, batch: int) -> None:
        self.diary = Diary(state)
        self.album = Album()
        self.acknowledged = 0
        self._state, self._scribe, self._dialer, self._batch = state, scribe, dialer, batch
        self._position = self._furthest = 0

    @property
    def _generation(self) -> Generation:
        return self._scribe.generation

    def caught_up(self) -> bool:
        """Whether the server took everything the log holds."""
        return not self._state.punches_after(self._position, 1)[1]

    def more(self) -> bool:
        """Whether something known is left to tell."""
        return bool(self.diary.entries) or not self.caught_up()

    def start_over(self, table: str) -> None:
        """The server wants everything of this table again."""
        if table == "ATTLOG":
            self._position = 0
        elif table == "OPERLOG":
            self.diary.forget()
        else:
            self.album.untold.clear()
            self.album.untold.extend(self.album.bios.values())

    def tell(self) -> NotTaken | None:
        """Tell everything, in order; what the server doesn't take, and what is behind it, stays. Raises NoAnswer."""
        try:
            self._tell_punches()
            self._tell_operations()
            self._tell_album()
        except NotTaken as refused:
            return refused
        return None

    def _tell_punches(self) -> None:
        for _ in range(MOST_BATCHES):
            start, punches = self._state.punches_after(self._position, self._batch)
            if not punches:
                return
            lines = [self._scribe.punch(punch, start + place) for place, punch in enumerate(punches)]
            extra = b"".join(fault.extra() for fault in self._dialer.faults.strike("punches"))
            body = extra + self._scribe.body(lines)
            self._dialer.post_table(self._generation.punch_table, body, self._scribe.stamp(punches[-1].time))
            self._position = start + len(punches)
            self.acknowledged += max(0, self._position - max(start, self._furthest))
            self._furthest = max(self._furthest, self._position)

    def _tell_operations(self) -> None:
        self.diary.look()
        for _ in range(MOST_BATCHES):
            count, lines = self.diary.lines(self._scribe, min(self._batch, _OPERLOG_BATCH))
            if not count:
                return
            if lines:
                stamp = self._scribe.stamp(self._state.now())
                self._dialer.post_table("OPERLOG", self._scribe.body(lines), stamp)
            self.diary.told(count)

    def _tell_album(self) -> None:
        while self.album.untold and self._generation.biodata:
            bio = self.album.untold[0]
            self._dialer.post_table("BIODATA", self._scribe.body([self._scribe.bio(bio)]), "9999")
            self.album.untold.popleft()
        while self.album.photos:
            name, jpeg = self.album.photos[0]
            photo = self._scribe.photo(self._state.spec.serial, name, jpeg)
            self._dialer.post_table("ATTPHOTO", photo, "9999")
            self.album.photos.popleft()

    def tell_doors(self) -> None:
        """A 3.x unit tells with each heartbeat how its door is."""
        moment = self._state.now()
        line = f"time={moment}\tsensor=00\trelay=00\talarm=0000000000000000\tdoor=00"
        self._dialer.post("cdata", {"table": "rtstate"}, self._scribe.body([line]))

    def answer_query(self, kind: str, lines: list[str], command_id: int) -> None:
        """What a command asked for, batch by batch; 3.x has a request of its own for its tables."""
        size = self._batch if kind in ("ATTLOG", "transaction") else min(self._batch, _OPERLOG_BATCH)
        batches = [lines[start : start + size] for start in range(0, len(lines), size)]
        for number, batch in enumerate(batches, 1):
            body = self._scribe.body(batch)
            if not self._generation.access:
                self._dialer.post_table(kind, body, "9999")
                continue
            packet = {"packcnt": str(len(batches)), "packidx": str(number), "cmdid": str(command_id)}
            name = {"type": "tabledata", "tablename": kind.lower(), "count": str(len(batch))}
            self._dialer.post("querydata", {**name, **packet}, body)
