"""What is peculiar about an employee's values: cards, secrets, photos, custom attributes."""

from __future__ import annotations

from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from personnel.domain.attributes import parse_value
from personnel.domain.photos import read_photo
from personnel.models import AttributeDefinition
from personnel.validators import read_card, validate_pin

PHOTO_ROOT: Final = "/files/"


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
    """The PIN on terminals; "" removes it. Null is what is answered, so whoever sends it back changes nothing."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "allow_blank": True, "validators": [validate_pin], **kwargs})


class PhotoPathField(serializers.CharField):
    """Where the photo is found, "" without one."""

    def to_representation(self, value: str) -> str:
        return f"{PHOTO_ROOT}{value}" if value else ""


@extend_schema_field(OpenApiTypes.BINARY)
class PhotoField(serializers.Field[Any, Any, Any, Any]):
    """An uploaded image as a JPEG of ours; "" removes the photo. The path that is answered changes nothing."""

    allow_blank = True
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


class AttributeField(serializers.Field[Any, Any, Any, Any]):
    """Reads a custom attribute's value from a body."""

    default_error_messages = {"invalid": _("Write a text or a number.")}

    def __init__(self, definition: AttributeDefinition) -> None:
        super().__init__(source=f"attributes.{definition.pk}", required=False, allow_null=True, write_only=True)
        self.definition = definition

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        return parse_value(self.definition, str(data))

    def to_representation(self, value: Any) -> Any:
        return value
