"""What the two groups of the platform may do here."""

from __future__ import annotations

from typing import Any

from zkbio.accounts.domain.groups import share


def share_after_migrate(*, using: str = "default", **_signal: Any) -> None:
    share("devices", read=("device",), write=("device",), actions=("operate_device",), using=using)
