"""The bodies of the multi-device server."""

from __future__ import annotations

import re
from typing import Any, Final

from rest_framework import serializers

from devices.domain.registry import MAX_COMM_KEY

# int() reads much more than what anybody means by a number: other scripts' digits, underscores, blanks.
_NUMBER: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_MOST: Final = 2**32 - 1


class Number(serializers.IntegerField):
    """A whole number, or a text of its digits."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | str) or not _NUMBER.fullmatch(str(data)):
            self.fail("invalid")
        return int(data)


class DeviceChangeSerializer(serializers.Serializer[Any]):
    """What can be changed of a device; what isn't sent stays."""

    name = serializers.CharField(required=False, max_length=100)
    # Not trimmed: an address with a blank in it was not written by who knows the address.
    ip = serializers.CharField(required=False, trim_whitespace=False, max_length=100)
    port = Number(required=False, min_value=1, max_value=65_535)
    password = Number(required=False, min_value=0, max_value=MAX_COMM_KEY, write_only=True)
    timeout = Number(required=False, min_value=1, max_value=60)


class DeviceSerializer(DeviceChangeSerializer):
    """A new device. Its id is kept in small letters, blanks as underscores."""

    id = serializers.CharField(max_length=50)
    name = serializers.CharField(max_length=100)
    ip = serializers.CharField(trim_whitespace=False, max_length=100)


class UserChangeSerializer(serializers.Serializer[Any]):
    """What can be changed of a person on a device; what isn't sent stays. A privilege of 14 is an administrator's."""

    name = serializers.CharField(required=False, max_length=100)
    password = serializers.CharField(required=False, allow_blank=True, max_length=8, write_only=True)
    privilege = Number(required=False, min_value=0, max_value=14)
    card = Number(required=False, min_value=0, max_value=_MOST)


class UserSerializer(UserChangeSerializer):
    """A new person on a device."""

    user_id = serializers.CharField(max_length=24)
    name = serializers.CharField(max_length=100)


class FingerSerializer(serializers.Serializer[Any]):
    """Which finger: 0 to 4 are the right hand's from the thumb on, 5 to 9 the left hand's."""

    finger_index = Number(required=False, min_value=0, max_value=9, default=0)
