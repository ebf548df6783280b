"""Actions on many objects at once: a POST below the list, and one answer for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.serializers import BaseSerializer

DONE: Final[dict[str, Any]] = {"code": 0, "msg": "success", "data": []}


class DoneSerializer(serializers.Serializer[Any]):
    """The answer of every action."""

    code = serializers.IntegerField(default=0)
    msg = serializers.CharField(default="success")
    data: Any = serializers.ListField(child=serializers.JSONField(), default=list)


def bulk_action(body: type[BaseSerializer[Any]], *permissions: str, **options: Any) -> Callable[[Any], Any]:
    """A POST below the list, with this body and the answer that all of them have."""

    def declared(method: Any) -> Any:
        options.setdefault("url_path", method.__name__)
        served = action(
            methods=["post"], detail=False, write_serializer_class=body, required_permissions=permissions, **options
        )(method)
        # After the action, which forgets what was described before it.
        return extend_schema(request=body, responses=DoneSerializer)(served)

    return declared
