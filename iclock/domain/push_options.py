"""What of a unit's own options is kept, and what they say in the columns of a terminal. Pure.

Names are compared in any letter case and without a leading ~; what may hold a secret isn't kept at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

MOST_OPTIONS: Final = 200
_LONGEST_NAME: Final = 40
_LONGEST_VALUE: Final = 200
_SECRET: Final = ("key", "pass", "pwd", "secret", "token")
# The terminal's columns, and how long they are.
_COLUMNS: Final = (
    ("devicename", "terminal_name", 50),
    ("fwversion", "fw_ver", 100),
    ("pushversion", "push_ver", 50),
    ("platform", "platform", 50),
)
_COUNTS: Final = (
    ("usercount", "user_count"),
    ("fpcount", "fp_count"),
    ("facecount", "face_count"),
    ("transactioncount", "transaction_count"),
)
# Capacities are told in hundreds, those of the log in tens of thousands; some units tell them as they are. A number
# from which on it can only be that follows each.
_CAPACITIES: Final = (
    ("maxusercount", "user_capacity", 100, 1_001),
    ("maxfingercount", "fp_capacity", 100, 1_001),
    ("maxfacecount", "face_capacity", 1, 1),
    ("maxattlogcount", "transaction_capacity", 10_000, 1_000),
)
_MOST_COUNT: Final = 100_000_000


class Kept(NamedTuple):
    """What is written of it: columns of the terminal, its counts and capacities, and the options themselves."""

    columns: Mapping[str, str]
    counts: Mapping[str, int | None]
    fp_version: str = ""
    options: Mapping[str, str] = MappingProxyType({})


def read_kept(options: Mapping[str, str]) -> Kept:
    """Whatever a unit tells is bounded here."""
    kept = _bounded(options)
    said = {name.lower(): value for name, value in kept.items()}
    counts = {column: _number(said.get(name, "")) for name, column in _COUNTS}
    for name, column, unit, plain in _CAPACITIES:
        told = _number(said.get(name, ""))
        counts[column] = told if told is None or told >= plain else told * unit
    return Kept(
        columns={column: said[name][:most] for name, column, most in _COLUMNS if said.get(name)},
        counts=counts,
        fp_version=(said.get("zkfpversion") or said.get("fpversion") or "")[:5],
        options=kept,
    )


def one_line(text: str, most: int) -> str:
    """Without what no page shows and no column holds."""
    return "".join(character for character in text if character.isprintable()).strip()[:most]


def _bounded(options: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in options.items():
        plain = one_line(name, _LONGEST_NAME).lstrip("~")
        if plain and len(kept) < MOST_OPTIONS and not any(word in plain.lower() for word in _SECRET):
            kept[plain] = one_line(value, _LONGEST_VALUE)
    return kept


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= _MOST_COUNT else None
