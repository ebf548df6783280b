"""The resources of the API as the general rules see them: where they are, what makes a row, and what changes one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.utils import timezone

from iclock.models import Alarm, Biodata, Terminal, TerminalCommand, Transaction
from personnel.models import Area, Department, Employee, Position, Resignation

Body = dict[str, Any]


def write_department(number: int) -> int:
    return Department.objects.create(dept_code=f"D{number}", dept_name=f"Department {number}").pk


def write_area(number: int) -> int:
    return Area.objects.create(area_code=f"A{number}", area_name=f"Area {number}").pk


def write_position(number: int) -> int:
    return Position.objects.create(position_code=f"P{number}", position_name=f"Position {number}").pk


def write_employee(number: int) -> int:
    person = Employee.objects.create(emp_code=f"E{number}", first_name=f"First {number}", department_id=1)
    person.areas.set([1])
    return person.pk


def write_resignation(number: int) -> int:
    day = dt.date(2024, 6, 26)
    person = write_employee(1000 + number)
    return Resignation.objects.create(employee_id=person, resign_date=day, resign_type=1).pk


def write_terminal(number: int) -> int:
    address = f"10.0.{number // 250}.{number % 250}"
    return Terminal.objects.create(sn=f"SN{number}", alias=f"Door {number}", ip_address=address).pk


def write_command(number: int) -> int:
    return TerminalCommand.objects.create(terminal_id=write_terminal(1000 + number), kind="reboot").pk


def write_alarm(number: int) -> int:
    terminal = write_terminal(2000 + number)
    return Alarm.objects.create(terminal_id=terminal, kind="away", sentence="Gone.", opened_at=timezone.now()).pk


def write_biodata(number: int) -> int:
    finger = Biodata(employee_id=write_employee(3000 + number), bio_type=1, bio_no=6, major_ver="10")
    finger.template = b"ridges"
    finger.save()
    return finger.pk


def write_transaction(number: int) -> int:
    at = dt.datetime(2024, 6, 26, 8, 0, tzinfo=dt.UTC) + dt.timedelta(minutes=number)
    columns = {"utc_offset": 0, "punch_state": 0, "verify_type": 1, "source": 1, "is_attendance": True}
    times = {"punch_time": at.replace(tzinfo=None), "punched_at": at, "upload_time": at}
    return Transaction.objects.create(terminal_sn="SN1", emp_code=f"E{number}", **times, **columns).pk


@dataclass(frozen=True)
class Resource:
    """``write`` puts row number n into the database; ``body`` makes row number n over the API."""

    path: str
    write: Callable[[int], int]
    body: Callable[[int], Body] | None = None
    change: tuple[str, Any] = ("", None)
    required: tuple[str, ...] = ()
    seeded: int = 0

    def rows(self, count: int) -> list[int]:
        """So many rows in all, those of a new installation included; the ids of the new ones."""
        return [self.write(number) for number in range(1, count - self.seeded + 1)]


def _resignation_body(number: int) -> Body:
    person = write_employee(2000 + number)
    return {"employee": person, "resign_date": "2024-06-26", "resign_type": 1, "disableatt": True}


RESOURCES: Final = {
    "departments": Resource(
        "/personnel/api/departments/",
        write_department,
        lambda n: {"dept_code": f"new {n}", "dept_name": f"Department {n}"},
        ("dept_name", "Renamed"),
        ("dept_code", "dept_name"),
        seeded=1,
    ),
    "areas": Resource(
        "/personnel/api/areas/",
        write_area,
        lambda n: {"area_code": f"new {n}", "area_name": f"Area {n}"},
        ("area_name", "Renamed"),
        ("area_code", "area_name"),
        seeded=1,
    ),
    "positions": Resource(
        "/personnel/api/positions/",
        write_position,
        lambda n: {"position_code": f"new {n}", "position_name": f"Position {n}"},
        ("position_name", "Renamed"),
        ("position_code", "position_name"),
        seeded=1,
    ),
    "employees": Resource(
        "/personnel/api/employees/",
        write_employee,
        lambda n: {"emp_code": f"new {n}", "department": 1, "area": [1]},
        ("first_name", "Renamed"),
        ("emp_code", "department", "area"),
    ),
    "resigns": Resource(
        "/personnel/api/resigns/",
        write_resignation,
        _resignation_body,
        ("reason", "Moved away"),
        ("employee", "resign_date"),
    ),
    "terminals": Resource(
        "/iclock/api/terminals/",
        write_terminal,
        lambda n: {"sn": f"NEW{n}", "alias": f"Gate {n}", "ip_address": f"10.1.0.{n}"},
        ("alias", "Renamed"),
        ("sn", "alias"),
    ),
    "commands": Resource("/iclock/api/commands/", write_command),
    "alarms": Resource("/iclock/api/alarms/", write_alarm),
    "biodatas": Resource("/iclock/api/biodatas/", write_biodata),
    "transactions": Resource("/iclock/api/transactions/", write_transaction),
}
WRITABLE: Final = [name for name, resource in RESOURCES.items() if resource.body]
