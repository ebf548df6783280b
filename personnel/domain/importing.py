"""Many people at once, from a table: the same rules as one by one, in a handful of statements.

A cell that is empty isn't given: a new person has the default there, a known one keeps the value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.db import models, transaction

from personnel.domain.attributes import parse_value, write_attributes
from personnel.domain.people import announce, areas_of, lock_employees
from personnel.models import Area, AttributeDefinition, Department, Employee, Position
from personnel.validators import read_card, validate_pin
from zkbio.wallclock import parse_wall

_FIELDS: Final = {
    field.name: field
    for field in Employee._meta.concrete_fields
    if field.editable and not field.primary_key and not field.is_relation
}
_OTHERS: Final = ("department", "position", "area", "device_password")
_BATCH: Final = 1000
_Lives = Employee.areas.through


class Line(NamedTuple):
    """One line of the table: its number, and its cells by the names of the columns."""

    number: int
    cells: Mapping[str, str]


class Mistake(NamedTuple):
    line: int
    sentence: str


class Outcome(NamedTuple):
    created: int
    updated: int
    mistakes: list[Mistake]


class Draft(NamedTuple):
    """A line that can be stored; ``areas`` is None where none are given."""

    values: dict[str, Any]
    attributes: dict[int, Any]
    areas: list[int] | None


class Known(NamedTuple):
    """What lines are checked against, read once."""

    departments: Mapping[str, int]
    positions: Mapping[str, int]
    areas: Mapping[str, int]
    definitions: Mapping[str, AttributeDefinition]
    people: dict[str, int]
    cards: dict[str, str]


def known_columns() -> list[str]:
    """What the table may have: columns of people, and custom attributes."""
    return [*_FIELDS, *_OTHERS, *AttributeDefinition.objects.order_by("name").values_list("name", flat=True)]


def import_employees(
    lines: Iterable[Line], *, update: bool = False, skip_bad: bool = False, dry_run: bool = False
) -> Outcome:
    """Store all lines, or none when one of them has a mistake (with ``skip_bad``: all that have none)."""
    with transaction.atomic():
        known = _read_known()
        drafts, mistakes = _read_lines(lines, known, update=update)
        new = [draft for draft in drafts if draft.values["emp_code"] not in known.people]
        old = [draft for draft in drafts if draft.values["emp_code"] in known.people]
        if dry_run or (mistakes and not skip_bad):
            return Outcome(len(new) if dry_run else 0, len(old) if dry_run else 0, mistakes)
        _store(new, old, known.people)
    return Outcome(len(new), len(old), mistakes)


def _read_known() -> Known:
    people = Employee.objects.order_by()
    return Known(
        dict(Department.objects.values_list("dept_code", "pk")),
        dict(Position.objects.values_list("position_code", "pk")),
        dict(Area.objects.values_list("area_code", "pk")),
        {each.name: each for each in AttributeDefinition.objects.all()},
        dict(people.values_list("emp_code", "pk")),
        {str(card): code for card, code in people.exclude(card_no=None).values_list("card_no", "emp_code")},
    )


def _read_lines(lines: Iterable[Line], known: Known, *, update: bool) -> tuple[list[Draft], list[Mistake]]:
    drafts: dict[str, Draft] = {}
    mistakes: list[Mistake] = []
    for line in lines:
        problems: list[str] = []
        draft = _read_line(line.cells, known, problems)
        code = draft.values.get("emp_code", "")
        if code in drafts:
            problems.append(f"emp_code: {code} stands in an earlier line already.")
        elif code in known.people and not update:
            problems.append(f"emp_code: {code} exists already.")
        card = draft.values.get("card_no")
        if card and known.cards.setdefault(card, code) != code:
            problems.append(f"card_no: {card} is the card of {known.cards[card]}.")
        if problems:
            mistakes += [Mistake(line.number, problem) for problem in problems]
        else:
            drafts[code] = draft
    return list(drafts.values()), mistakes


def _read_line(cells: Mapping[str, str], known: Known, problems: list[str]) -> Draft:
    given = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
    draft = Draft({}, {}, None)
    areas: list[int] | None = None
    for name, cell in given.items():
        try:
            if name == "area":
                areas = [_find(known.areas, code.strip()) for code in cell.split(";") if code.strip()]
            elif name in known.definitions:
                definition = known.definitions[name]
                draft.attributes[definition.pk] = parse_value(definition, cell)
            else:
                column, value = _read_cell(name, cell, known)
                draft.values[column] = value
        except ValidationError as error:
            problems.append(f"{name}: {' '.join(error.messages)}")
    needed = ["emp_code"] if given.get("emp_code") in known.people else ["emp_code", "department", "area"]
    problems += [f"{name}: this is required." for name in needed if name not in given]
    return draft._replace(areas=areas)


def _read_cell(name: str, cell: str, known: Known) -> tuple[str, Any]:
    """The column and its value. Raises ValidationError."""
    if name == "department":
        return "department_id", _find(known.departments, cell)
    if name == "position":
        return "position_id", _find(known.positions, cell)
    if name == "device_password":
        validate_pin(cell)
        return name, cell
    return name, _clean(_FIELDS[name], cell)


def _find(ids: Mapping[str, int], code: str) -> int:
    if code not in ids:
        raise ValidationError(f"there is no code {code[:50]!r}.")
    return ids[code]


def _clean(field: models.Field[Any, Any], cell: str) -> Any:
    """As the column itself reads it, leniently."""
    value: Any = cell
    if "\0" in cell:
        raise ValidationError("a NUL byte has no place here.")
    if field.name == "card_no":
        value = read_card(cell)
    elif isinstance(field, models.BooleanField):
        value = cell.capitalize()
    elif isinstance(field, models.DateField):
        value = _date(cell)
    return field.clean(value, None)


def _date(cell: str) -> Any:
    try:
        return parse_wall(cell).date()
    except ValueError as error:
        raise ValidationError(f"{cell[:50]!r} is no date; write it as 2024-06-26.") from error


def _store(new: list[Draft], old: list[Draft], people: Mapping[str, int]) -> None:
    known = lock_employees([people[draft.values["emp_code"]] for draft in old])
    before = areas_of([employee.pk for employee in known])
    made = Employee.objects.bulk_create([_filled(Employee(), draft) for draft in new], batch_size=_BATCH)
    by_code = {employee.emp_code: employee for employee in known}
    _update([_filled(by_code[draft.values["emp_code"]], draft) for draft in old], old)
    ids = {employee.emp_code: employee.pk for employee in [*made, *known]}
    _move({ids[draft.values["emp_code"]]: draft.areas for draft in [*new, *old] if draft.areas is not None})
    announce(before | areas_of(ids.values()), [*made, *known])


def _filled(employee: Employee, draft: Draft) -> Employee:
    for name, value in draft.values.items():
        setattr(employee, name, value)
    write_attributes(employee, draft.attributes)
    return employee


def _update(employees: list[Employee], drafts: list[Draft]) -> None:
    """The rows exist and are locked, so each insert conflicts and updates: far cheaper than CASE … WHEN … a row."""
    names = {name for draft in drafts for name in draft.values} - {"emp_code"}
    columns = {"device_password_sealed" if name == "device_password" else name.removesuffix("_id") for name in names}
    Employee.objects.bulk_create(
        employees,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=sorted({*columns, "attributes", "update_time"}),
        batch_size=_BATCH,
    )


def _move(wanted: Mapping[int, Collection[int]]) -> None:
    _Lives.objects.filter(employee__in=wanted.keys()).delete()
    lives = [_Lives(employee_id=pk, area_id=area) for pk, areas in wanted.items() for area in sorted(set(areas))]
    _Lives.objects.bulk_create(lives, batch_size=5 * _BATCH)
