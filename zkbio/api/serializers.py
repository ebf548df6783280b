"""What every resource's serializers are made of: one class for reading (nested), one for writing (flat)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
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
    serializers.ReadOnlyField,
}


class ZKReadSerializer(serializers.ModelSerializer[M]):
    """A row as lists and single objects show it. How each key is read is decided once, not once a row."""

    def to_representation(self, instance: M) -> dict[str, Any]:
        return {name: read(instance) for name, read in self._readers}

    @cached_property
    def _readers(self) -> list[tuple[str, Callable[[M], Any]]]:
        return [(str(field.field_name), _reader(field)) for field in self._readable_fields]


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


def _reader(field: Any) -> Callable[[Any], Any]:
    if type(field) in _AS_IT_STANDS and len(field.source_attrs) == 1:
        return attrgetter(str(field.source))

    def read(instance: Any) -> Any:
        value = field.get_attribute(instance)
        return None if value is None else field.to_representation(value)

    return read
