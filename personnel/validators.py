"""What codes, cards and PINs look like, wherever they come from. Terminals get them, between tabs and line ends."""

from __future__ import annotations

import re
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

_DIGITS: Final = re.compile("[0-9]+", re.ASCII)

validate_pin: Final = RegexValidator(r"\A[0-9]{1,8}\Z", _("A PIN consists of up to eight digits."))


def validate_emp_code(code: str) -> None:
    """Printable, and without spaces at its ends: what a terminal shows is what is stored."""
    if not code.isprintable() or code != code.strip():
        raise ValidationError(_("An employee code consists of printable characters, without spaces at its ends."))


def validate_card(card: str) -> None:
    if _DIGITS.fullmatch(card) is None:
        raise ValidationError(_("A card's number consists of digits."))


def read_card(card: str | None) -> str | None:
    """A card's number as it is stored: none is null, and that is what terminals mean by 0."""
    text = (card or "").strip()
    return text if text.strip("0") else None
