"""Run as a program at a demo's start: enters the simulated terminals, and at the first one the people who punch there.

Its argument is ``prepare`` before they start; then the list of those that are polled as JSON, each with its serial
number, host, port and comm key.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

import django
from django.db.models import Q

if __name__ == "__main__":
    django.setup()  # models can be imported after it alone

from devices.domain.memory import FORGOTTEN
from devices.domain.registry import AlreadyRegisteredError, change_device, normalise_key, register_device
from devices.models import Device
from devices.simulator.people import hire
from devices.simulator.spec import SimUser
from iclock.domain.terminals import approve_terminals
from iclock.models import Terminal
from personnel.domain.importing import Line, import_employees
from personnel.models import Area
from zkbio.accounts.domain.audit import record
from zkbio.launcher.roles import DEMO_DIALLING, DEMO_PEOPLE, DEMO_SEED

PLACES: Final = ("Main entrance", "Warehouse", "Office")
DIALLING_PLACE: Final = "Canteen"
LOOPBACK: Final = "127.0.0.1"
READ_SECONDS: Final = 10  # often enough to watch punches arrive
AREA: Final = "demo"
AREA_NAMED: Final = {"area_name": "Demo"}


def main() -> int:
    if sys.argv[1] == "prepare":
        forget_logs()
        enter_people(hire(DEMO_PEOPLE, seed=DEMO_SEED))
        enter_dialling()
        return 0
    for place, terminal in zip(PLACES, json.loads(sys.argv[1]), strict=True):
        enter_terminal(place, terminal)
    return 0


def forget_logs() -> None:
    """Each start's units begin with new logs, which nobody cleared."""
    Device.objects.filter(key__in=[normalise_key(place) for place in PLACES]).update(**FORGOTTEN)


def enter_dialling() -> None:
    """Let the terminal in before it calls. Where earlier releases dialled it, nobody answers any more."""
    never_answered = Q(key=normalise_key(DIALLING_PLACE), host=LOOPBACK, terminal=None)
    for device in Device.objects.filter(Q(terminal__sn=DEMO_DIALLING) | never_answered):
        record(actor="demo", action="devices.remove", subject=str(device), detail={"id": device.key})
        device.delete()
    terminal = hang_terminal(DIALLING_PLACE, DEMO_DIALLING)
    if terminal.admission == Terminal.Admission.PENDING:
        approve_terminals([terminal], actor="demo")


def enter_terminal(place: str, terminal: dict[str, Any]) -> None:
    """Hang it where the demo's people are; register it, or lead the place's device to the port it has this time."""
    hang_terminal(place, terminal["serial"])
    address = {name: terminal[name] for name in ("host", "port", "comm_key")}
    known = Device.objects.filter(key=normalise_key(place)).first()
    try:
        if known is None:
            register_device(key=place, name=f"Demo {place}", interval=READ_SECONDS, **address)
        elif (known.host, known.port) != (terminal["host"], terminal["port"]):
            change_device(known.pk, **address)
    except AlreadyRegisteredError as error:
        print(f"{error.there.host} port {error.there.port} stays {error.there.key}.")


def hang_terminal(place: str, serial: str) -> Terminal:
    area, _is_new = Area.objects.get_or_create(area_code=AREA, defaults=AREA_NAMED)
    defaults = {"alias": f"Demo {place}", "area": area}
    return Terminal.objects.get_or_create(sn=serial, defaults=defaults)[0]


def enter_people(people: Iterable[SimUser]) -> None:
    """Once, into an area of their own: whoever is deleted stays so."""
    _area, is_new = Area.objects.get_or_create(area_code=AREA, defaults=AREA_NAMED)
    if is_new:
        lines = [Line(number, _cells(person)) for number, person in enumerate(people, start=1)]
        import_employees(lines, skip_bad=True)


def _cells(person: SimUser) -> dict[str, str]:
    first, _, last = person.name.partition(" ")
    return {"emp_code": person.user_id, "first_name": first, "last_name": last, "department": "1", "area": AREA}


if __name__ == "__main__":
    sys.exit(main())
