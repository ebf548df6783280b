"""Custom attributes: which names are free, and what their values look like on an employee."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from personnel.models import AttributeDefinition, Employee

Value = str | int | float | None

# Keys of an employee in the API that no column is named after.
_API_KEYS: Final = {"area", "attemployee", "device_password", "flow_role", "format_name", "full_name"}


def is_reserved(name: str) -> bool:
    """Whether a custom attribute of this name would hide a key that every employee has."""
    return name in _API_KEYS or name in {field.name for field in Employee._meta.get_fields()}


def read_attribute(employee: Employee, definition: AttributeDefinition) -> Value:
    value: Value = employee.attributes.get(str(definition.pk))
    return value


def write_attributes(employee: Employee, values: Mapping[Any, Any]) -> None:
    """Set values by definition id on the unsaved ``employee``; an empty one is forgotten."""
    kept = {**employee.attributes, **{str(key): _stored(value) for key, value in values.items()}}
    employee.attributes = {key: value for key, value in kept.items() if value is not None}


def _stored(value: Any) -> Value:
    """As JSON keeps it: a date as 2024-06-26, a whole number without its fraction."""
    if value in (None, ""):
        return None
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)
