"""The multi-device server in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from zkbio.api.schema import ZKAutoSchema

_FAILURE: Final = {
    "type": "object",
    "properties": {
        "success": {"type": "boolean"},
        "error": {"type": "string"},
        "disponibles": {"type": "array", "items": {"type": "string"}, "description": "The ids that there are."},
        "ip": {"type": "string"},
    },
    "required": ["success", "error"],
}
_OWN_ERRORS: Final[Mapping[str, str]] = {
    "409": "The id, the address or the person is there already.",
    "499": "The caller hung up, or said that they send no more, which looks the same.",
    "500": "The device failed; the sentence says why.",
}


class DeviceAutoSchema(ZKAutoSchema):
    """Errors have a shape of their own on these paths."""

    def _possible_errors(self) -> set[str]:
        return super()._possible_errors() | set(_OWN_ERRORS)

    def _error_answer(self, status: str) -> dict[str, Any]:
        described = super()._error_answer(status if status not in _OWN_ERRORS else "503")
        kind = ResolvedComponent.SCHEMA
        component = ResolvedComponent("Failure", kind, _FAILURE, object="Failure")  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        content = {"application/json": {"schema": component.ref}}
        return {"description": _OWN_ERRORS.get(status, described["description"]), "content": content}


def answer_of(name: str, /, **fields: serializers.Field[Any, Any, Any, Any]) -> Any:
    """The description of an answer: ``success`` and these."""
    return inline_serializer(name, {"success": serializers.BooleanField(), **fields})


def row_of(name: str, /, *, many: bool = False, **fields: serializers.Field[Any, Any, Any, Any]) -> Any:
    """The description of what stands under ``data``."""
    return inline_serializer(name, fields, many=many)


def text(**options: Any) -> Any:
    return serializers.CharField(**options)


def number() -> Any:
    return serializers.IntegerField()


def flag() -> Any:
    return serializers.BooleanField()
