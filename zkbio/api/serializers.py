"""What every resource's serializers are made of: one class for reading (nested), one for writing (flat)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.db import models
from rest_framework import serializers

from zkbio.api.fields import LooseDateField, LooseIdField
from zkbio.api.loose import LooseBodyMixin, plain_body

M = TypeVar("M", bound=models.Model)


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
