"""A wall clock is naive on every side: parsing, forms, the database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError

from zkbio.wallclock import WallClockField, WallClockFormField, parse_wall


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ("2019-04-01 00:00:00", datetime(2019, 4, 1)),
        ("2019-04-1 00:00:00", datetime(2019, 4, 1)),
        ("2019-4-1", datetime(2019, 4, 1)),
        ("2019-04-01T08:05", datetime(2019, 4, 1, 8, 5)),
        ("2019-04-01 8:5:9.123456", datetime(2019, 4, 1, 8, 5, 9)),
        ("  2019-04-01  ", datetime(2019, 4, 1)),
    ],
)
def test_the_spellings_of_clients_are_understood(text: str, wall: datetime) -> None:
    assert parse_wall(text) == wall
    assert WallClockFormField().clean(text) == wall


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2019-02-30", "2019-13-01", "01/04/2019", "2019-04-01 25:00", "2019-04-01Z", "٢٠١٩-04-01"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence is the parser's or datetime's
        parse_wall(text)


def test_an_offset_has_no_place_on_a_wall_clock() -> None:
    with pytest.raises(ValidationError, match="carries an offset"):
        WallClockField().to_python(datetime(2019, 4, 1, tzinfo=UTC))
