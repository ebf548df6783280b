"""Custom attributes: which names are free, and what their values look like on an employee."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from personnel.models import AttributeDefinition, Employee
from zkbio.wallclock import parse_wall

Value = str | int | float | None

# Keys of an employee in the API that no column is named after.
_API_KEYS: Final = {"area", "attemployee", "device_password", "flow_role", "format_name", "full_name"}
_KINDS: Final = AttributeDefinition.Kind
_TEXT_LENGTH: Final = 200
_DIGITS: Final = 15


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


def parse_value(definition: AttributeDefinition, text: str) -> Any:
    """What ``text`` says, None for an empty one. Raises ValidationError."""
    text = text.strip()
    if not text:
        return None
    if definition.kind == _KINDS.NUMBER:
        return _number(text)
    if definition.kind == _KINDS.DATE:
        return _date(text)
    if definition.kind == _KINDS.CHOICE and text not in definition.choices:
        raise ValidationError(_("“%s” is none of the choices.") % text[:50])
    if len(text) > _TEXT_LENGTH or "\0" in text:
        raise ValidationError(_("A text has at most %d characters, and no NUL among them.") % _TEXT_LENGTH)
    return text


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number.adjusted() >= _DIGITS or number.as_tuple().exponent < -_DIGITS:  # type: ignore[operator]
        raise ValidationError(_("“%s” is no number.") % text[:50])
    return number


def _date(text: str) -> dt.date:
    try:
        return parse_wall(text).date()
    except ValueError as error:
        raise ValidationError(_("“%s” is no date; write it as 2024-06-26.") % text[:50]) from error


def _stored(value: Any) -> Value:
    """As JSON keeps it: a date as 2024-06-26, a whole number without its fraction."""
    if value in (None, ""):
        return None
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)
