"""Wall-clock time as a value of its own: naive in Python, ``timestamp`` in PostgreSQL, never converted.

A ``DateTimeField`` would convert look-ups under ``USE_TZ``; what a terminal says must stay what it said.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, TypeVar

from django import forms
from django.core import exceptions
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy

_LENIENT = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.\d+)?)?)?", re.ASCII)
_MESSAGE = gettext_lazy("“%(value)s” is no date and time; write it as 2024-06-26 15:46:45.")


def parse_wall(text: str) -> datetime:
    """``2019-04-1 0:00``, ``2019-04-01T00:00:00`` or a bare date, as a naive datetime. Raises ValueError.

    Clients of this API pad or don't, drop the seconds or the time; fractions of a second are cut.
    """
    match = _LENIENT.fullmatch(text.strip())
    if match is None:
        raise ValueError(_MESSAGE % {"value": text})
    return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001


Taken = TypeVar("Taken", datetime, datetime | None)
Given = TypeVar("Given", datetime, datetime | None)


class WallClockFormField(forms.Field):
    """The form side: text in, naive datetime out."""

    widget = forms.DateTimeInput(format="%Y-%m-%d %H:%M:%S")

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            return value if isinstance(value, datetime) else parse_wall(str(value))
        except ValueError as error:
            raise forms.ValidationError(_MESSAGE, code="invalid", params={"value": value}) from error


class WallClockField(models.Field[Taken, Given]):
    """A column of type ``timestamp`` that takes and gives naive datetimes only."""

    description = "Wall-clock date and time"
    empty_strings_allowed = False
    default_error_messages = {"invalid": _MESSAGE, "aware": "“%(value)s” carries an offset; a wall clock has none."}

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "timestamp"

    def get_internal_type(self) -> str:
        return "WallClockField"

    def to_python(self, value: Any) -> datetime | None:
        if value is None:
            return None
        try:
            moment = value if isinstance(value, datetime) else parse_wall(str(value))
        except ValueError as error:
            raise exceptions.ValidationError(
                self.error_messages["invalid"], code="invalid", params={"value": value}
            ) from error
        if moment.tzinfo is not None:
            raise exceptions.ValidationError(self.error_messages["aware"], code="aware", params={"value": value})
        return moment

    def get_prep_value(self, value: Any) -> datetime | None:
        return self.to_python(super().get_prep_value(value))

    def value_to_string(self, obj: models.Model) -> str:
        moment = self.value_from_object(obj)
        return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": WallClockFormField, **kwargs})
