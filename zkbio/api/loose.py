"""Bodies as clients send them: JSON, form-encoded or multipart, as if they all were JSON.

Two of DRF's habits don't fit the contract: a form's missing checkbox means "off" to it, and null is an error wherever a
column isn't nullable. Here what isn't sent isn't given, and neither is a null that can't be stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from rest_framework import serializers

# area[0]=3 and area[]=3
_INDEXED: Final = re.compile(r"(?P<name>[^\[\]]+)\[(?P<index>[0-9]{0,6})\]", re.ASCII)
_NOT_GIVEN: Final = object()
# What Django's readers of forms put in the place of bytes that are no UTF-8.
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"


def plain_body(data: Any) -> Any:
    """A form's fields as a plain dict; what comes more than once, or with an index, is a list.

    Raises ValidationError for a field that was no UTF-8.
    """
    if not isinstance(data, MultiValueDict):
        return data
    plain: dict[str, Any] = {}
    indexed: dict[str, list[tuple[int, Any]]] = {}
    for key, values in data.lists():
        if any(isinstance(value, str) and _REPLACED in value for value in values):
            raise serializers.ValidationError({key: [_("This is not UTF-8 text.")]})
        if found := _INDEXED.fullmatch(key):
            indexed.setdefault(found["name"], []).extend((int(found["index"] or 0), value) for value in values)
        elif values:
            plain[key] = values[0] if len(values) == 1 else values
    listed = {name: [value for _, value in sorted(pairs, key=_index)] for name, pairs in indexed.items()}
    return {**plain, **listed}


class LooseBodyMixin:
    """For serializers: reads any body; null, or an empty text, is what its field can make of it."""

    fields: Any

    def to_internal_value(self, data: Any) -> Any:
        body = plain_body(data)
        if isinstance(body, Mapping):
            body = {name: self._loosened(name, value) for name, value in body.items()}
            body = {name: value for name, value in body.items() if value is not _NOT_GIVEN}
        return super().to_internal_value(body)  # type: ignore[misc]

    def _loosened(self, name: str, value: Any) -> Any:
        """A null that can't be stored is not given; an empty text is null where it is no text: forms know no null."""
        field = self.fields.get(name)
        if field is None:
            return value
        if value is None and not field.allow_null:
            return _NOT_GIVEN
        if value != "" or getattr(field, "allow_blank", False):
            return value
        if field.allow_null:
            return None
        return value if isinstance(field, serializers.CharField | serializers.FileField) else _NOT_GIVEN


class LooseSerializer(LooseBodyMixin, serializers.Serializer[Any]):
    """The body of an action."""


def _index(pair: tuple[int, Any]) -> int:
    return pair[0]
