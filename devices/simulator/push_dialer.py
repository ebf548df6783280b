"""A unit's requests, one after the other, with their faults and their journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import Final

from devices.simulator.push_faults import PushFaults
from devices.simulator.push_generation import Habits
from devices.simulator.push_wire import Answer, NoAnswer, Wire

MOST_KEPT: Final = 2_000
_ANSWER_KEPT: Final = 500


class NotTaken(Exception):  # noqa: N818 - a server's answer, not a defect
    """The server didn't take a post, or did not shake hands: the unit comes again later."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as it was made, the bytes of its body, and what came back; status 0: nothing."""

    method: str
    target: str
    sent: int
    status: int
    answer: bytes


class Dialer:
    """Makes the requests of the unit ``serial``. ``faults`` may be assigned at any time."""

    def __init__(self, serial: str, url: str, habits: Habits) -> None:
        self.faults = PushFaults()
        self.requests: deque[Exchange] = deque(maxlen=MOST_KEPT)
        self.round: list[Exchange] = []
        self.stop = Event()
        self._serial = serial
        self._wire = Wire(url, habits)

    def get(self, name: str, params: Mapping[str, str]) -> Answer:
        return self._request(name, params, None)

    def post(self, name: str, params: Mapping[str, str], body: bytes) -> Answer:
        return self._request(name, params, body)

    def post_table(self, table: str, body: bytes, stamp: str) -> None:
        """Lines of a table; only the events of 3.x have no stamp."""
        self.post("cdata", {"table": table} if table == "rtlog" else {"table": table, "Stamp": stamp}, body)

    def hang_up(self) -> None:
        """Make no further request and end the one that is going on, from another thread."""
        self.stop.set()
        self._wire.hang_up()

    def _request(self, name: str, params: Mapping[str, str], body: bytes | None) -> Answer:
        """Raises NoAnswer, and NotTaken for anything but 200."""
        if self.stop.is_set():
            raise NoAnswer("switched off", reached=True)
        target = self._wire.target(name, {"SN": self._serial, **params})
        faults = self.faults.strike("get" if body is None else "post", params.get("table", name))
        answer = Answer(0, "", b"")
        try:
            answer = self._wire.request(target, body, faults, self.stop)
        finally:
            self._note("GET" if body is None else "POST", target, len(body or b""), answer)
        if answer.status != 200:
            raise NotTaken(f"{name} was answered {answer.status}")
        return answer

    def _note(self, method: str, target: str, sent: int, answer: Answer) -> None:
        exchange = Exchange(method, target, sent, answer.status, answer.body[:_ANSWER_KEPT])
        self.round.append(exchange)
        self.requests.append(exchange)
