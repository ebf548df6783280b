"""What is peculiar about an employee's values: cards, secrets, photos, custom attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from personnel.domain.photos import read_photo
from personnel.models import AttributeDefinition
from personnel.validators import read_card, validate_pin
from zkbio.api.fields import LooseDateField

PHOTO_ROOT: Final = "/files/"
_KINDS: Final = AttributeDefinition.Kind


@extend_schema_field(OpenApiTypes.STR)
class CardField(serializers.CharField):
    """A card's number as a number or a text; 0 and "" are no card."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str | int) and not isinstance(data, bool):
            data = read_card(str(data))
        return super().run_validation(data)


@extend_schema_field({"type": "string", "nullable": True})
class SecretField(serializers.CharField):
    """Written, and answered as null."""

    def get_attribute(self, instance: Any) -> None:
        return None


class PinField(SecretField):
    """The PIN on terminals; null or "" removes it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{"required": False, "allow_null": True, "allow_blank": True, "validators": [validate_pin], **kwargs}
        )

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return "" if data is None else super().run_validation(data)


class PhotoPathField(serializers.CharField):
    """Where the photo is found, "" without one."""

    def to_representation(self, value: str) -> str:
        return f"{PHOTO_ROOT}{value}" if value else ""


@extend_schema_field(OpenApiTypes.BINARY)
class PhotoField(serializers.Field[Any, Any, Any, Any]):
    """An uploaded image as a JPEG of ours; "" removes the photo. The path that is answered changes nothing."""

    default_error_messages = {"invalid": _("Upload the photo as a file (multipart).")}

    def to_internal_value(self, data: Any) -> bytes | None:
        if isinstance(data, UploadedFile):
            return read_photo(data, size=data.size or 0)
        if data == "":
            return None
        if isinstance(data, str) and data.startswith(PHOTO_ROOT):
            raise serializers.SkipField
        raise serializers.ValidationError(self.error_messages["invalid"])

    def to_representation(self, value: Any) -> Any:
        return value


def attribute_field(definition: AttributeDefinition) -> serializers.Field[Any, Any, Any, Any]:
    """The field that reads a custom attribute's value from a body."""
    common = {"source": f"attributes.{definition.pk}", "required": False, "allow_null": True, "write_only": True}
    field: serializers.Field[Any, Any, Any, Any] = _FIELDS[_KINDS(definition.kind)](definition, common)
    return field


_FIELDS: Final[Mapping[AttributeDefinition.Kind, Callable[[AttributeDefinition, dict[str, Any]], Any]]] = {
    _KINDS.TEXT: lambda _, common: serializers.CharField(max_length=200, allow_blank=True, **common),
    _KINDS.NUMBER: lambda _, common: serializers.DecimalField(max_digits=15, decimal_places=None, **common),
    _KINDS.DATE: lambda _, common: LooseDateField(**common),
    _KINDS.CHOICE: lambda definition, common: serializers.ChoiceField(definition.choices, allow_blank=True, **common),
}
