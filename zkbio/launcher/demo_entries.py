"""Run as a program at a demo's start: enters the simulated terminals, and at the first one the people who punch there.

Its argument is the list of terminals as JSON, each with its host, port and comm key.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

import django

if __name__ == "__main__":
    django.setup()  # models can be imported after it alone

from devices.domain.registry import AlreadyRegisteredError, change_device, normalise_key, register_device
from devices.models import Device
from devices.simulator.people import hire
from devices.simulator.spec import SimUser
from personnel.domain.importing import Line, import_employees
from personnel.models import Area
from zkbio.launcher.roles import DEMO_PEOPLE, DEMO_SEED

PLACES: Final = ("Main entrance", "Warehouse", "Office", "Canteen")
READ_SECONDS: Final = 10  # often enough to watch punches arrive
AREA: Final = "demo"


def main() -> int:
    for place, terminal in zip(PLACES, json.loads(sys.argv[1]), strict=True):
        enter_terminal(place, terminal)
    enter_people(hire(DEMO_PEOPLE, seed=DEMO_SEED))
    return 0


def enter_terminal(place: str, terminal: dict[str, Any]) -> None:
    """Register it, or lead the place's device to the port that it has this time."""
    address = {name: terminal[name] for name in ("host", "port", "comm_key")}
    known = Device.objects.filter(key=normalise_key(place)).first()
    try:
        if known is None:
            register_device(key=place, name=f"Demo {place}", interval=READ_SECONDS, **address)
        elif (known.host, known.port) != (terminal["host"], terminal["port"]):
            change_device(known.pk, **address)
    except AlreadyRegisteredError as error:
        print(f"{error.there.host} port {error.there.port} stays {error.there.key}.")


def enter_people(people: Iterable[SimUser]) -> None:
    """Once, into an area of their own: whoever is deleted stays so."""
    _area, is_new = Area.objects.get_or_create(area_code=AREA, defaults={"area_name": "Demo"})
    if is_new:
        lines = [Line(number, _cells(person)) for number, person in enumerate(people, start=1)]
        import_employees(lines, skip_bad=True)


def _cells(person: SimUser) -> dict[str, str]:
    first, _, last = person.name.partition(" ")
    return {"emp_code": person.user_id, "first_name": first, "last_name": last, "department": "1", "area": AREA}


if __name__ == "__main__":
    sys.exit(main())
