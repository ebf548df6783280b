"""What the two groups of the platform may do here."""

from __future__ import annotations

from typing import Any, Final

from zkbio.accounts.domain.groups import share

_READ: Final = (
    *("terminal", "transaction", "biodata", "terminalcommand", "alarm", "enrolment"),
    *("terminalperson", "personintent", "pushcommand", "terminalevent"),
)


def share_after_migrate(*, using: str = "default", **_signal: Any) -> None:
    """Deleting punches, clearing terminals, reading templates and seeing photos are given by name only."""
    share("iclock", read=_READ, write=("terminal",), using=using)
