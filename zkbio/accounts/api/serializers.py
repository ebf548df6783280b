from __future__ import annotations

from typing import Any

from rest_framework import serializers


class LoginSerializer(serializers.Serializer[Any]):
    """A login in the vendor's shape (``username``) or in the cloud's (``email``; ``company`` is ignored)."""

    username = serializers.CharField(max_length=254, required=False)
    email = serializers.CharField(max_length=254, required=False)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        name = attrs.get("username") or attrs.get("email")
        if not name:
            raise serializers.ValidationError({"username": [self.fields["username"].error_messages["required"]]})
        return {"username": name, "password": attrs["password"]}


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
