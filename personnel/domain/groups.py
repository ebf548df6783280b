"""What the groups that come with the platform may do with people."""

from __future__ import annotations

from typing import Any, Final

from zkbio.accounts.domain.groups import share

_RESOURCES: Final = ("department", "area", "position", "employee", "resignation")


def share_after_migrate(*, using: str = "default", **_signal: Any) -> None:
    share("personnel", read=_RESOURCES, write=_RESOURCES, using=using)
