"""What a unit that dials has room for: names in its code page, and which codes of people it takes."""

from __future__ import annotations

from functools import partial
from typing import Final

from iclock import orders
from iclock.domain.wanted import Room
from iclock.models import PushState

# Of a unit that doesn't tell how long its user ids are.
_DIGITS: Final = 9
_MOST_DIGITS: Final = 24
_WIDTH: Final = "pin2width"
_LETTERS: Final = "issupportabcpin"
_TOO_LONG: Final = "Their code has more than the {} digits that this unit takes: they can't be on it."
_LETTERS_IN_IT: Final = "Their code isn't a number, and this unit takes none else: they can't be on it."


def room_of(state: PushState) -> Room:
    return Room(partial(orders.fit_name, encoding=state.encoding))


def why_unfit(state: PushState, code: str) -> str:
    """Why nobody with this code can be on the unit; "" if they can."""
    width = _told(state, _WIDTH)
    most = int(width) if width.isdecimal() and 0 < int(width) <= _MOST_DIGITS else _DIGITS
    if not (code.isascii() and code.isdigit()) and _told(state, _LETTERS) != "1":
        return _LETTERS_IN_IT
    return _TOO_LONG.format(most) if len(code) > most else ""


def _told(state: PushState, option: str) -> str:
    """What the unit told of itself, in whatever letter case."""
    return next((str(value) for name, value in state.options.items() if name.lower() == option), "")
