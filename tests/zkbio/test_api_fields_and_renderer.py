"""The vendor's quirks, one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from zkbio.api.fields import FlagField, TerminalZoneField
from zkbio.api.renderers import ORJSONRenderer


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b""),
        ({"b": 1, "a": None}, b'{"b":1,"a":null}'),
        (datetime(2024, 6, 26, 15, 46, 45, 999_999), b'"2024-06-26 15:46:45"'),
        (datetime(2024, 6, 26, 15, 46, 45, tzinfo=UTC), b'"2024-06-26 15:46:45"'),
        (date(2024, 6, 26), b'"2024-06-26"'),
        (Decimal("36.40"), b'"36.40"'),
        (float("nan"), b"null"),
        ("ñ李", '"ñ李"'.encode()),
        (gettext_lazy("x"), b'"x"'),
        ({1: serializers.ErrorDetail("no", code="x")}, b'{"1":"no"}'),
    ],
)
def test_json(value: Any, text: bytes) -> None:
    assert ORJSONRenderer().render(value) == text


@override_settings(TIME_ZONE="America/New_York")
def test_an_instant_is_written_in_the_servers_zone() -> None:
    assert ORJSONRenderer().render(datetime(2024, 6, 26, 15, 0, tzinfo=UTC)) == b'"2024-06-26 11:00:00"'


def test_what_json_cant_say_is_a_defect() -> None:
    with pytest.raises(TypeError):
        ORJSONRenderer().render({"x": object()})


@pytest.mark.parametrize(
    ("sent", "zone"),
    [
        (8, "UTC+08:00"),
        ("8", "UTC+08:00"),
        (-5, "UTC-05:00"),
        (14, "UTC+14:00"),
        (-14, "UTC-14:00"),
        (15, "UTC+00:15"),
        (240, "UTC+04:00"),
        (330, "UTC+05:30"),
        (-210, "UTC-03:30"),
        (0, "UTC+00:00"),
        ("8.0", "UTC+08:00"),
        (5.5, "UTC+05:30"),
    ],
)
def test_terminal_tz_is_read_as_hours_up_to_fourteen_and_else_as_minutes(sent: Any, zone: str) -> None:
    assert TerminalZoneField().run_validation(sent) == zone


@pytest.mark.parametrize("sent", ["x", "", 841, -900, 1.001, "1e99999999", "nan", [8], True])
def test_a_terminal_tz_that_is_no_offset_is_refused(sent: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        TerminalZoneField().run_validation(sent)


@pytest.mark.parametrize(
    ("sent", "flag"), [(1, True), (0, False), ("1", True), ("True", True), ("false", False), (True, True)]
)
def test_a_flag_is_read_in_every_spelling_and_written_as_a_number(sent: Any, flag: bool) -> None:
    assert (FlagField().run_validation(sent), FlagField().to_representation(flag)) == (flag, int(flag))


@pytest.mark.parametrize("sent", ["yes", 2, [1], {}])
def test_a_flag_that_is_neither_is_refused(sent: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        FlagField().run_validation(sent)
