"""Remote control of running terminals: one JSON object a line in, one out.

    {"punch": {"serial": "SIM0001", "user_id": "1001"}}            optional: "at" (ISO, naive), "verify", "state"
    {"fault": {"serial": "SIM0001", "kind": "Silent", "command": 13, "nth": 1, "times": null}}
    {"heal":  {"serial": "SIM0001"}}                               takes all faults away
    {"clock": {"serial": "SIM0001", "shift_seconds": 3600}}
    {"reboot": {"serial": "SIM0001", "down_for": 2}}
    {"state": {"serial": "SIM0001"}}                               counts, ledger, commands received
    {"people": {"serial": "SIM0001"}}                              everybody, fingers by index as their SHA-256

Of a terminal that dials, ``state`` also tells how many rows of its log were ``acknowledged``, whether it is
``caught_up``, and the commands that it was sent by PUSH with what it returned; ``heal`` and ``reboot`` mean both:

    {"push_fault": {"serial": "SIM0001", "kind": "LostAnswer", "on": "ATTLOG", "nth": 1, "times": 1}}

At the unit's own menu, like somebody who stands there:

    {"put": {"serial": "SIM0001", "user_id": "1001", "name": "Ann", "card": 7, "disabled": false}}    what is to change
    {"enrol": {"serial": "SIM0001", "user_id": "1001", "finger": 6}}                optional: "data" (base64), "duress"
    {"delete_finger": {"serial": "SIM0001", "user_id": "1001", "finger": 6}}
    {"delete_person": {"serial": "SIM0001", "user_id": "1001"}}

A fault's further fields are those of its class in `devices.simulator.faults`, or `devices.simulator.push_faults`; it
joins the faults already there.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from devices.simulator.faults import KINDS, Faults
from devices.simulator.push_faults import PUSH_KINDS, PushFaults
from devices.simulator.pusher import Pusher
from devices.simulator.state import Refused
from devices.simulator.terminal import SimulatedTerminal

Arguments = dict[str, Any]
Answer = dict[str, Any]


class Control:
    """Carries out control lines on the terminals it was given."""

    def __init__(self, terminals: Mapping[str, SimulatedTerminal], pushers: Mapping[str, Pusher] | None = None) -> None:
        self._terminals = terminals
        self._pushers = pushers or {}

    def answer(self, line: str) -> str:
        """The JSON answer to a control line: ``{"ok": true, …}`` or ``{"ok": false, "error": …}``."""
        try:
            return json.dumps({"ok": True, **self._carry_out(json.loads(line))})
        except (Refused, KeyError, TypeError, ValueError, AttributeError) as error:
            return json.dumps({"ok": False, "error": f"{type(error).__name__}: {error}"})

    def _carry_out(self, order: dict[str, Arguments]) -> Answer:
        ((verb, arguments),) = order.items()
        terminal = self._terminals[arguments.pop("serial")]
        return _VERBS[verb](self, terminal, arguments)

    def punch(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        at = arguments.pop("at", None)
        punch = terminal.punch(**arguments, at=datetime.fromisoformat(at) if at else None)
        return {"punched": punch is not None, "at": punch.time.isoformat() if punch else None}

    def fault(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        kind = KINDS[arguments.pop("kind")]
        terminal.faults.add(kind(**arguments))
        return {}

    def push_fault(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        kind = PUSH_KINDS[arguments.pop("kind")]
        self._pushers[terminal.spec.serial].faults.add(kind(**arguments))
        return {}

    def heal(self, terminal: SimulatedTerminal, _arguments: Arguments) -> Answer:
        terminal.faults = Faults()
        pusher = self._pushers.get(terminal.spec.serial)
        if pusher is not None:
            pusher.faults = PushFaults()
        return {}

    def clock(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        terminal.shift_clock(timedelta(seconds=arguments["shift_seconds"]))
        return {"now": terminal.now().isoformat()}

    def reboot(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        unit = self._pushers.get(terminal.spec.serial, terminal)
        unit.reboot(float(arguments.get("down_for", 0)))
        return {"reboots": terminal.reboots}

    def people(self, terminal: SimulatedTerminal, _arguments: Arguments) -> Answer:
        fingers: dict[int, dict[str, str]] = {}
        for held in terminal.templates():
            fingers.setdefault(held.uid, {})[str(held.finger)] = sha256(held.data).hexdigest()
        return {"people": [{**asdict(user), "fingers": fingers.get(user.uid, {})} for user in terminal.users()]}

    def put(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        return {"uid": terminal.menu.put(**arguments).uid}

    def enrol(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        data = b64decode(arguments.pop("data", ""), validate=True)
        return {"size": len(terminal.menu.enrol(**arguments, data=data).data)}

    def delete_finger(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        terminal.menu.delete_finger(**arguments)
        return {}

    def delete_person(self, terminal: SimulatedTerminal, arguments: Arguments) -> Answer:
        terminal.menu.delete_person(**arguments)
        return {}

    def state(self, terminal: SimulatedTerminal, _arguments: Arguments) -> Answer:
        counts = terminal.counts()
        return {
            "users": counts.users,
            "templates": counts.templates,
            "punches": counts.punches,
            "disabled": terminal.disabled,
            "reboots": terminal.reboots,
            "clearings": [clearing.command for clearing in terminal.clearings],
            "commands": terminal.commands(),
            "now": terminal.now().isoformat(),
            "ledger": [[punch.user_id, punch.time.isoformat()] for punch in terminal.ledger()],
            **self._push_state(terminal.spec.serial),
        }

    def _push_state(self, serial: str) -> Answer:
        pusher = self._pushers.get(serial)
        if pusher is None:
            return {}
        carried = [[done.id, done.text, done.returned] for done in tuple(pusher.commands)]
        return {"acknowledged": pusher.acknowledged, "caught_up": pusher.caught_up(), "push_commands": carried}


_VERBS: Final[dict[str, Callable[[Control, SimulatedTerminal, Arguments], Answer]]] = {
    "punch": Control.punch,
    "fault": Control.fault,
    "push_fault": Control.push_fault,
    "heal": Control.heal,
    "clock": Control.clock,
    "reboot": Control.reboot,
    "state": Control.state,
    "people": Control.people,
    "put": Control.put,
    "enrol": Control.enrol,
    "delete_finger": Control.delete_finger,
    "delete_person": Control.delete_person,
}
