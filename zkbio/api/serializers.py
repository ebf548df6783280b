"""What every resource's serializers are made of: one class for reading (nested), one for writing (flat)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeVar

from django.db import models
from rest_framework import serializers

from zkbio.api.fields import LooseDateField, LooseIdField
from zkbio.api.loose import LooseBodyMixin, plain_body

M = TypeVar("M", bound=models.Model)

# Fields whose value is answered as it stands on the object: the renderer writes dates.
_AS_IT_STANDS: Final = {
    LooseDateField,
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateField,
    serializers.EmailField,
    serializers.IntegerField,
}


class ZKReadSerializer(serializers.ModelSerializer[M]):
    """A row as lists and single objects show it.

    How each key is read is decided once and for all: building fields takes longer than answering a page. So its fields
    may not look at the request (``context``); the serializer itself may.
    """

    def to_representation(self, instance: M) -> dict[str, Any]:
        return {name: read(instance) for name, read in _readers(type(self))}


class ZKModelSerializer(LooseBodyMixin, serializers.ModelSerializer[M]):
    """Reads loosely. ``kept_on_update`` names codes that an update keeps without a word, as vendors' servers do."""

    kept_on_update: ClassVar[tuple[str, ...]] = ()
    serializer_related_field = LooseIdField
    serializer_field_mapping: ClassVar[dict[Any, Any]] = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateField: LooseDateField,
    }

    def to_internal_value(self, data: Any) -> Any:
        body = plain_body(data)
        if self.instance is not None and isinstance(body, Mapping):
            body = {name: value for name, value in body.items() if name not in self.kept_on_update}
        return super().to_internal_value(body)


@cache
def _readers(kind: type[ZKReadSerializer[Any]]) -> list[tuple[str, Callable[[Any], Any]]]:
    return [(str(field.field_name), _reader(field)) for field in kind()._readable_fields]


def _reader(field: Any) -> Callable[[Any], Any]:
    if field.source == "*" and isinstance(field, ZKReadSerializer):
        return field.to_representation
    simple = len(field.source_attrs) == 1 and type(field).get_attribute is serializers.Field.get_attribute
    get = attrgetter(field.source) if simple else field.get_attribute
    if simple and (type(field) in _AS_IT_STANDS or isinstance(field, serializers.ReadOnlyField)):
        return get

    def read(instance: Any) -> Any:
        value = get(instance)
        return None if value is None else field.to_representation(value)

    return read
