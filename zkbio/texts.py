"""What a name may consist of, wherever it is typed: terminals, tables and logs show it on one line."""

from __future__ import annotations

import re
from typing import Final

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

# Control characters (a tab or a line end would begin something new in what terminals are sent), line and paragraph
# separators, and what turns the direction of writing and so shows another name than is stored.
_UNSEEN: Final = "\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069"

validate_line: Final = RegexValidator(
    re.compile(f"[{_UNSEEN}]"),
    _("Control characters, tabs and line ends are not allowed here."),
    code="control_characters",
    inverse_match=True,
)
