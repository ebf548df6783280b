"""As whom PostgreSQL runs: it refuses root, so root lends it to an existing user without rights."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zkbio.launcher.trouble import LaunchError

UNPRIVILEGED = "nobody"
ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Owner:
    uid: int
    gid: int
    name: str

    @property
    def is_other(self) -> bool:
        return self.uid != os.geteuid()

    def arguments(self) -> dict[str, Any]:
        """What subprocess needs to run something as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}

    def run(self, command: Sequence[str | Path], *, seconds: float) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        return subprocess.run(
            words,
            env=ENVIRON,
            cwd="/",
            text=True,
            capture_output=True,
            check=False,
            timeout=seconds,
            **self.arguments(),
        )

    def can_run(self, program: Path) -> bool:
        """Tried, not computed: permissions, access lists and mount options all have their say."""
        try:
            return self.run([program, "--version"], seconds=30).returncode == 0
        except PermissionError:
            return False

    def can_enter(self, folder: Path) -> bool:
        return self.run(["/bin/sh", "-c", 'cd -- "$0"', folder], seconds=30).returncode == 0


def server_owner() -> Owner:
    if os.geteuid() != 0:
        return Owner(os.geteuid(), os.getegid(), "you")
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
        owner = Owner(entry.pw_uid, entry.pw_gid, UNPRIVILEGED)
        owner.run(["/bin/sh", "-c", ":"], seconds=30)
    except (KeyError, OSError) as error:
        raise LaunchError(
            f"PostgreSQL refuses to run as root, and this machine can't run it as '{UNPRIVILEGED}' ({error}); start as "
            "an ordinary user, or name a database of your own: DATABASE_URL=postgres://… ./script/start"
        ) from error
    return owner
