"""The commands that a unit was sent: taken in order, carried out, answered together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from devices.simulator.push_block import MOST_COMMANDS, read_commands
from devices.simulator.push_dialer import MOST_KEPT, Dialer
from devices.simulator.push_faults import PushFault, PushFaults
from devices.simulator.push_lines import Scribe
from devices.simulator.push_orders import Orders, Then, told_as, verb_of
from devices.simulator.push_uploads import Uploads
from devices.simulator.state import TerminalState

FORBIDDEN: Final = frozenset({"SHELL", "PUTFILE", "GETFILE", "UPGRADE"})


@dataclass(frozen=True, slots=True)
class Carried:
    """A command and the code that was returned for it; None: nothing ever will be."""

    id: int
    text: str
    returned: int | None


class Desk:
    """Where commands come in. ``journal`` keeps what became of them, ``round`` of those of the current round."""

    def __init__(self, state: TerminalState, scribe: Scribe, dialer: Dialer, uploads: Uploads) -> None:
        self.journal: deque[Carried] = deque(maxlen=MOST_KEPT)
        self.forbidden: deque[str] = deque(maxlen=MOST_KEPT)
        self.round: list[Carried] = []
        self._state, self._scribe, self._dialer, self._uploads = state, scribe, dialer, uploads
        self._orders = Orders(state, uploads.diary, uploads.album, scribe, self._answer_query)
        self._todo: deque[tuple[int, str]] = deque(maxlen=MOST_COMMANDS)
        self._answers: deque[bytes] = deque(maxlen=MOST_KEPT)
        self._counts_told: tuple[int, ...] = ()

    def introduce(self) -> None:
        """The next request tells the counters, whether they changed or not."""
        self._counts_told = ()

    def forget(self) -> None:
        """What was not carried out yet never will be."""
        self._todo.clear()

    def ask(self) -> None:
        """A getrequest; raises NoAnswer, NotTaken."""
        counts = self._state.counts()
        told = counts.users, counts.templates, counts.punches, len(self._uploads.album.bios)
        params = {"INFO": self._info(told)} if told != self._counts_told else {}
        answer = self._dialer.get("getrequest", params)
        self._counts_told = told
        room = MOST_COMMANDS - len(self._todo)
        self._todo.extend(read_commands(answer.body.decode(self._scribe.code_page, "replace"))[:room])

    def _info(self, told: Sequence[int]) -> str:
        users, templates, punches, bios = told
        spec, address = self._state.spec, self._state.options.get("IPAddress", "")
        fields = (spec.firmware, users, templates, punches, address, spec.fp_version, 7, 15, bios, "111")
        return ",".join(str(field) for field in fields)

    def obey(self, faults: PushFaults) -> Then:
        """Carry out what there is, up to what makes the unit reload or reboot; raises NoAnswer, NotTaken."""
        if self._todo:
            self._uploads.diary.look()
        then: Then = ""
        while self._todo and not then:
            struck = faults.strike("order", self._todo[0][1])
            if all(fault.answers() for fault in struck):
                then = self._carry_out(*self._todo[0])
            else:
                then = self._keep_silent(struck)
        return then

    def _carry_out(self, number: int, text: str) -> Then:
        """The command is done once what it asked for was taken; until then it stays the next one."""
        if verb_of(text).upper() in FORBIDDEN:
            self.forbidden.append(text)
        reply = self._orders.carry_out(text)
        head = f"ID={number}&Return={reply.returned}&CMD={told_as(text)}"
        self._answers.append(self._scribe.body([head, *reply.told]))
        self._done(reply.returned)
        return reply.then

    def _keep_silent(self, struck: Sequence[PushFault]) -> Then:
        """The command was taken and is never answered; a reboot loses all that was to be answered."""
        self._done(None)
        if not any(fault.reboots() for fault in struck):
            return ""
        self._answers.clear()
        return "reboot"

    def _done(self, returned: int | None) -> None:
        carried = Carried(*self._todo.popleft(), returned)
        self.round.append(carried)
        self.journal.append(carried)

    def _answer_query(self, kind: str, lines: list[str]) -> None:
        self._uploads.answer_query(kind, lines, self._todo[0][0])

    def post_answers(self) -> None:
        """All of them in one post; what isn't taken is posted again."""
        answers = tuple(self._answers)
        if answers:
            self._dialer.post("devicecmd", {}, b"".join(answers))
            for _ in answers:
                self._answers.popleft()
