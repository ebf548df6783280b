"""What a name may consist of, wherever it is typed: terminals, tables and logs show it on one line."""

from __future__ import annotations

import re
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# Control characters (a tab or a line end would begin something new in what terminals are sent), line and paragraph
# separators, what turns the direction of writing and so shows another name than is stored, and halves of characters.
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def validate_line(text: str) -> None:
    """A model field's validator. A function, because the schema would print a pattern as what texts must match."""
    if _UNSEEN.search(text):
        raise ValidationError(_("Control characters, tabs and line ends are not allowed here."), code="control")


def in_print(text: str) -> str:
    """What a terminal tells may be any characters; these can be shown."""
    return "".join(character if character.isprintable() else "?" for character in text)
