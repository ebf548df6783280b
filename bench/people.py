"""Tables of people to measure on."""

from __future__ import annotations

from datetime import date

from personnel.models import Area, AttributeDefinition, Department, Employee, Position

AREAS = 5


def furnish() -> None:
    """Departments, positions, areas and two custom attributes."""
    for number in range(AREAS):
        Department.objects.get_or_create(dept_code=f"bench{number}", defaults={"dept_name": f"Department {number}"})
        Position.objects.get_or_create(position_code=f"bench{number}", defaults={"position_name": f"Position {number}"})
        Area.objects.get_or_create(area_code=f"bench{number}", defaults={"area_name": f"Area {number}"})
    for name in ("Passport", "Primary Job"):
        AttributeDefinition.objects.get_or_create(name=name)


def csv_text(number: int) -> str:
    """A table of people with a department, a position, two areas, a card, a PIN and two custom attributes each."""
    head = (
        "emp_code,first_name,last_name,department,position,area,card_no,device_password,hire_date,mobile,email,"
        "Passport,Primary Job"
    )
    lines = (
        f"B{n},First {n},Last {n},bench{n % AREAS},bench{n % AREAS},bench{n % AREAS};bench{(n + 1) % AREAS},"
        f"{900000 + n},{1000 + n},{date(2020, 1 + n % 12, 1 + n % 28)},555{n:07},b{n}@example.com,X{n},Day"
        for n in range(number)
    )
    return "\n".join((head, *lines)) + "\n"


def remove_people() -> None:
    Employee.objects.filter(emp_code__startswith="B").delete()
