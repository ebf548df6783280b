"""What the database refuses because of other rows, in words that name the field and what stands in the way.

Serializers ask first; two requests at once get past that, and then the constraint decides.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from django.apps import apps
from django.db.models import Model, ProtectedError
from django.utils.translation import gettext as _
from psycopg2 import errors

# Key (emp_code)=(7) already exists.
_KEY: Final = re.compile(r"Key \((?P<columns>[^)]+)\)=")


def conflict_refusal(error: Exception) -> dict[str, list[str]] | None:
    """What to answer; None when ``error`` is no conflict with other rows."""
    if isinstance(error, ProtectedError):
        return {"non_field_errors": [in_use_sentence(error)]}
    cause = error.__cause__
    if isinstance(cause, errors.UniqueViolation):
        return _taken(cause)
    if isinstance(cause, errors.ForeignKeyViolation):
        return {"non_field_errors": [_("Another request changed what this one refers to. Nothing was changed.")]}
    return None


def in_use_sentence(error: ProtectedError) -> str:
    """``Still in use by 3 employees, 1 terminal. …``"""
    using = Counter(type(each) for each in error.protected_objects)
    listed = ", ".join(f"{number} {_name_of(model, number)}" for model, number in sorted(using.items(), key=_by_name))
    return _("Still in use by %s. Move or delete these first.") % listed


def _taken(cause: errors.UniqueViolation) -> dict[str, list[str]]:
    found = _KEY.search(cause.diag.message_detail or "")
    fields = [
        field
        for model in apps.get_models()
        if model._meta.db_table == cause.diag.table_name
        for field in model._meta.concrete_fields
        if found and field.column == found["columns"]
    ]
    if not fields:  # several columns, or an expression
        return {"non_field_errors": [_("Such a row exists already.")]}
    field, model = fields[0], fields[0].model
    names = {"model_name": model._meta.verbose_name, "field_label": field.verbose_name}
    return {field.name: [str(field.error_messages["unique"]) % names]}


def _by_name(pair: tuple[type[Model], int]) -> str:
    return str(pair[0]._meta.verbose_name)


def _name_of(model: type[Model], number: int) -> str:
    return str(model._meta.verbose_name if number == 1 else model._meta.verbose_name_plural)
