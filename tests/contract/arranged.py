"""The data behind each example: rows such that the printed values come out, ids included."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final

from django.db import connection

from iclock.models import Terminal, TerminalPresence, Transaction
from personnel.models import Area, AttributeDefinition, Department, Employee, Position

ATTRIBUTES: Final = ("CNIC", "Passport", "conge", "Primary Job", "NIN", "mohamed", "FP")


def next_id(table: str, number: int) -> None:
    """The next row of that table gets this id."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [table, number])


def nothing() -> None:
    """A new installation: department 1, area 1 and position 1."""


def zkteco() -> Area:
    """Area 2 below area 1, whose code is printed with a space."""
    Area.objects.filter(id=1).update(area_code=" 1")
    return Area.objects.create(id=2, area_code="2", area_name="ZKTeco", parent_area_id=1)


def custom_attributes() -> None:
    for name in ATTRIBUTES:
        AttributeDefinition.objects.create(name=name)


def employee(**columns: Any) -> Employee:
    custom_attributes()
    area = columns.pop("area")
    updated = columns.pop("update_time")
    person = Employee.objects.create(department_id=1, **columns)
    person.areas.set([area])
    Employee.objects.filter(id=person.id).update(update_time=updated)
    return person


def harry() -> None:
    empty = ("nickname", "contact_tel", "mobile", "national", "city", "address", "postcode", "email", "religion")
    employee(
        id=1,
        emp_code="1",
        first_name="Harry",
        last_name="Potter",
        hire_date=date(2018, 6, 26),
        verify_mode=0,
        fingerprint="Ver 10:1",
        update_time=datetime(2024, 6, 26, 17, 16, 9, tzinfo=UTC),
        area=zkteco(),
        **dict.fromkeys(empty, ""),
    )


def gucci() -> None:
    employee(
        id=4107,
        emp_code="303",
        first_name="gucci",
        hire_date=date(2024, 6, 26),
        verify_mode=0,
        enroll_sn="CKJF201260077",
        palm="Ver 12:1",
        update_time=datetime(2024, 6, 26, 15, 38, 49, tzinfo=UTC),
        area=zkteco(),
    )


def before_employee_333() -> None:
    custom_attributes()
    next_id("personnel_employee", 4144)


def employee_333() -> None:
    employee(
        id=4144,
        emp_code="employee333",
        first_name="emp3_first_name",
        last_name="emp3_last_name",
        hire_date=date(2024, 6, 26),
        update_time=datetime(2024, 6, 26, 18, 0, tzinfo=UTC),
        area=Area.objects.get(id=1),
    )


def before_department_222() -> None:
    next_id("personnel_department", 2)


def before_area_222() -> None:
    next_id("personnel_area", 2)


def before_position_222() -> None:
    next_id("personnel_position", 2)


def department_222() -> None:
    Department.objects.create(id=2, dept_code="222", dept_name="Department222", parent_dept_id=1)


def area_222() -> None:
    Area.objects.create(id=2, area_code="222", area_name="Area222", parent_area_id=1)


def position_222() -> None:
    Position.objects.create(id=2, position_code="222", position_name="Position222", parent_position_id=1)


def position_12() -> None:
    Position.objects.filter(id=1).update(position_name="Position12")


def terminal(*, area: Area, online: bool, last_activity: datetime) -> None:
    unit = Terminal.objects.create(
        id=1,
        sn="CKJF201260077",
        ip_address="10.8.12.241",
        alias="Auto add",
        terminal_name="SpeedFace-V5L[TD]",
        fw_ver="ZAM170-NF-1.8.12-OCM-355-01",
        push_ver="Ver 2.0.33S-20220623",
        time_zone="UTC+08:00",
        area=area,
        user_count=100,
        fp_count=10,
        face_count=3,
        palm_count=5,
        transaction_count=15,
        transfer_time="00:00;14:05",
        transfer_interval=1,
    )
    TerminalPresence.objects.create(
        terminal=unit,
        online=online,
        since=last_activity,
        last_activity=last_activity,
        push_time=datetime(2024, 6, 26, 15, 36, 17, tzinfo=UTC),
    )


def terminal_gone_for_long() -> None:
    area = Area.objects.create(id=293, area_code="10087", area_name="ZKTeco")
    terminal(area=area, online=False, last_activity=datetime(2024, 6, 26, 15, 36, 22, tzinfo=UTC))


def terminal_online() -> None:
    terminal(area=zkteco(), online=True, last_activity=datetime(2024, 6, 26, 15, 46, 45, tzinfo=UTC))


def seven_punches_in_march() -> None:
    """Entered without a terminal; the first is the printed one, the others stand for its dots."""
    for number in range(7):
        at = datetime(2019, 3, 4 + number, 9, 50, tzinfo=UTC)
        Transaction.objects.create(
            id=1 + number,
            emp_code="100001",
            punch_time=at.replace(tzinfo=None),
            punched_at=at,
            upload_time=at,
            utc_offset=0,
            punch_state=0,
            verify_type=1,
            source=0,
            is_attendance=True,
            is_mask=1,
            temperature=36.4,
        )


ARRANGED: Final[dict[str, Callable[[], Any]]] = {
    "2.1": nothing,
    "3.1": nothing,
    "4.1": harry,
    "4.2": gucci,
    "4.3": before_employee_333,
    "4.4": employee_333,
    "4.5": employee_333,
    "5.1": nothing,
    "5.2": nothing,
    "5.3": before_department_222,
    "5.4": department_222,
    "5.5": department_222,
    "6.1": zkteco,
    "6.2": zkteco,
    "6.3": before_area_222,
    "6.4": area_222,
    "6.5": area_222,
    "7.1": nothing,
    "7.2": position_12,
    "7.3": before_position_222,
    "7.4": position_222,
    "7.5": position_222,
    "8.1": terminal_gone_for_long,
    "8.2": terminal_online,
    "9.1": seven_punches_in_march,
}
