"""Bodies in every encoding, and what null and an empty text mean in them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ParseError

from zkbio.api.loose import LooseSerializer, plain_body
from zkbio.api.parsers import Utf8FormParser


class Body(LooseSerializer):
    alias = serializers.CharField(required=False)
    nickname = serializers.CharField(allow_null=True, allow_blank=True, required=False)
    mobile = serializers.CharField(allow_null=True, required=False)
    since = serializers.DateField(allow_null=True, required=False)
    active = serializers.BooleanField(required=False)
    areas = serializers.ListField(child=serializers.IntegerField(), required=False)


def read(data: Any) -> dict[str, Any]:
    body = Body(data=data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alias=Gate", {"alias": "Gate"}),
        ("area=1&area=2", {"area": ["1", "2"]}),
        ("area[]=1&area[]=2", {"area": ["1", "2"]}),
        ("area[1]=b&area[0]=a", {"area": ["a", "b"]}),
        ("area[10]=k&area[9]=j", {"area": ["j", "k"]}),
        ("area[0]=1", {"area": ["1"]}),
        ("area[999999]=1", {"area": ["1"]}),
        ("area[1234567]=1", {"area[1234567]": "1"}),
        ("area[x]=1", {"area[x]": "1"}),
        ("alias=", {"alias": ""}),
    ],
)
def test_a_form_is_read_as_a_dict(text: str, expected: dict[str, Any]) -> None:
    assert plain_body(QueryDict(text)) == expected


def test_json_is_left_as_it_is() -> None:
    assert plain_body([1, {"area": [2]}]) == [1, {"area": [2]}]


def test_what_a_form_does_not_send_is_not_given() -> None:
    assert read(QueryDict("alias=Gate")) == {"alias": "Gate"}


def test_null_is_stored_where_it_can_be_and_not_given_elsewhere() -> None:
    given = {"alias": None, "nickname": None, "mobile": None, "since": None, "active": None, "areas": None}

    assert read(given) == {"nickname": None, "mobile": None, "since": None}


def test_an_empty_text_is_null_where_it_can_not_be_stored() -> None:
    assert read({"nickname": "", "mobile": "", "since": ""}) == {"nickname": "", "mobile": None, "since": None}


@pytest.mark.parametrize("body", [[], "text", 7])
def test_a_body_that_is_no_object_is_refused_in_words(body: Any) -> None:
    serializer = Body(data=body)

    assert not serializer.is_valid()
    assert list(serializer.errors) == ["non_field_errors"]


@pytest.mark.parametrize("text", ["alias=NU%FF", "alias=x%ED%A0%80", "area[0]=%C3"])
def test_a_field_that_is_no_utf_8_is_named(text: str) -> None:
    serializer = Body(data=QueryDict(text))

    assert not serializer.is_valid()
    assert serializer.errors == {text.partition("=")[0]: ["This is not UTF-8 text."]}


def test_a_form_of_raw_bytes_that_are_no_utf_8_is_refused() -> None:
    with pytest.raises(ParseError) as caught:
        Utf8FormParser().parse(BytesIO(b"alias=\xff"))

    assert str(caught.value.detail) == "The body is not UTF-8 text (byte 6)."
