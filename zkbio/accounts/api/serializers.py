from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers


class LoginSerializer(serializers.Serializer[Any]):
    """A login in the vendor's shape (``username``) or in the cloud's (``email``; ``company`` is ignored)."""

    aliases: ClassVar[tuple[str, ...]] = ("email",)

    username = serializers.CharField(max_length=254, help_text="`email` is another name of this field.")
    password = serializers.CharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})

    def to_internal_value(self, data: Any) -> Any:
        """The first name that is given, by whatever key, is the user's."""
        if isinstance(data, Mapping):
            given = {name: data[name] for name in ("username", "password") if name in data}
            names = [data[alias] for alias in ("username", *self.aliases) if data.get(alias)]
            data = {**given, "username": names[0]} if names else given
        return super().to_internal_value(data)


class RefreshSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=4096)


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
