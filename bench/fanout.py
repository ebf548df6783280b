"""A thousand people on twenty terminals: planning a change for all of them, and bringing them to a new unit."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from functools import partial

from django.db.models.functions import Now

from bench.measure import Row, best_of, stopwatch
from devices import protocol
from devices.domain.dialling import dial
from devices.domain.sync import sync_device
from devices.driver.templates import encode_upload
from devices.driver.users import shown_name
from devices.models import Device, SyncRun
from devices.simulator import SimulatedTerminal, TerminalSpec
from iclock.domain import placements
from iclock.domain.kept import Held
from iclock.domain.wanted import Room, wanted_on
from iclock.models import Biodata, SyncMark, Terminal
from personnel.domain.people import adjust_areas
from personnel.models import Area, Department, Employee

PEOPLE, TERMINALS, MOVED = 1_000, 20, 100
TEMPLATE_BYTES = 1_200
VERSION = "10"
_WIDTH = 72
_MOST_VISITS = 20
# What an upload needs besides its pieces: a session, a unit that waits, room, and that what came counts.
_AROUND = (
    protocol.CMD_CONNECT,
    protocol.CMD_DISABLEDEVICE,
    protocol.CMD_FREE_DATA,
    protocol.CMD_PREPARE_DATA,
    protocol.CMD_SAVE_USERTEMPS,
    protocol.CMD_REFRESHDATA,
    protocol.CMD_ENABLEDEVICE,
    protocol.CMD_EXIT,
)
_ROOM = Room(partial(shown_name, width=_WIDTH, encoding="UTF-8"))


def run() -> list[Row]:
    here, elsewhere = _areas()
    people = _people(here)
    bare = _first_export(here, fingers=False)
    _enrol(people)
    with_fingers = _first_export(here, fingers=True)
    terminals = _terminals(here)
    unchanged = best_of({"plans": lambda: _plan(terminals, intents=0)})["plans"]
    adjust_areas([person.pk for person in people[:MOVED]], [elsewhere])
    moved = best_of({"plans": lambda: _plan(terminals, intents=MOVED)})["plans"]
    return [
        Row(f"{TERMINALS} plans of {PEOPLE} people, nothing to do", unchanged, "s"),
        Row(f"the same, {MOVED} of them moved to another area", moved, "s", at_most=1.0),
        Row("first export to a unit without fingers, of the bare upload", bare, at_most=1.5),
        Row("with a finger each, of the bare upload", with_fingers, at_most=1.5),
    ]


def _areas() -> tuple[Area, Area]:
    here, elsewhere = (
        Area.objects.get_or_create(area_code=f"fanout{number}", defaults={"area_name": f"Fan-out {number}"})[0]
        for number in range(2)
    )
    Terminal.objects.filter(area=here).delete()
    return here, elsewhere


def _people(area: Area) -> list[Employee]:
    """Each with a card and a password."""
    Employee.objects.filter(emp_code__startswith="77").delete()
    department, _ = Department.objects.get_or_create(dept_code="fanout", defaults={"dept_name": "Fan-out"})
    people = [
        Employee(
            emp_code=f"77{number:04}",
            first_name=f"First {number}",
            last_name=f"Last {number}",
            department=department,
            card_no=str(7_700_000 + number),
        )
        for number in range(PEOPLE)
    ]
    for number, person in enumerate(people):
        person.device_password = str(100_000 + number)
    Employee.objects.bulk_create(people)
    lives = Employee.areas.through
    lives.objects.bulk_create(lives(employee=person, area=area) for person in people)
    return people


def _enrol(people: Iterable[Employee]) -> None:
    fingers = []
    for person in people:
        finger = Biodata(employee=person, bio_type=Biodata.Type.FINGERPRINT, bio_no=1, major_ver=VERSION)
        finger.template = os.urandom(TEMPLATE_BYTES - 1) + b"\1"
        fingers.append(finger)
    Biodata.objects.bulk_create(fingers)


def _terminals(area: Area) -> list[Terminal]:
    """They hold everybody, as after an export."""
    terminals = []
    for number in range(TERMINALS):
        terminal = Terminal.objects.create(sn=f"FANOUT{number}", alias=f"F{number}", area=area, fp_version=VERSION)
        wanted = wanted_on(terminal, _ROOM).people
        held = {code: Held(uid, person.fields) for uid, (code, person) in enumerate(wanted.items(), start=1)}
        fingers = {code: person.fingers or {} for code, person in wanted.items()}
        placements.note_held(terminal, held, fingers=fingers, remarks={}, room=_ROOM)
        SyncMark.objects.create(terminal=terminal, wanted_at=Now(), compared_at=Now())
        terminals.append(terminal)
    return terminals


def _plan(terminals: Iterable[Terminal], *, intents: int) -> float:
    with stopwatch() as elapsed:
        counts = [len(placements.plan_for(terminal, _ROOM)) for terminal in terminals]
    if set(counts) != {intents}:
        raise RuntimeError(f"{intents} intents were expected at each terminal: {counts}")
    return elapsed()


def _first_export(area: Area, *, fingers: bool) -> float:
    """The requests of the conversations about people, of those that uploading the same people at once takes."""
    spec = TerminalSpec(serial=f"EXPORT{fingers:d}", user_width=_WIDTH, fp_version=VERSION)
    with SimulatedTerminal(spec) as unit:
        terminal = Terminal.objects.create(sn=spec.serial, alias=spec.serial, area=area)
        device = Device.objects.create(key=spec.serial.lower(), name=spec.serial, host=unit.host, port=unit.port)
        _export(device)
        requests = _conversations_about_people(unit.commands())
        needed = _needed(device, fingers=PEOPLE if fingers else 0)
        device.delete()
        terminal.delete()
    return requests / needed


def _export(device: Device) -> None:
    for _ in range(_MOST_VISITS):
        run = sync_device(device.pk, trigger=SyncRun.Trigger.COMMAND)
        if run is None or run.outcome == SyncRun.Outcome.FAILED:
            raise RuntimeError(run.error if run else "the device is busy")
        if not SyncMark.objects.pending().filter(terminal__device=device).exists():
            return
    raise RuntimeError(f"after {_MOST_VISITS} visits there is still something to do")


def _needed(device: Device, *, fingers: int) -> int:
    """The requests of one upload of all that the unit holds now, and what has to stand around it."""
    with dial(device) as session:
        sizes = session.sizes()
        if (sizes.users, sizes.fingers) != (PEOPLE, fingers):
            raise RuntimeError(f"the unit holds {sizes.users} people and {sizes.fingers} fingers")
        users, templates = session.users(), session.templates().templates if fingers else []
    enrolled = {template.uid: {template.finger: template.data} for template in templates}
    upload = encode_upload((user.raw, enrolled.get(user.uid, {})) for user in users)
    return len(_AROUND) + math.ceil(len(upload) / protocol.UPLOAD_CHUNK)


def _conversations_about_people(commands: Sequence[int]) -> int:
    """The first conversation of a visit is about its punches."""
    beginnings = [place for place, command in enumerate(commands) if command == protocol.CMD_CONNECT]
    return len(commands) - beginnings[1]
